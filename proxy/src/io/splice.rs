//! Bytes between a socket and a pipe.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::connection::Connection;
use super::pipe::LentPipe;
use super::receive::Received;
use super::{Stream, StreamWriter};

impl Stream {
    /// Whether bytes can go from its socket into a pipe: it is clear, and none were received before.
    pub fn can_splice(&self) -> bool {
        self.input().is_empty() && !self.connection().is_secure()
    }

    /// Receives into a pipe that is empty; 0 means that the peer will send no more. For a stream that [can](Self::can_splice).
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_splice(&mut self, context: &mut Context<'_>, pipe: &mut LentPipe) -> Poll<io::Result<usize>> {
        let count =
            ready!(self.connection().poll_receive(context, |socket| pipe.fill(socket).map(Received::perhaps_more)))?;
        self.received(count);
        Poll::Ready(Ok(count))
    }
}

impl StreamWriter {
    /// Whether bytes can go from a pipe into its socket, once what was put is [flushed](Self::poll_flushed).
    pub fn can_splice(&self) -> bool {
        !self.connection().is_secure()
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
    fn poll_drain(&self, context: &mut Context<'_>, pipe: &mut LentPipe) -> Poll<io::Result<()>> {
        while !pipe.is_empty() {
            match pipe.drain(&self.socket) {
                Ok(count) => self.sent.set(self.sent.get() + count as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What the runtime has heard is out of date: only what it hears from now on counts.
                    drop(self.socket.try_io(Interest::WRITABLE, || io::Result::<()>::Err(error)));
                    ready!(self.socket.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
