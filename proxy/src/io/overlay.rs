//! A connection over the overlay, where others have a socket.

use std::cell::{Ref, RefCell};
use std::io;
use std::task::{Context, Poll, Waker};

use overlay::link::LinkStream;

use super::Blocks;
use super::output::Output;
use super::receive::Received;

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

    /// Waits for room.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        *self.sender.borrow_mut() = Some(context.waker().clone());
        self.stream()?.poll_room(context).map_ok(drop)
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
