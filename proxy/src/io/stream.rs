//! One connection, clear or TLS.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::output::{HIGH_WATER, Output};
use super::secure::Secure;
use super::{Input, Io};

/// A connection as its owning task holds it: what was received, and both directions of the socket.
pub struct Stream {
    connection: Rc<Connection>,
    input: Input,
}

impl Stream {
    /// A clear connection. The socket must be registered with the runtime of this worker.
    pub fn new(socket: TcpStream, io: &Rc<Io>) -> Self {
        Self {
            input: Input::new(io),
            connection: Rc::new(Connection {
                io: io.clone(),
                socket: RefCell::new(socket),
                output: RefCell::default(),
                secure: RefCell::new(None),
                owned: Cell::new(true),
            }),
        }
    }

    /// Speaks TLS from here on; pending input counts as ciphertext. Call [`Self::handshake`] next.
    pub fn secure(&mut self, session: rustls::Connection) {
        let secure = Secure::new(session, self.input.bytes());
        self.input.clear();
        *self.connection.secure.borrow_mut() = Some(Box::new(secure));
    }

    /// Completes the TLS handshake; nothing to do on a clear connection. What is left to send goes out with the next flush.
    ///
    /// # Errors
    /// The peer went away, or the session refused it (`InvalidData`, with the [`rustls::Error`] inside; the alert is on its way).
    pub async fn handshake(&mut self) -> io::Result<()> {
        poll_fn(|context| self.connection.poll_handshake(context)).await
    }

    /// What the TLS session knows (names, protocol, certificates); `None` on a clear connection.
    pub fn session<R>(&self, look: impl FnOnce(&rustls::Connection) -> R) -> Option<R> {
        self.connection.secure.borrow().as_ref().map(|secure| look(&secure.session))
    }

    /// The socket itself, for its options and addresses.
    pub fn socket<R>(&self, look: impl FnOnce(&TcpStream) -> R) -> R {
        look(&self.connection.socket.borrow())
    }

    /// Received bytes that nobody used yet.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Received bytes that nobody used yet, to be used.
    pub fn input_mut(&mut self) -> &mut Input {
        &mut self.input
    }

    /// Receives more input; 0 means that the peer will send no more, or that `limit` bytes are pending already.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn fill(&mut self, limit: usize) -> io::Result<usize> {
        poll_fn(|context| self.poll_fill(context, limit)).await
    }

    /// As [`Self::fill`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_fill(&mut self, context: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        if self.input.is_empty() {
            // Memory is lent when there is something to receive, not before.
            ready!(self.connection.poll_readable(context))?;
        }
        let result = self.connection.poll_read(context, self.input.space(limit));
        let count = if let Poll::Ready(Ok(count)) = result { count } else { 0 };
        self.input.filled(count);
        result
    }

    /// Reads, pending input first; 0 means that the peer will send no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let pending = self.input.bytes();
        if pending.is_empty() {
            return self.connection.poll_read(context, into);
        }
        let count = pending.len().min(into.len());
        into[..count].copy_from_slice(&pending[..count]);
        self.input.consume(count);
        Poll::Ready(Ok(count))
    }

    /// Whether the peer has neither sent nor closed anything since, as far as the worker heard; no system call.
    ///
    /// An idle connection that is not quiet must not be used again.
    pub fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.connection.is_quiet()
    }

    /// The output, for a producer beside the reader.
    pub fn writer(&self) -> StreamWriter {
        StreamWriter { connection: self.connection.clone() }
    }

    /// As [`StreamWriter::put`].
    pub fn put(&self, append: impl FnOnce(&mut Vec<u8>)) {
        self.connection.put(0, append);
    }

    /// As [`StreamWriter::flushed`].
    ///
    /// # Errors
    /// The connection broke.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|context| self.connection.poll_backlog(context, 0)).await
    }

    /// As [`StreamWriter::finish`].
    pub fn finish(&self) {
        self.connection.finish();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.owned.set(false);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stream").field("pending", &self.input.bytes().len()).finish_non_exhaustive()
    }
}

/// The output of a connection. It does not keep the connection open: what is put after the [`Stream`] is gone may be lost.
#[derive(Clone)]
pub struct StreamWriter {
    connection: Rc<Connection>,
}

impl StreamWriter {
    /// Appends bytes, to be sent at the end of the turn. Never waits: see [`Self::room`]. Dropped if the connection broke.
    pub fn put(&self, append: impl FnOnce(&mut Vec<u8>)) {
        self.connection.put(0, append);
    }

    /// As [`Self::put`], for about `count` bytes.
    pub fn put_bulk(&self, count: usize, append: impl FnOnce(&mut Vec<u8>)) {
        self.connection.put(count, append);
    }

    /// Waits until no more than [`HIGH_WATER`] bytes are unsent.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn room(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_room(context)).await
    }

    /// As [`Self::room`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_backlog(context, HIGH_WATER)
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|context| self.connection.poll_backlog(context, 0)).await
    }

    /// Whether everything was sent.
    pub fn is_flushed(&self) -> bool {
        let output = self.connection.output.borrow();
        !output.dead && output.backlog() == 0
    }

    /// Bytes that wait to be sent.
    pub fn backlog(&self) -> usize {
        self.connection.output.borrow().backlog()
    }

    /// Whether sending failed.
    pub fn is_broken(&self) -> bool {
        self.connection.output.borrow().dead
    }

    /// Closes the write side once everything is sent.
    pub fn finish(&self) {
        self.connection.finish();
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamWriter").field("backlog", &self.connection.output.borrow().backlog()).finish()
    }
}

/// What the owner, the flusher and a task that waits for the socket share.
pub(super) struct Connection {
    io: Rc<Io>,
    socket: RefCell<TcpStream>,
    output: RefCell<Output>,
    secure: RefCell<Option<Box<Secure>>>,
    /// The [`Stream`] still exists.
    owned: Cell<bool>,
}

impl Connection {
    /// Sends what is there; `true` when a task must wait for the socket, see [`Self::drain`].
    pub(super) fn flush(&self) -> bool {
        let mut output = self.output.borrow_mut();
        output.queued = false;
        if output.blocked || output.dead {
            return false;
        }
        output.blocked = !self.send(&mut output);
        output.blocked
    }

    /// Sends the rest of a flush that the socket did not take.
    pub(super) async fn drain(self: Rc<Self>) {
        loop {
            let writable = poll_fn(|context| self.socket.borrow().poll_write_ready(context)).await;
            let mut output = self.output.borrow_mut();
            if writable.is_err() || !self.owned.get() {
                // Whoever cares whether the bytes arrive waits for them before the stream is dropped.
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
            Some(secure) => secure.send(self.socket.borrow(), output, &self.io),
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
        let socket = self.socket.borrow();
        while !output.unsent().is_empty() {
            match socket.try_write(output.unsent()) {
                Ok(count) => output.advance(count, &self.io.blocks),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn shut(&self, output: &mut Output) {
        output.finish = false;
        if let Some(secure) = &mut *self.secure.borrow_mut() {
            secure.close(self.socket.borrow());
        }
        // It may be gone already, which is what we want.
        drop(SockRef::from(&*self.socket.borrow()).shutdown(Shutdown::Write));
    }

    fn put(self: &Rc<Self>, count: usize, append: impl FnOnce(&mut Vec<u8>)) {
        let idle = {
            let mut output = self.output.borrow_mut();
            if output.dead {
                return;
            }
            append(output.buffer_for(count, &self.io.blocks));
            !output.queued && !output.blocked
        };
        if idle {
            self.queue();
        }
    }

    fn finish(self: &Rc<Self>) {
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

    fn poll_backlog(&self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<()>> {
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

    fn is_quiet(&self) -> bool {
        let output = self.output.borrow();
        if output.dead || output.backlog() > 0 {
            return false;
        }
        if self.secure.borrow().as_ref().is_some_and(|secure| secure.has_received()) {
            return false;
        }
        // Asks the cached readiness only: the closure makes no system call.
        self.socket.borrow().try_io(Interest::READABLE, || Ok(())).is_err()
    }

    /// Ready when reading is worth a try.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.secure.borrow().is_some() {
            return Poll::Ready(Ok(())); // the session may hold plaintext
        }
        self.socket.borrow().poll_read_ready(context)
    }

    fn poll_receive(&self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut *self.socket.borrow_mut()).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_read(self: &Rc<Self>, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut guard = self.secure.borrow_mut();
        let Some(secure) = &mut *guard else { return self.poll_receive(context, into) };
        loop {
            if let Some(result) = secure.take_plaintext(into) {
                return Poll::Ready(result);
            }
            ready!(self.poll_open(context, secure))?;
        }
    }

    fn poll_handshake(self: &Rc<Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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
            let count = ready!(self.poll_receive(context, &mut ciphertext))?;
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
