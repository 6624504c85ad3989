//! The output of one stream.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use h1::{BodyLength, Fields, ResponseHead};
use h2::Key;

use super::connection::{Connection, State};
use super::slot::{Ending, Slot};
use crate::io::HIGH_WATER;

/// The output of a stream.
#[derive(Clone)]
pub struct StreamWriter {
    pub(super) connection: Rc<Connection>,
    pub(super) key: Key,
}

impl StreamWriter {
    /// Puts the head of an answer. `whole`: there is no body.
    pub fn put_response(&self, response: &ResponseHead, whole: bool) {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        if state.codec.get(self.key).is_none_or(|slot| slot.reset.is_some()) {
            return;
        }
        self.connection.writer.put(|out| state.codec.send_response(self.key, response, whole, out));
        if whole && let Some(slot) = state.codec.get(self.key) {
            slot.ending = Ending::Sent;
        }
    }

    /// Tells the client that it may send its body.
    pub fn put_continue(&self) {
        let mut response = ResponseHead::new();
        response.start(100, BodyLength::None);
        self.put_response(&response, false);
    }

    /// Puts a piece of a body; `last`: nothing follows. What the windows do not allow yet waits.
    pub fn put(&self, data: &[u8], last: bool) {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        let Some(slot) = state.codec.get(self.key) else { return };
        if slot.reset.is_some() || !matches!(slot.ending, Ending::Open) {
            return;
        }
        let mut sent = 0;
        let waits = !slot.unsent.is_empty();
        if !waits && (data.is_empty() || state.codec.send_window(self.key) > 0) {
            let codec = &mut state.codec;
            self.connection.writer.put_bulk(data.len(), |out| sent = codec.send_data(self.key, data, last, out));
        }
        let rest = data.get(sent..).unwrap_or_default();
        let Some(slot) = state.codec.get(self.key) else { return };
        if rest.is_empty() && !waits {
            if last {
                slot.ending = Ending::Sent;
            }
            return;
        }
        slot.unsent.append(rest);
        if last {
            slot.ending = Ending::WithData;
        }
        state.unsent += rest.len();
        state.block(self.key);
    }

    /// Puts the trailers, with which the body ends.
    pub fn put_trailers(&self, trailers: &Fields) {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        let Some(slot) = state.codec.get(self.key) else { return };
        if slot.reset.is_some() || !matches!(slot.ending, Ending::Open) {
            return;
        }
        if !slot.unsent.is_empty() {
            slot.ending = Ending::WithTrailers(Box::new(trailers.clone()));
            return;
        }
        slot.ending = Ending::Sent;
        self.connection.writer.put(|out| state.codec.send_trailers(self.key, trailers, out));
    }

    /// Ready when there is room for another piece.
    ///
    /// # Errors
    /// The stream was reset, or the connection is gone.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        let sated = state.appetite(self.key) == 0;
        let Some(slot) = state.codec.get(self.key) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        if sated && !slot.blocked && slot.reset.is_none() {
            state.block(self.key);
        }
        self.poll_free(state, context, |slot| slot.blocked)
    }

    fn poll_free(
        &self,
        state: &mut State,
        context: &mut Context<'_>,
        waits: impl FnOnce(&Slot) -> bool,
    ) -> Poll<io::Result<()>> {
        let Some(slot) = state.codec.get(self.key) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        if slot.reset.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let crowded = self.connection.writer.backlog() > HIGH_WATER;
        if !waits(slot) && !crowded {
            return Poll::Ready(Ok(()));
        }
        slot.register(context);
        if crowded && !state.crowded.contains(&self.key) {
            state.crowded.push(self.key);
            state.wake_driver();
        }
        Poll::Pending
    }

    /// Waits until everything was handed to the connection.
    ///
    /// # Errors
    /// The stream was reset, or the connection is gone.
    pub async fn flushed(&self) -> io::Result<()> {
        poll_fn(|context| {
            let mut state = self.connection.state.borrow_mut();
            self.poll_free(&mut state, context, |slot| !slot.unsent.is_empty())
        })
        .await
    }

    /// How many bytes of a body may be put now: all, as long as not much waits on the connection, then what can be sent at once.
    pub fn appetite(&self) -> usize {
        self.connection.state.borrow().appetite(self.key)
    }

    /// Bytes that wait for windows, or waited when the stream was reset. What the connection has of other streams says nothing of
    /// this one.
    pub fn unsent(&self) -> usize {
        self.slot(|slot| slot.unsent.len() + slot.lost).unwrap_or(0)
    }

    /// Whether a producer would have to wait.
    pub fn is_full(&self) -> bool {
        self.slot(|slot| slot.blocked).unwrap_or(false) || self.connection.writer.backlog() > HIGH_WATER
    }

    /// Whether the peer has given the stream up, or is gone.
    pub fn is_peer_done(&self) -> bool {
        self.slot(|slot| slot.reset.is_some()).unwrap_or(true)
    }

    pub(super) fn slot<R>(&self, look: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.connection.state.borrow_mut().codec.get(self.key).map(look)
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamWriter").field("key", &self.key).finish_non_exhaustive()
    }
}
