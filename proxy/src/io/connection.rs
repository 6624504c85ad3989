//! What a connection consists of: a socket, bytes that wait to be sent, and a TLS session if it is secure.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::output::{HIGH_WATER, Output};
use super::receive::receive;
use super::secure::Secure;
use super::{Input, Io};

/// What the owner, the flusher and a task that waits for the socket share.
pub(super) struct Connection {
    io: Rc<Io>,
    pub(super) socket: TcpStream,
    output: RefCell<Output>,
    secure: RefCell<Option<Box<Secure>>>,
    /// The [`Stream`](super::Stream) still exists.
    owned: Cell<bool>,
    /// The waker (never dereferenced) of the task that the runtime will wake when there is something to receive. Whoever waits
    /// already does not wait anew: that costs as much as parsing a field.
    pub(super) awaiting: Cell<Option<*const ()>>,
    /// Bytes put and not counted yet.
    pub(super) sent: Cell<u64>,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, io: &Rc<Io>) -> Rc<Self> {
        Rc::new(Self {
            io: io.clone(),
            socket,
            output: RefCell::default(),
            secure: RefCell::new(None),
            owned: Cell::new(true),
            awaiting: Cell::new(None),
            sent: Cell::new(0),
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
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
            drop(SockRef::from(&self.socket).shutdown(Shutdown::Both));
        }
    }

    pub(super) fn backlog(&self) -> usize {
        self.output.borrow().backlog()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.output.borrow().dead
    }

    /// Sends what is there; `true` when a task must wait for the socket, see [`Self::drain`].
    pub(super) fn flush(&self) -> bool {
        let mut output = self.output.borrow_mut();
        output.queued = false;
        if output.blocked || output.dead {
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
            let writable = poll_fn(|context| self.socket.poll_write_ready(context)).await;
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
        let sent = match &mut *self.secure.borrow_mut() {
            None => self.send_clear(output),
            Some(secure) => secure.send(&self.socket, output, &self.io),
        };
        match sent {
            Ok(true) if output.finish => self.shut(output),
            Ok(_) => {}
            Err(_) => output.fail(&self.io.blocks),
        }
        if output.backlog() <= HIGH_WATER {
            output.wake();
        }
        !matches!(sent, Ok(false))
    }

    fn send_clear(&self, output: &mut Output) -> io::Result<bool> {
        while !output.unsent().is_empty() {
            // The runtime is not asked before: almost always the socket takes everything.
            match send(&self.socket, output.unsent(), SendFlags::NOSIGNAL) {
                Ok(count) => output.advance(count, &self.io.blocks),
                Err(Errno::WOULDBLOCK) => {
                    // What it has heard is out of date: only what it hears from now on counts.
                    drop(self.socket.try_io(Interest::WRITABLE, || io::Result::<()>::Err(Errno::WOULDBLOCK.into())));
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn shut(&self, output: &mut Output) {
        output.finish = false;
        if let Some(secure) = &mut *self.secure.borrow_mut() {
            secure.close(&self.socket);
        }
        // It may be gone already, which is what we want.
        drop(SockRef::from(&self.socket).shutdown(Shutdown::Write));
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

    fn queue(self: &Rc<Self>) {
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
        // Asks the cached readiness only: the closure makes no system call.
        self.socket.try_io(Interest::READABLE, || Ok(())).is_err()
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
            let received = receive(socket, input.space(limit));
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
        let Some(secure) = &mut *guard else { return self.poll_receive(context, |socket| receive(socket, into)) };
        loop {
            if let Some(result) = secure.take_plaintext(into) {
                return Poll::Ready(result);
            }
            ready!(self.poll_open(context, secure))?;
        }
    }

    pub(super) fn poll_handshake(self: &Rc<Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = self.secure.borrow_mut();
        let Some(secure) = &mut *guard else { return Poll::Ready(Ok(())) };
        loop {
            self.queue_session(secure);
            if !secure.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if !ready!(self.poll_open(context, secure))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Receives ciphertext and opens it; `false` when the peer will send no more.
    fn poll_open(self: &Rc<Self>, context: &mut Context<'_>, secure: &mut Secure) -> Poll<io::Result<bool>> {
        let opened = if secure.has_received() {
            secure.open_received(&self.io.blocks)
        } else {
            let mut ciphertext = self.io.ciphertext.borrow_mut();
            let count = ready!(self.poll_receive(context, |socket| receive(socket, &mut ciphertext)))?;
            if count == 0 {
                secure.end();
                return Poll::Ready(Ok(false));
            }
            secure.open(&ciphertext[..count], &self.io.blocks)
        };
        self.queue_session(secure);
        Poll::Ready(opened.map(|()| true))
    }

    /// Handshake messages, key updates and alerts are sent with the next flush.
    fn queue_session(self: &Rc<Self>, secure: &Secure) {
        if !secure.session.wants_write() {
            return;
        }
        let idle = {
            let output = self.output.borrow();
            !output.queued && !output.blocked && !output.dead
        };
        if idle {
            self.queue();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("output", &self.output).finish_non_exhaustive()
    }
}
