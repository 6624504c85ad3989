//! What is kept for each stream between its task and the task that drives the connection.

use std::rc::Rc;
use std::task::{Context, Waker};

use h1::{Fields, ResponseHead};
use h2::Code;
use smallvec::SmallVec;

use crate::io::{Input, Io};

/// More heads of answers to one request that nobody took are an attack: interim ones.
pub(super) const MOST_HEADS: usize = 100;

/// Why a stream ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The peer reset it, with this code.
    ByPeer(Code),
    /// The peer broke the protocol within it, or there was no room for it.
    ByCodec(Code),
    /// The peer broke the protocol of the connection.
    BrokenConnection,
    /// The connection is gone, or we are closing it.
    ConnectionGone,
}

/// How the sending side of a stream ends, once what is unsent was sent.
#[derive(Debug, Default)]
pub(super) enum Ending {
    #[default]
    Open,
    WithData,
    WithTrailers(Box<Fields>),
    /// The end was sent, or the stream failed: nothing more can be sent.
    Sent,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Slot {
    task: Option<Waker>,
    /// Data that nobody took yet.
    pub(super) input: Input,
    /// Nothing comes after `input`, but for `trailers`.
    pub(super) ended: bool,
    pub(super) trailers: Option<Box<Fields>>,
    /// Heads of answers, the oldest first. Nearly always there is one.
    pub(super) heads: SmallVec<[Box<ResponseHead>; 1]>,
    pub(super) reset: Option<Reset>,
    /// Data that the windows did not allow yet.
    pub(super) unsent: Unsent,
    /// Bytes that will never be sent, because it ended before.
    pub(super) lost: usize,
    pub(super) ending: Ending,
    /// It waits for a window.
    pub(super) blocked: bool,
    /// In the queue of those that wait for a window, or waited.
    pub(super) queued: bool,
}

/// Bytes that are sent from the front, perhaps one at a time.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    /// Those that were sent already.
    sent: usize,
}

impl Unsent {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// So many were sent.
    pub(super) fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            *self = Self::default();
        } else if self.sent * 2 >= self.bytes.len() {
            // No more is moved than was sent since the last time.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

impl Slot {
    pub(super) fn new(io: &Rc<Io>, ended: bool) -> Self {
        Self {
            task: None,
            input: Input::new(io),
            ended,
            trailers: None,
            heads: SmallVec::new(),
            reset: None,
            unsent: Unsent::default(),
            lost: 0,
            ending: Ending::Open,
            blocked: false,
            queued: false,
        }
    }

    /// The task that is told when something happens.
    pub(super) fn register(&mut self, context: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
        }
    }

    pub(super) fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Nothing will arrive, and nothing more can be sent. Says how many bytes were not.
    #[must_use]
    pub(super) fn fail(&mut self, reset: Reset) -> usize {
        self.reset.get_or_insert(reset);
        let unsent = std::mem::take(&mut self.unsent);
        self.lost += unsent.len();
        self.ending = Ending::Sent;
        self.wake();
        unsent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsent_goes_in_order_in_pieces_of_any_size() {
        let mut unsent = Unsent::default();
        let (mut put, mut sent) = (0_u32, Vec::new());
        for round in 0..1_000_usize {
            let piece: Vec<u8> = (put..put + (round % 7) as u32).map(|number| number as u8).collect();
            put += piece.len() as u32;
            unsent.append(&piece);
            let count = unsent.len().min(round % 5);
            sent.extend_from_slice(&unsent.bytes()[..count]);
            unsent.consume(count);
        }
        sent.extend_from_slice(unsent.bytes());
        unsent.consume(unsent.len());
        assert!(unsent.is_empty() && unsent.bytes.capacity() == 0, "nothing is kept for nothing");
        assert_eq!(sent, (0..put).map(|number| number as u8).collect::<Vec<u8>>());
    }
}
