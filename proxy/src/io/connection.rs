//! What a connection consists of: a socket, bytes that wait to be sent, and a TLS session if it is secure.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use overlay::link::LinkStream;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::output::{HIGH_WATER, Output};
use super::overlay::OverlaySocket;
use super::receive::Received;
use super::ring::WorkerRing;
pub(super) use super::ring_send::OwnedByRing;
use super::ring_socket::RingSocket;
use super::secure::Secure;
use super::socket::Socket;
use super::{Input, Io};

/// What the owner, the flusher and a task that waits for the socket share.
pub(super) struct Connection {
    pub(super) io: Rc<Io>,
    pub(super) socket: Socket,
    pub(super) output: RefCell<Output>,
    pub(super) secure: RefCell<Option<Box<Secure>>>,
    /// The [`Stream`](super::Stream) still exists.
    owned: Cell<bool>,
    /// The waker (never dereferenced; null for none) of the task that the runtime will wake when there is something to receive. Whoever waits
    /// already does not wait anew: that costs as much as parsing a field.
    pub(super) awaiting: Cell<*const ()>,
    /// Bytes put and not counted yet.
    pub(super) sent: Cell<u64>,
    /// There is a pipe with bytes for which the socket has no room.
    pub(super) pipe_waits: Cell<bool>,
    /// The peer has reset it.
    reset: Cell<bool>,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, io: &Rc<Io>) -> io::Result<Rc<Self>> {
        match &io.ring {
            None => Ok(Rc::new(Self::with(Socket::Epoll(socket), io))),
            Some(ring) => Ok(Self::of_ring(socket.into_std()?.into(), io, ring)),
        }
    }

    /// As [`Self::new`], of a socket that is not registered with the runtime.
    pub(super) fn accepted(socket: std::net::TcpStream, io: &Rc<Io>) -> io::Result<Rc<Self>> {
        match &io.ring {
            None => Ok(Rc::new(Self::with(Socket::Epoll(TcpStream::from_std(socket)?), io))),
            Some(ring) => Ok(Self::of_ring(socket.into(), io, ring)),
        }
    }

    /// To another edge.
    pub(super) fn overlay(stream: LinkStream, io: &Rc<Io>) -> Rc<Self> {
        Rc::new(Self::with(Socket::Overlay(OverlaySocket::new(stream)), io))
    }

    fn of_ring(socket: OwnedFd, io: &Rc<Io>, ring: &WorkerRing) -> Rc<Self> {
        Rc::new_cyclic(|connection| {
            let owner = OwnedByRing::new(connection);
            Self::with(Socket::Ring(RingSocket::new(socket, io, ring, owner)), io)
        })
    }

    fn with(socket: Socket, io: &Rc<Io>) -> Self {
        Self {
            io: io.clone(),
            socket,
            output: RefCell::default(),
            secure: RefCell::new(None),
            owned: Cell::new(true),
            awaiting: Cell::new(ptr::null()),
            sent: Cell::new(0),
            pipe_waits: Cell::new(false),
            reset: Cell::new(false),
        }
    }

    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Speaks TLS from here on.
    pub(super) fn secure(&self, session: Secure) {
        *self.secure.borrow_mut() = Some(Box::new(session));
    }

    /// What the TLS session knows; `None` on a clear connection.
    pub(super) fn session<R>(&self, look: impl FnOnce(&rustls::Connection) -> R) -> Option<R> {
        self.secure.borrow().as_ref().map(|secure| look(&secure.session))
    }

    /// The [`Stream`](super::Stream) is gone, and with it the socket: whoever cares whether the bytes arrive waits for them before
    /// that. A task that waits for a peer which does not read would wait for ever; shutting the socket down wakes it.
    pub(super) fn abandon(&self) {
        self.owned.set(false);
        if self.output.borrow().blocked {
            self.socket.give_up();
        }
    }

    /// Remembers a reset: the system tells of it once, to who sends or to who receives, and to the other of an end.
    #[cold]
    pub(super) fn broke(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionReset {
            self.reset.set(true);
        }
    }

    /// Whether the peer has reset it before it said that it would send no more.
    pub(super) fn is_reset(&self) -> bool {
        self.reset.get()
    }

    pub(super) fn backlog(&self) -> usize {
        self.output.borrow().backlog()
    }

    /// Sends what is there; `true` when a task must wait for the socket, see [`Self::drain`].
    pub(super) fn flush(&self) -> bool {
        let mut output = self.output.borrow_mut();
        output.queued = false;
        if output.blocked || output.dead {
            return false;
        }
        if let Socket::Ring(socket) = &self.socket {
            self.give_to_ring(socket, &mut output);
            return false;
        }
        if self.send(&mut output) {
            return false;
        }
        if !self.owned.get() {
            output.fail(&self.io.blocks);
            return false;
        }
        output.blocked = true;
        true
    }

    /// Sends the rest of a flush that the socket did not take.
    pub(super) async fn drain(self: Rc<Self>) {
        loop {
            let writable = poll_fn(|context| match &self.socket {
                Socket::Epoll(socket) => socket.poll_write_ready(context),
                Socket::Overlay(socket) => socket.poll_room(context),
                // It waits itself.
                Socket::Ring(_) => Poll::Ready(Ok(())),
            })
            .await;
            let mut output = self.output.borrow_mut();
            if writable.is_err() || !self.owned.get() {
                output.fail(&self.io.blocks);
                output.wake();
                return;
            }
            if self.send(&mut output) {
                output.blocked = false;
                return;
            }
        }
    }

    /// `true` when there is nothing to wait for.
    fn send(&self, output: &mut Output) -> bool {
        let sent = match (&self.socket, &mut *self.secure.borrow_mut()) {
            (Socket::Epoll(socket), None) => self.send_clear(socket, output),
            (Socket::Epoll(socket), Some(secure)) => secure.send(socket, output, &self.io),
            // Between edges there is TLS already, in the tunnel.
            (Socket::Overlay(socket), _) => socket.send(output, &self.io.blocks),
            (Socket::Ring(_), _) => return true,
        };
        match sent {
            Ok(true) if output.finish => self.shut(output),
            Ok(_) => {}
            Err(ref error) => {
                self.broke(error);
                output.fail(&self.io.blocks);
            }
        }
        if output.backlog() <= HIGH_WATER {
            output.wake();
        }
        !matches!(sent, Ok(false))
    }

    fn send_clear(&self, socket: &TcpStream, output: &mut Output) -> io::Result<bool> {
        while !output.unsent().is_empty() {
            // The runtime is not asked before: almost always the socket takes everything.
            match send(socket, output.unsent(), SendFlags::NOSIGNAL) {
                Ok(count) => output.advance(count, &self.io.blocks),
                Err(Errno::WOULDBLOCK) => {
                    // What it has heard is out of date: only what it hears from now on counts.
                    drop(socket.try_io(Interest::WRITABLE, || io::Result::<()>::Err(Errno::WOULDBLOCK.into())));
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    pub(super) fn shut(&self, output: &mut Output) {
        output.finish = false;
        if let Some(secure) = &mut *self.secure.borrow_mut() {
            secure.close(&self.socket);
        }
        self.socket.finish();
    }

    pub(super) fn put(self: &Rc<Self>, count: usize, append: impl FnOnce(&mut Vec<u8>)) {
        let idle = {
            let mut output = self.output.borrow_mut();
            if output.dead {
                return;
            }
            let buffer = output.buffer_for(count, &self.io.blocks);
            let before = buffer.len();
            append(buffer);
            self.sent.set(self.sent.get() + (buffer.len() - before) as u64);
            !output.queued && !output.blocked
        };
        if idle {
            self.queue();
        }
    }

    pub(super) fn finish(self: &Rc<Self>) {
        let idle = {
            let mut output = self.output.borrow_mut();
            output.finish = true;
            !output.queued && !output.blocked
        };
        if idle {
            self.queue();
        }
    }

    pub(super) fn queue(self: &Rc<Self>) {
        self.output.borrow_mut().queued = true;
        self.io.flusher.add(self);
    }

    pub(super) fn poll_backlog(&self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<()>> {
        let mut output = self.output.borrow_mut();
        if output.dead {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if output.backlog() <= most && (most > 0 || !output.finish) {
            return Poll::Ready(Ok(()));
        }
        output.producer = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn is_quiet(&self) -> bool {
        let output = self.output.borrow();
        if output.dead || output.backlog() > 0 {
            return false;
        }
        if self.secure.borrow_mut().as_mut().is_some_and(|secure| secure.has_received() || secure.has_plaintext()) {
            return false;
        }
        match &self.socket {
            // Asks the cached readiness only: the closure makes no system call.
            Socket::Epoll(socket) => socket.try_io(Interest::READABLE, || Ok(())).is_err(),
            Socket::Ring(socket) => socket.is_quiet(),
            Socket::Overlay(socket) => socket.is_quiet(),
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(&self.socket, Socket::Overlay(socket) if socket.is_leaving())
    }

    /// Receives more input, `limit` bytes pending at most. Memory is lent when there is something to receive, not before.
    pub(super) fn poll_fill(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        input: &mut Input,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        if !input.is_empty() && input.space(limit).is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.is_secure() {
            let result = self.poll_read(context, input.space(limit));
            let count = if let Poll::Ready(Ok(count)) = result { count } else { 0 };
            input.filled(count);
            return result;
        }
        self.poll_receive(context, |socket| {
            if let Some(count) = socket.hand_over(input, limit) {
                return Ok(Received::perhaps_more(count));
            }
            let received = socket.receive(input.space(limit));
            input.filled(received.as_ref().map_or(0, |received| received.count));
            received
        })
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure.borrow().is_some()
    }

    pub(super) fn poll_read(self: &Rc<Self>, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut guard = self.secure.borrow_mut();
        let Some(secure) = &mut *guard else { return self.poll_receive(context, |socket| socket.receive(into)) };
        loop {
            if let Some(result) = secure.take_plaintext(into) {
                return Poll::Ready(result);
            }
            ready!(self.poll_open(context, secure))?;
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("output", &self.output).finish_non_exhaustive()
    }
}
