//! Accepting, with pauses while it fails, and what happens to clients while there are no descriptors for them.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use overlay::descriptors;
use rustix::io::Errno;

use super::error::{AcceptError, classify};
use crate::io::Acceptor;
use crate::listener::admit::admit;
use crate::listener::counters::OpenConnection;
use crate::listener::open::OpenListener;
use crate::listener::socket::ListeningSockets;
use crate::worker::timer::Alarm;

/// Connections accepted in one turn of the worker, so that those that are open get their turn.
const ACCEPTED_PER_TURN: usize = 32;
/// Connections closed in a row when no file descriptor is left.
const SHED_AT_ONCE: usize = 256;
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
const WARNING_EVERY: Duration = Duration::from_secs(10);

/// One loop.
pub(super) struct Accepting {
    listener: Rc<OpenListener>,
    alarm: Alarm,
    pause: Duration,
    /// Accepted, but not to be served yet.
    held: Option<(TcpStream, SocketAddr)>,
    /// Errors of connections in a row.
    failures: usize,
    /// Clients get descriptors below this one.
    first_kept: u64,
    /// Given up when no other descriptor is left, so that clients can be accepted to be closed instead of waiting for nothing.
    reserve: Option<OwnedFd>,
    /// When the log was last told that resources are short.
    warned: Option<Instant>,
}

impl Accepting {
    pub(super) fn new(listener: Rc<OpenListener>) -> Self {
        let alarm = Alarm::new(&listener.worker.timers);
        Self {
            listener,
            alarm,
            pause: SHORTEST_PAUSE,
            held: None,
            failures: 0,
            first_kept: descriptors::first_kept(),
            reserve: None,
            warned: None,
        }
    }

    /// Our handle of the socket. The kernel hands connections to this worker in any case, so no shortage makes it give up.
    pub(super) async fn open(&mut self, sockets: &ListeningSockets, slot: usize) -> Option<Acceptor> {
        loop {
            let error = match sockets.open(slot).and_then(Acceptor::new) {
                Ok(socket) => return Some(socket),
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::NotFound {
                // Another process has taken them over meanwhile.
                return None;
            }
            self.back_off().await;
        }
    }

    /// Returns if the socket is of no use any more.
    pub(super) async fn forever(&mut self, socket: &Acceptor) {
        let mut in_turn = 0_usize;
        loop {
            self.keep_reserve(socket);
            match poll_fn(|context| socket.poll_accept(context)).await {
                Ok((connection, peer)) => {
                    (self.pause, self.failures) = (SHORTEST_PAUSE, 0);
                    if descriptors::is_kept(&connection, self.first_kept) {
                        self.warn(&Errno::MFILE.into());
                        self.close(connection);
                    } else {
                        self.held = Some((connection, peer));
                        self.wait_while_stopped().await;
                        self.admit_held();
                    }
                }
                Err(error) => {
                    if !self.handle(socket, &error).await {
                        return;
                    }
                }
            }
            in_turn += 1;
            if in_turn.is_multiple_of(ACCEPTED_PER_TURN) {
                self.first_kept = descriptors::first_kept();
                tokio::task::yield_now().await;
            }
        }
    }

    /// Accepts what the kernel has already.
    pub(super) async fn what_waits(&mut self, socket: &Acceptor) {
        while let Some(accepted) = accept_now(socket).await {
            match accepted {
                Ok((connection, peer)) => self.admit(connection, peer),
                Err(error) if classify(&error) == AcceptError::Connection => {}
                Err(_) => return,
            }
        }
    }

    pub(super) fn admit_held(&mut self) {
        if let Some((connection, peer)) = self.held.take() {
            self.admit(connection, peer);
        }
    }

    /// Holds the connection that was accepted, while those behind it wait in the kernel.
    async fn wait_while_stopped(&self) {
        if !self.listener.generation().model.bypass_overload_manager {
            self.listener.worker.process.overload.accepting().await;
        }
    }

    fn admit(&self, connection: TcpStream, peer: SocketAddr) {
        let listener = &self.listener;
        if let Some(place) = listener.place() {
            let place = (place, OpenConnection::count(&listener.totals));
            listener.worker.tasks.spawn(admit(connection, peer, place, listener.clone()));
        }
    }

    /// Whether to go on.
    async fn handle(&mut self, socket: &Acceptor, error: &io::Error) -> bool {
        let counters = self.listener.counters.connections.clone();
        match classify(error) {
            AcceptError::Connection => {
                counters.downstream_cx_accept_failed.increment();
                self.failures += 1;
                if self.failures.is_multiple_of(ACCEPTED_PER_TURN) {
                    self.back_off().await;
                }
            }
            AcceptError::Resources => {
                self.warn(error);
                self.shed(socket).await;
                self.back_off().await;
            }
            AcceptError::Permanent => {
                tracing::error!(listener = self.listener.generation().model.name, "cannot accept: {error}");
                return false;
            }
        }
        true
    }

    /// Says it rarely: a shortage comes back with every connection that ends and the next that comes.
    fn warn(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.warned.is_some_and(|warned| now < warned + WARNING_EVERY) {
            return;
        }
        self.warned = Some(now);
        let name = &self.listener.generation().model.name;
        tracing::warn!(listener = name, "new connections are closed until resources are free: {error}");
    }

    /// Closes clients that wait while there is no descriptor for them: they see the end instead of a connection on which nothing
    /// ever happens.
    async fn shed(&mut self, socket: &Acceptor) {
        let Some(reserve) = self.reserve.take() else { return };
        drop(reserve);
        for _ in 0..SHED_AT_ONCE {
            match accept_now(socket).await {
                Some(Ok((connection, _))) => self.close(connection),
                Some(Err(error)) if classify(&error) == AcceptError::Connection => {}
                Some(Err(_)) | None => break,
            }
        }
        // At once: while this loop pauses, a connection that connects upstream would take the descriptor, and keep it.
        self.keep_reserve(socket);
    }

    fn close(&self, connection: TcpStream) {
        self.listener.counters.connections.downstream_cx_overflow.increment();
        drop(connection);
    }

    fn keep_reserve(&mut self, socket: &Acceptor) {
        if self.reserve.is_none() {
            self.reserve = rustix::io::dup(socket).ok();
        }
    }

    async fn back_off(&mut self) {
        self.listener.counters.connections.downstream_cx_accept_backoff.increment();
        let half = self.pause / 2;
        let jitter = self.listener.worker.random.below(half.as_micros() as u64);
        self.alarm.set_after(Some(half + Duration::from_micros(jitter)));
        self.alarm.elapsed().await;
        self.listener.worker.io.clock.invalidate();
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// The next connection, if one waits.
async fn accept_now(socket: &Acceptor) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|context| match socket.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
