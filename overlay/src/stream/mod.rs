//! Streams between edges that outlive links: [`overlay_wire::stream`] with legs on real links.
//!
//! Each has one task, which moves bytes between the stream and its legs, and opens a leg when there is none to send on, or when the link of the one
//! there is is thought to be dead.

mod attempts;
mod carrier;
mod carry;
mod datagrams;
#[cfg(test)]
mod tests;
mod way;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use overlay_wire::stream::{self as wire, End, Route};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::carry::{Carry, Opened};
pub(crate) use self::datagrams::Datagrams;
pub(crate) use self::way::Way;

/// Moved at once, bytes.
const PIECE: usize = 16 * 1024;

/// What a stream and its task share.
pub(crate) struct Shared {
    stream: RefCell<wire::Stream>,
    wakers: RefCell<Wakers>,
    way: Way,
    datagrams: RefCell<datagrams::Waiting>,
}

#[derive(Default)]
struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    task: Option<Waker>,
    /// Nobody has the [`OverlayStream`] any more.
    dropped: bool,
}

impl Shared {
    fn new(stream: wire::Stream) -> Rc<Self> {
        let stream = RefCell::new(stream);
        Rc::new(Self { stream, wakers: RefCell::default(), way: Way::default(), datagrams: RefCell::default() })
    }

    fn wake_task(&self) {
        crate::wake(&mut self.wakers.borrow_mut().task);
    }

    /// Wakes whoever waits for what there is now.
    fn wake_user(&self) {
        let stream = self.stream.borrow();
        let mut wakers = self.wakers.borrow_mut();
        if stream.has_news() {
            crate::wake(&mut wakers.reader);
        }
        if stream.has_room() || stream.end().is_some() {
            crate::wake(&mut wakers.writer);
        }
    }
}

/// A stream between two edges. When it is dropped before both directions have ended, the other side sees a reset.
pub struct OverlayStream {
    shared: Rc<Shared>,
}

impl OverlayStream {
    /// Where it leads.
    pub fn route(&self) -> Route {
        self.shared.stream.borrow().route().clone()
    }

    /// Tells whether it has a way, whoever has the stream by then.
    pub(crate) fn way(&self) -> Way {
        self.shared.way.clone()
    }

    /// What goes beside it, whoever has the stream by then.
    pub(crate) fn datagrams(&self) -> Datagrams {
        Datagrams::of(&self.shared)
    }

    fn broken(&self) -> Option<io::Error> {
        let end = self.shared.stream.borrow().end()?;
        let kind = match end {
            End::Here(_) => io::ErrorKind::BrokenPipe,
            End::There(_) | End::Unknown => io::ErrorKind::ConnectionReset,
            End::Lost => io::ErrorKind::TimedOut,
        };
        let what = match end {
            End::Here(code) => format!("the stream was given up here (code {code})"),
            End::There(code) => format!("the other edge gave the stream up (code {code})"),
            End::Unknown => "the other edge does not know the stream any more: its process has ended".to_owned(),
            End::Lost => "there was no way to the other edge for too long".to_owned(),
        };
        Some(io::Error::new(kind, what))
    }
}

impl AsyncRead for OverlayStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = into.remaining();
        let read = self.shared.stream.borrow_mut().read(into.initialize_unfilled_to(room));
        match read {
            wire::Read::Bytes(count) => {
                into.advance(count);
                self.shared.wake_task(); // for the window
                Poll::Ready(Ok(()))
            }
            wire::Read::End => Poll::Ready(Ok(())),
            wire::Read::Nothing => {
                if let Some(error) = self.broken() {
                    return Poll::Ready(Err(error));
                }
                crate::wait(&mut self.shared.wakers.borrow_mut().reader, context);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for OverlayStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = self.shared.stream.borrow_mut().write(bytes);
        if count > 0 || bytes.is_empty() {
            self.shared.wake_task();
            return Poll::Ready(Ok(count));
        }
        if let Some(error) = self.broken() {
            return Poll::Ready(Err(error));
        }
        crate::wait(&mut self.shared.wakers.borrow_mut().writer, context);
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.stream.borrow_mut().finish();
        self.shared.wake_task();
        Poll::Ready(Ok(()))
    }
}

impl Drop for OverlayStream {
    fn drop(&mut self) {
        self.shared.wakers.borrow_mut().dropped = true;
        self.shared.wake_task();
    }
}

impl fmt::Debug for OverlayStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OverlayStream").field("route", &self.route()).finish_non_exhaustive()
    }
}
