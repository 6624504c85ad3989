//! The handle of one stream.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h1::{Fields, ResponseHead};
use h2::{Code, Key};

use super::connection::Connection;
use super::slot::{Ending, Reset, Slot};
use super::writer::StreamWriter;
use crate::io::Input;

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

    /// Takes what has arrived of the body; empty if nothing has. Whoever uses no more than `most` bytes gives the rest back
    /// ([`Self::put_back`]): the end is told only to who uses all of it.
    pub fn take(&self, most: usize) -> Taken {
        let connection = &self.writer.connection;
        self.writer
            .slot(|slot| {
                let all = slot.input.bytes().len() <= most;
                Taken {
                    data: std::mem::replace(&mut slot.input, Input::new(&connection.io)),
                    ended: all && slot.ended,
                    trailers: slot.trailers.take_if(|_| all),
                }
            })
            .unwrap_or_else(|| Taken { data: Input::new(&connection.io), ended: false, trailers: None })
    }

    /// Gives back what was taken and not used, before anything else can have arrived.
    pub fn put_back(&self, data: Input) {
        self.writer.slot(|slot| slot.input = data);
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
        self.writer.connection.state.borrow().spare.keep_trailers(trailers);
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
                state.spare.keep_head(head);
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

    /// Whether nothing is left to be sent: the end of our message went out, or the stream failed before that.
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
