//! The handle of one stream.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h1::{BodyLength, Fields, ResponseHead};
use h2::{Code, Key};

use super::connection::Connection;
use super::slot::{Ending, Reset, Slot};
use crate::io::{HIGH_WATER, Input};

/// A stream as its owner holds it. When it is dropped before both sides ended, the peer is told.
pub struct Stream {
    writer: StreamWriter,
}

/// What arrived on a stream.
#[derive(Debug)]
pub struct Taken {
    /// Data; [`Stream::consumed`] gives room for more.
    pub data: Input,
    /// Nothing comes after it, but for the trailers.
    pub ended: bool,
    /// What stood behind the data.
    pub trailers: Option<Box<Fields>>,
}

impl Stream {
    pub(super) fn new(connection: &Rc<Connection>, key: Key) -> Self {
        Self { writer: StreamWriter { connection: connection.clone(), key } }
    }

    /// Its output, for a producer beside the reader.
    pub fn writer(&self) -> StreamWriter {
        self.writer.clone()
    }

    /// The connection that carries it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.writer.connection
    }

    /// Takes what has arrived of the body; empty if nothing has.
    pub fn take(&self) -> Taken {
        let connection = &self.writer.connection;
        self.writer
            .slot(|slot| Taken {
                data: std::mem::replace(&mut slot.input, Input::new(&connection.io)),
                ended: slot.ended,
                trailers: slot.trailers.take(),
            })
            .unwrap_or_else(|| Taken { data: Input::new(&connection.io), ended: false, trailers: None })
    }

    /// Reads data; 0 means that there will be no more.
    pub fn poll_read(&self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<Result<usize, Reset>> {
        ready!(self.poll_body(context))?;
        let count = self.writer.slot(|slot| {
            let data = slot.input.bytes();
            let count = data.len().min(into.len());
            into[..count].copy_from_slice(&data[..count]);
            slot.input.consume(count);
            count
        });
        let count = count.unwrap_or(0);
        self.consumed(count);
        Poll::Ready(Ok(count))
    }

    /// Says that so many bytes of data are done with, so that the peer may send more.
    pub fn consumed(&self, count: usize) {
        if count == 0 {
            return;
        }
        let connection = &self.writer.connection;
        let mut guard = connection.state.borrow_mut();
        let state = &mut *guard;
        state.codec.consumed(self.writer.key, count, &mut state.replies);
        connection.put_replies(state);
    }

    /// Gives memory back for the next trailers.
    pub fn keep_trailers(&self, trailers: Box<Fields>) {
        self.writer.connection.state.borrow_mut().keep_trailers(trailers);
    }

    /// Ready when something of the body, or its end, has arrived.
    pub fn poll_body(&self, context: &mut Context<'_>) -> Poll<Result<(), Reset>> {
        self.poll(context, |slot| slot.ended || !slot.input.is_empty())
    }

    /// Ready when the next head of an answer has arrived, which is put into `response`.
    pub fn poll_head(&self, context: &mut Context<'_>, response: &mut ResponseHead) -> Poll<Result<(), Reset>> {
        match self.poll(context, |slot| !slot.heads.is_empty()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(reset)) => Poll::Ready(Err(reset)),
            Poll::Ready(Ok(())) => {
                let mut state = self.writer.connection.state.borrow_mut();
                let Some(slot) = state.codec.get(self.writer.key) else { return Poll::Pending };
                if slot.heads.is_empty() {
                    return Poll::Pending;
                }
                let mut head = slot.heads.remove(0);
                std::mem::swap(response, &mut head);
                state.keep_head(head);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ready when the peer has given the stream up, or is gone.
    pub fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |_| false).map(|_| ())
    }

    fn poll(&self, context: &mut Context<'_>, there: impl FnOnce(&Slot) -> bool) -> Poll<Result<(), Reset>> {
        self.writer
            .slot(|slot| match slot.reset {
                _ if there(slot) => Poll::Ready(Ok(())),
                Some(reset) => Poll::Ready(Err(reset)),
                None => {
                    slot.register(context);
                    Poll::Pending
                }
            })
            .unwrap_or(Poll::Ready(Err(Reset::ConnectionGone)))
    }

    /// Why it ended before its end, if it did.
    pub fn why_reset(&self) -> Option<Reset> {
        self.writer.slot(|slot| slot.reset).unwrap_or(Some(Reset::ConnectionGone))
    }

    /// Whether everything was sent that is to be sent.
    pub fn is_answered(&self) -> bool {
        self.writer.slot(|slot| matches!(slot.ending, Ending::Sent)).unwrap_or(true)
    }

    /// Gives the stream up and tells the peer why.
    pub fn reset(&self, code: Code) {
        let connection = &self.writer.connection;
        let mut guard = connection.state.borrow_mut();
        let state = &mut *guard;
        state.codec.reset(self.writer.key, code, &mut state.replies);
        connection.put_replies(state);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let connection = &self.writer.connection;
        connection.release(&mut connection.state.borrow_mut(), self.writer.key);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stream").field("key", &self.writer.key).finish_non_exhaustive()
    }
}

/// The output of a stream.
#[derive(Clone)]
pub struct StreamWriter {
    connection: Rc<Connection>,
    key: Key,
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
        let waits = slot.blocked;
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
        slot.unsent.extend_from_slice(rest);
        if last {
            slot.ending = Ending::WithData;
        }
        if !slot.blocked {
            slot.blocked = true;
            state.blocked.push_back(self.key);
        }
    }

    /// Puts the trailers, with which the body ends.
    pub fn put_trailers(&self, trailers: &Fields) {
        let mut guard = self.connection.state.borrow_mut();
        let state = &mut *guard;
        let Some(slot) = state.codec.get(self.key) else { return };
        if slot.reset.is_some() || !matches!(slot.ending, Ending::Open) {
            return;
        }
        if slot.blocked {
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
        let Some(slot) = state.codec.get(self.key) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        if slot.reset.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let crowded = self.connection.writer.backlog() > HIGH_WATER;
        if !slot.blocked && !crowded {
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
        poll_fn(|context| self.poll_room(context)).await
    }

    /// Whether a producer would have to wait.
    pub fn is_full(&self) -> bool {
        self.slot(|slot| slot.blocked).unwrap_or(false) || self.connection.writer.backlog() > HIGH_WATER
    }

    /// Whether the peer has given the stream up, or is gone.
    pub fn is_peer_done(&self) -> bool {
        self.slot(|slot| slot.reset.is_some()).unwrap_or(true)
    }

    fn slot<R>(&self, look: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.connection.state.borrow_mut().codec.get(self.key).map(look)
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamWriter").field("key", &self.key).finish_non_exhaustive()
    }
}
