//! A stream of a link, to be read and written.

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use overlay_wire::budget::Budget;
use overlay_wire::frame::{Code, StreamId};
use overlay_wire::mux::Read;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Link, code};
use crate::wait;

/// Moved at once, bytes.
const PIECE: usize = 16 * 1024;

/// A stream of a link. When it is dropped, what is not finished is reset.
pub struct LinkStream {
    link: Link,
    id: StreamId,
    /// Said when it is dropped.
    farewell: Code,
}

impl LinkStream {
    pub(super) fn new(link: &Link, id: StreamId) -> Self {
        link.0.users.borrow_mut().entry(id).or_default();
        Self { link: link.clone(), id, farewell: code::DROPPED }
    }

    /// The link that carries it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Which one of its link.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Drops something when it takes no place on its link any more: it does until the other side has let go of it, too.
    pub(crate) fn drop_with_place(&self, what: impl Any) {
        self.link.0.mux.borrow_mut().drop_with(self.id, Box::new(what));
    }

    /// Gives it up, and tells the other side why.
    pub fn reset(mut self, code: Code) {
        self.farewell = code;
    }

    /// Room for [`Self::try_write`], bytes. If there is none, the task is woken when there is, or when nothing is taken any more.
    pub fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.link.0.mux.borrow_mut().room(self.id);
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        self.wait_for_writer(context)
    }

    /// As [`Self::poll_room`], of what the other side has allowed already: what is written waits for the connection alone.
    pub fn poll_credit(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        let credit = self.link.0.mux.borrow_mut().credit(self.id);
        if credit > 0 {
            return Poll::Ready(Ok(credit));
        }
        self.wait_for_writer(context)
    }

    /// Ready when the other side, or this one for lack of room, gave up, or the link ended, although nothing is read.
    pub fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error> {
        if let Some(code) = self.link.0.mux.borrow_mut().failure(self.id) {
            return Poll::Ready(given_up(code));
        }
        if let Some(end) = self.link.end() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionReset, end.clone()));
        }
        self.wait_for_reader(context);
        Poll::Pending
    }

    /// What waits on it, in either direction, counts towards a budget from now on; `false` if that has no room for it. If what comes later finds none, the
    /// stream is given up.
    #[must_use]
    pub fn charge(&self, budget: &Budget) -> bool {
        self.link.0.mux.borrow_mut().charge(self.id, budget, code::OVERLOADED)
    }

    /// Whether it was given up for that.
    pub fn is_overrun(&self) -> bool {
        self.link.0.mux.borrow().is_overrun(self.id)
    }

    /// Writes what there is room for; how much.
    pub fn try_write(&self, bytes: &[u8]) -> usize {
        let count = self.link.0.mux.borrow_mut().write(self.id, bytes);
        self.link.wake_driver();
        count
    }

    /// Room for [`Self::try_write`], bytes, without waiting.
    ///
    /// # Errors
    /// Nothing is taken any more.
    pub fn room(&self) -> io::Result<usize> {
        let room = self.link.0.mux.borrow_mut().room(self.id);
        if room == 0 {
            self.broken_writer()?;
        }
        Ok(room)
    }

    /// Reads what is there into the end of a buffer; 0 at the end.
    ///
    /// # Errors
    /// The other side gave up, or the link ended.
    pub fn poll_read_into(&self, context: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.try_read_into(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait_for_reader(context);
                Poll::Pending
            }
            read => Poll::Ready(read),
        }
    }

    /// As [`Self::poll_read_into`], without waiting.
    ///
    /// # Errors
    /// The other side gave up, or the link ended, or (`WouldBlock`) nothing is there.
    pub fn try_read_into(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.link.0.mux.borrow_mut().read(self.id, into);
        match read {
            Read::Bytes(count) => {
                self.link.wake_driver(); // for the window
                Ok(count)
            }
            Read::End => Ok(0),
            Read::Reset(code) => Err(given_up(code)),
            Read::Nothing => match self.link.end() {
                Some(end) => Err(io::Error::new(io::ErrorKind::ConnectionReset, end.clone())),
                None => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Bytes that came and were not read.
    pub fn unread(&self) -> usize {
        self.link.0.mux.borrow().unread(self.id)
    }

    /// Whether nothing will come any more; some of what came may not be read yet.
    pub fn has_ended(&self) -> bool {
        self.link.end().is_some() || self.link.0.mux.borrow().has_ended(self.id)
    }

    /// Ends what is sent.
    pub fn finish(&self) {
        self.link.0.mux.borrow_mut().finish(self.id);
        self.link.wake_driver();
    }

    /// Wakes a task when there is something to read, or the stream is over.
    pub fn wait_for_reader(&self, context: &Context<'_>) {
        if let Some(user) = self.link.0.users.borrow_mut().get_mut(&self.id) {
            wait(&mut user.reader, context);
        }
    }

    /// Ready if nothing is taken any more.
    fn wait_for_writer(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.broken_writer()?;
        if let Some(user) = self.link.0.users.borrow_mut().get_mut(&self.id) {
            wait(&mut user.writer, context);
        }
        Poll::Pending
    }

    fn broken_writer(&self) -> io::Result<()> {
        if let Some(end) = self.link.end() {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, end.clone()));
        }
        match self.link.0.users.borrow().get(&self.id).and_then(|user| user.stopped) {
            Some(code) => Err(given_up(code)),
            None => Ok(()),
        }
    }
}

fn given_up(code: Code) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("the stream was given up (code {})", code.0))
}

impl AsyncRead for LinkStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = into.remaining().min(PIECE);
        self.poll_read_into(context, into.initialize_unfilled_to(room)).map_ok(|count| into.advance(count))
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_room(context).map_ok(|_| self.try_write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        self.link.0.users.borrow_mut().remove(&self.id);
        self.link.0.mux.borrow_mut().release(self.id, self.farewell);
        self.link.wake_driver();
    }
}

impl fmt::Debug for LinkStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LinkStream").field("id", &self.id).finish_non_exhaustive()
    }
}
