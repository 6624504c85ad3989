//! The accept loop of one listener on one worker.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admit::admit;
use super::counters::OpenConnection;
use super::open::OpenListener;
use super::socket::ListeningSockets;
use crate::drain::Phase;
use crate::worker::timer::Alarm;
use crate::worker::vital;

/// Connections accepted in one turn of the worker, so that those that are open get their turn.
const ACCEPTED_PER_TURN: usize = 32;
/// Connections closed in a row when no file descriptor is left.
const SHED_AT_ONCE: usize = 256;
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Of this many descriptors one is not for clients, up to [`MOST_KEPT`].
const KEPT_SHARE: u64 = 16;
const MOST_KEPT: u64 = 64;
const WARNING_EVERY: Duration = Duration::from_secs(10);

/// The running accept loops of one worker's sockets of a listener: one, or more if they come from a process with more workers.
/// They end when this is dropped.
#[derive(Debug)]
pub(super) struct AcceptLoops {
    tasks: JoinSet<()>,
    stop: watch::Sender<Option<AfterLast>>,
}

/// What happens to the socket after the last connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterLast {
    /// Our handle closes; the socket does when its last handle does.
    Close,
    /// It stops listening, whoever holds it.
    ShutDown,
    /// As `Close`, but what waits is left to another process, which holds the socket too.
    LeaveToAnother,
}

/// When accepting may begin, and who is told how many loops there are.
#[derive(Clone, Debug)]
pub(super) struct AcceptGate {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) loops: Arc<AtomicU64>,
}

impl AcceptLoops {
    pub(super) fn start(
        sockets: &Arc<ListeningSockets>,
        worker: usize,
        listener: &Rc<OpenListener>,
        gate: &AcceptGate,
    ) -> Self {
        let (stop, stopped) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for slot in sockets.slots(worker) {
            let accepting = run(sockets.clone(), slot, listener.clone(), gate.clone(), stopped.clone());
            tasks.spawn_local(vital("accept loop", accepting));
        }
        Self { tasks, stop }
    }

    /// Tells them to accept what waits already, and then to end.
    pub(super) fn stop(&self, after: AfterLast) {
        self.stop.send_replace(Some(after));
    }

    /// As [`Self::stop`]; returns when they have ended.
    pub(super) async fn finish(mut self) {
        self.stop(AfterLast::Close);
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run(
    sockets: Arc<ListeningSockets>,
    slot: usize,
    listener: Rc<OpenListener>,
    mut gate: AcceptGate,
    mut stopped: watch::Receiver<Option<AfterLast>>,
) {
    let _counted = Counted::new(&gate.loops);
    let mut accepting = Accepting::new(listener);
    let opened = async {
        // Nobody moves the phase any more if the sender is gone: the worker ends.
        gate.phase.wait_for(|phase| *phase >= Phase::Serving).await.ok()?;
        accepting.open(&sockets, slot).await
    };
    let socket = tokio::select! {
        socket = opened => socket,
        _ = stopped.wait_for(Option::is_some) => None,
    };
    drop(sockets);
    let Some(socket) = socket else { return };
    let after = tokio::select! {
        () = accepting.forever(&socket) => return,
        after = stopped.wait_for(Option::is_some) => after.ok().and_then(|after| *after),
    };
    accepting.admit_held();
    if after == Some(AfterLast::LeaveToAnother) {
        return;
    }
    accepting.what_waits(&socket).await;
    if after == Some(AfterLast::ShutDown) {
        // It may be closed already, which is what we want.
        drop(SockRef::from(&socket).shutdown(std::net::Shutdown::Both));
    }
}

/// A loop, in the number of those that run.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(loops: &Arc<AtomicU64>) -> Self {
        loops.fetch_add(1, Ordering::Relaxed);
        Self(loops.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Whoever sees that the loop has ended sees the connections that it accepted.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptError {
    /// It concerns the connection that would have been accepted.
    Connection,
    /// No descriptor or no memory is left; there may be some later.
    Resources,
    /// The socket is of no use.
    Permanent,
}

struct Accepting {
    listener: Rc<OpenListener>,
    alarm: Alarm,
    pause: Duration,
    /// Accepted, but not to be served yet.
    held: Option<(TcpStream, SocketAddr)>,
    /// Errors of connections in a row.
    failures: usize,
    /// Given up when no other descriptor is left, so that clients can be accepted to be closed instead of waiting for nothing.
    reserve: Option<OwnedFd>,
    /// When the log was last told that resources are short.
    warned: Option<Instant>,
}

impl Accepting {
    fn new(listener: Rc<OpenListener>) -> Self {
        let alarm = Alarm::new(&listener.worker.timers);
        Self { listener, alarm, pause: SHORTEST_PAUSE, held: None, failures: 0, reserve: None, warned: None }
    }

    /// Our handle of the socket. The kernel hands connections to this worker in any case, so no shortage makes it give up.
    async fn open(&mut self, sockets: &ListeningSockets, slot: usize) -> Option<TcpListener> {
        loop {
            let error = match sockets.open(slot).and_then(TcpListener::from_std) {
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
    async fn forever(&mut self, socket: &TcpListener) {
        let mut in_turn = 0_usize;
        loop {
            self.keep_reserve(socket);
            match socket.accept().await {
                Ok((connection, peer)) => {
                    (self.pause, self.failures) = (SHORTEST_PAUSE, 0);
                    if is_one_of_the_last(&connection) {
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
                tokio::task::yield_now().await;
            }
        }
    }

    /// Accepts what the kernel has already.
    async fn what_waits(&mut self, socket: &TcpListener) {
        while let Some(accepted) = accept_now(socket).await {
            match accepted {
                Ok((connection, peer)) => self.admit(connection, peer),
                Err(error) if classify(&error) == AcceptError::Connection => {}
                Err(_) => return,
            }
        }
    }

    fn admit_held(&mut self) {
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
    async fn handle(&mut self, socket: &TcpListener, error: &io::Error) -> bool {
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
    async fn shed(&mut self, socket: &TcpListener) {
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

    fn keep_reserve(&mut self, socket: &TcpListener) {
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

/// Whether a connection has one of the descriptors that are kept for upstream connections, files and the admin interface. The
/// kernel gives out the lowest that is free.
fn is_one_of_the_last(connection: &TcpStream) -> bool {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return false };
    let kept = (limit / KEPT_SHARE).min(MOST_KEPT);
    u64::try_from(connection.as_raw_fd()).is_ok_and(|descriptor| descriptor + kept >= limit)
}

/// The next connection, if one waits.
async fn accept_now(socket: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|context| match socket.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// accept(2) reports errors of the new connection's network as its own.
fn classify(error: &io::Error) -> AcceptError {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => AcceptError::Resources,
        Some(Errno::BADF | Errno::FAULT | Errno::INVAL | Errno::NOTSOCK) => AcceptError::Permanent,
        _ => AcceptError::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_classes() {
        let class = |errno: Errno| classify(&errno.into());
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::PERM, Errno::NETDOWN, Errno::HOSTUNREACH] {
            assert_eq!(class(errno), AcceptError::Connection, "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(class(errno), AcceptError::Resources, "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(class(errno), AcceptError::Permanent, "{errno}");
        }
    }
}
