//! A connection, clear or TLS, as those see it who use it: reading on one side, writing on the other.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use overlay::link::LinkStream;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::output::HIGH_WATER;
use super::secure::Secure;
use super::{Input, Io};

/// A connection as its owning task holds it: what was received, and both directions of the socket.
pub struct Stream {
    connection: Rc<Connection>,
    input: Input,
    /// Bytes received and not counted yet.
    received: u64,
}

/// Bytes in both directions, before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// From the peer.
    pub received: u64,
    /// To the peer.
    pub sent: u64,
}

impl Stream {
    /// A clear connection. The socket must be registered with the runtime of this worker.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(socket: TcpStream, io: &Rc<Io>) -> io::Result<Self> {
        Ok(Self { input: Input::new(io), connection: Connection::new(socket, io)?, received: 0 })
    }

    /// As [`Self::new`], of a socket that is not registered with anybody, and does not block.
    ///
    /// # Errors
    /// The system refuses.
    pub fn accepted(socket: std::net::TcpStream, io: &Rc<Io>) -> io::Result<Self> {
        Ok(Self { input: Input::new(io), connection: Connection::accepted(socket, io)?, received: 0 })
    }

    /// To another edge, over the overlay.
    pub fn overlay(stream: LinkStream, io: &Rc<Io>) -> Self {
        Self { input: Input::new(io), connection: Connection::overlay(stream, io), received: 0 }
    }

    /// Speaks TLS from here on; pending input counts as ciphertext. Call [`Self::handshake`] next.
    pub fn secure(&mut self, session: rustls::Connection) {
        let secure = Secure::new(session, self.input.bytes());
        self.input.clear();
        self.connection.secure(secure);
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
        self.connection.session(look)
    }

    /// Receives what is not looked at any more, from below TLS: ready when the peer will send no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_discard(&self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<()>> {
        while ready!(self.connection.poll_receive(context, |socket| socket.receive(scratch)))? > 0 {}
        Poll::Ready(Ok(()))
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
        let filled = self.connection.poll_fill(context, &mut self.input, limit);
        if let Poll::Ready(Ok(count)) = filled {
            self.received += count as u64;
        }
        filled
    }

    /// What was received and put since this was asked last.
    pub fn take_traffic(&mut self) -> Traffic {
        Traffic { received: std::mem::take(&mut self.received), sent: self.connection.sent.take() }
    }

    /// Reads, pending input first; 0 means that the peer will send no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let pending = self.input.bytes();
        if pending.is_empty() {
            let read = self.connection.poll_read(context, into);
            if let Poll::Ready(Ok(count)) = read {
                self.received += count as u64;
            }
            return read;
        }
        let count = pending.len().min(into.len());
        into[..count].copy_from_slice(&pending[..count]);
        self.input.consume(count);
        Poll::Ready(Ok(count))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Counts bytes that were received.
    pub(super) fn received(&mut self, count: usize) {
        self.received += count as u64;
    }

    /// Whether the peer has neither sent nor closed anything since, as far as the worker heard; no system call.
    ///
    /// An idle connection that is not quiet must not be used again.
    pub fn is_quiet(&self) -> bool {
        self.input.is_empty() && self.connection.is_quiet()
    }

    /// Whether the other edge would rather have new connections in the place of this one: another process has taken over there.
    pub fn is_leaving(&self) -> bool {
        self.connection.is_leaving()
    }

    /// Whether the peer has reset the connection, as far as the worker heard, before it ended its side.
    pub fn is_reset(&self) -> bool {
        self.connection.is_reset()
    }

    /// The output, for a producer beside the reader.
    pub fn writer(&self) -> StreamWriter {
        StreamWriter { connection: self.connection.clone() }
    }

    /// As [`StreamWriter::backlog`].
    pub fn backlog(&self) -> usize {
        self.connection.backlog()
    }

    /// As [`StreamWriter::poll_room`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_backlog(context, HIGH_WATER)
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

    /// Makes the end of the connection, when it is dropped, come at once. What is unsent is thrown away, in the kernel, too, and the peer learns that something is missing.
    pub fn reset(&self) {
        self.connection.socket.reset_when_closed();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.abandon();
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
    /// Appends bytes, to be sent at the end of the turn. Never waits: see [`Self::poll_room`]. Dropped if the connection broke.
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
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_backlog(context, HIGH_WATER)
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_flushed(context)).await
    }

    /// As [`Self::flushed`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_flushed(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_backlog(context, 0)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What the connections of its worker share.
    pub(super) fn io(&self) -> &Io {
        self.connection.io()
    }

    /// Bytes that wait to be sent.
    pub fn backlog(&self) -> usize {
        self.connection.backlog()
    }

    /// Whether anything that was meant for the peer is not sent, or was lost with the pipe that it waited in.
    pub fn has_unsent(&self) -> bool {
        self.backlog() > 0 || self.connection.pipe_waits.get()
    }

    /// Whether so much is unsent that a producer waits.
    pub fn is_full(&self) -> bool {
        self.backlog() > HIGH_WATER || self.connection.pipe_waits.get()
    }

    /// Whether the peer has closed its side, as far as the worker heard, though what it sent before may not be read yet.
    pub fn is_peer_done(&self) -> bool {
        self.connection.is_peer_done()
    }

    /// As [`Stream::is_reset`].
    pub fn is_reset(&self) -> bool {
        self.connection.is_reset()
    }

    /// Closes the write side once everything is sent.
    pub fn finish(&self) {
        self.connection.finish();
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamWriter").field("backlog", &self.connection.backlog()).finish()
    }
}
