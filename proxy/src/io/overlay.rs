//! A connection over the overlay, where others have a socket.

use std::cell::{Ref, RefCell};
use std::io;
use std::task::{Context, Poll, Waker};

use overlay::link::LinkStream;

use super::connection::Connection;
use super::output::Output;
use super::receive::Received;
use super::socket::Socket;
use super::{Blocks, StreamWriter};

/// A stream to another edge.
pub(super) struct OverlaySocket {
    /// Gone once this side has given it up.
    stream: RefCell<Option<LinkStream>>,
    /// Who waits for room.
    sender: RefCell<Option<Waker>>,
}

impl OverlaySocket {
    pub(super) fn new(stream: LinkStream) -> Self {
        Self { stream: RefCell::new(Some(stream)), sender: RefCell::default() }
    }

    pub(super) fn receive(&self, into: &mut [u8]) -> io::Result<Received> {
        self.stream()?.try_read_into(into).map(Received::perhaps_more)
    }

    pub(super) fn poll_receive(
        &self,
        context: &Context<'_>,
        mut receive: impl FnMut() -> io::Result<Received>,
    ) -> Poll<io::Result<usize>> {
        match receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stream()?.wait_for_reader(context);
                Poll::Pending
            }
            received => Poll::Ready(received.map(|received| received.count)),
        }
    }

    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream()?;
        match stream.room()? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(stream.try_write(bytes)),
        }
    }

    /// Sends what there is room for; `Ok(false)` when some is left.
    pub(super) fn send(&self, output: &mut Output, blocks: &Blocks) -> io::Result<bool> {
        while !output.unsent().is_empty() {
            match self.try_send(output.unsent()) {
                Ok(count) => output.advance(count, blocks),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits for room; how much.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.stream()?.poll_room(context);
        if room.is_pending() {
            *self.sender.borrow_mut() = Some(context.waker().clone());
        }
        room
    }

    /// Neither bytes nor the end have come since the last were taken, and the other edge has no other process for what comes next.
    pub(super) fn is_quiet(&self) -> bool {
        self.stream().is_ok_and(|stream| stream.unread() == 0 && !stream.has_ended()) && !self.is_leaving()
    }

    /// The other edge asks for new connections in the place of this one.
    pub(super) fn is_leaving(&self) -> bool {
        self.stream().is_ok_and(|stream| stream.link().is_leaving())
    }

    pub(super) fn is_peer_done(&self) -> bool {
        self.stream().map_or(true, |stream| stream.has_ended())
    }

    pub(super) fn finish(&self) {
        if let Ok(stream) = self.stream() {
            stream.finish();
        }
    }

    /// Resets it, unless its end was on its way.
    pub(super) fn give_up(&self) {
        drop(self.stream.take());
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn stream(&self) -> io::Result<Ref<'_, LinkStream>> {
        Ref::filter_map(self.stream.borrow(), Option::as_ref).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl StreamWriter {
    /// Waits for room for [`Self::send_at_once`], bytes; `None` where there is no such thing, or something was put that goes first.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn poll_room_at_once(&self, context: &Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let connection = self.connection();
        let Socket::Overlay(socket) = &connection.socket else { return Poll::Ready(Ok(None)) };
        let mut output = connection.output.borrow_mut();
        if output.dead {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if output.blocked {
            output.producer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if output.backlog() > 0 || output.finish {
            return Poll::Ready(Ok(None));
        }
        socket.poll_room(context).map_ok(Some)
    }

    /// Sends to another edge without putting: its stream keeps what waits, and where many streams wait each copy is of memory that the processor has no longer
    /// at hand. No more than [there is room for](Self::poll_room_at_once).
    pub(super) fn send_at_once(&self, bytes: &[u8]) {
        self.connection().send_at_once(bytes);
    }
}

impl Connection {
    fn send_at_once(&self, bytes: &[u8]) {
        if let Socket::Overlay(socket) = &self.socket
            && let Ok(count) = socket.try_send(bytes)
        {
            self.sent.set(self.sent.get() + count as u64);
        }
    }
}

#[cfg(test)]
mod tests;
