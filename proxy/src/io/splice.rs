//! Bytes between a socket and a pipe.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::connection::Connection;
use super::pipe::LentPipe;
use super::receive::Received;
use super::socket::Socket;
use super::{Stream, StreamWriter};

impl Stream {
    /// Whether bytes can go from its socket into a pipe: it is clear, and none were received before.
    pub fn can_splice(&self) -> bool {
        self.input().is_empty() && self.connection().is_splicable() && self.connection().is_untouched()
    }

    /// Receives `most` bytes into a pipe that is empty; 0 means that the peer will send no more. For a stream that
    /// [can](Self::can_splice).
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_splice(
        &mut self,
        context: &mut Context<'_>,
        pipe: &mut LentPipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.connection().poll_fill_pipe(context, pipe, most))?;
        self.received(count);
        Poll::Ready(Ok(count))
    }
}

impl StreamWriter {
    /// Whether bytes can go from a pipe into its socket, once what was put is [flushed](Self::poll_flushed).
    pub fn can_splice(&self) -> bool {
        self.connection().is_splicable()
    }

    /// Sends what is in a pipe. For a stream that [can](Self::can_splice) and to which nothing is put meanwhile.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_splice(&self, context: &mut Context<'_>, pipe: &mut LentPipe) -> Poll<io::Result<()>> {
        self.connection().poll_drain(context, pipe)
    }
}

impl Connection {
    /// Whether there is a socket, and what goes through it is not sealed.
    fn is_splicable(&self) -> bool {
        !self.is_secure() && !matches!(self.socket, Socket::Overlay(_))
    }

    /// Whether the socket holds everything that came and was not used.
    fn is_untouched(&self) -> bool {
        match &self.socket {
            Socket::Epoll(_) => true,
            Socket::Ring(socket) => socket.is_untouched(),
            Socket::Overlay(_) => false,
        }
    }

    fn poll_fill_pipe(&self, context: &mut Context<'_>, pipe: &mut LentPipe, most: usize) -> Poll<io::Result<usize>> {
        let filled = match &self.socket {
            Socket::Epoll(socket) => {
                self.poll_registered(context, socket, || pipe.fill(socket, most).map(Received::perhaps_more))
            }
            Socket::Ring(socket) => match pipe.fill(socket, most) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.wait_readable(context);
                    Poll::Pending
                }
                result => Poll::Ready(result),
            },
            Socket::Overlay(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        };
        if let Poll::Ready(Err(error)) = &filled {
            self.broke(error);
        }
        filled
    }

    fn poll_drain(&self, context: &mut Context<'_>, pipe: &mut LentPipe) -> Poll<io::Result<()>> {
        while !pipe.is_empty() {
            let socket = self.socket.descriptor().ok_or(io::ErrorKind::Unsupported)?;
            match pipe.drain(socket) {
                Ok(count) => self.sent.set(self.sent.get() + count as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pipe_waits.set(true);
                    ready!(self.poll_writable(context, error))?;
                    self.pipe_waits.set(false);
                }
                Err(error) => {
                    self.broke(&error);
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for room, of which there was none just now.
    fn poll_writable(&self, context: &mut Context<'_>, full: io::Error) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Epoll(socket) => {
                // What the runtime has heard is out of date: only what it hears from now on counts.
                drop(socket.try_io(Interest::WRITABLE, || io::Result::<()>::Err(full)));
                socket.poll_write_ready(context)
            }
            Socket::Ring(socket) => {
                socket.wait_writable(context);
                Poll::Pending
            }
            Socket::Overlay(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }
}
