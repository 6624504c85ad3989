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
    /// The end was sent.
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
    pub(super) unsent: Vec<u8>,
    pub(super) ending: Ending,
    /// In the queue of those that wait for a window.
    pub(super) blocked: bool,
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
            unsent: Vec::new(),
            ending: Ending::Open,
            blocked: false,
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

    /// Nothing will arrive, and nothing more can be sent.
    pub(super) fn fail(&mut self, reset: Reset) {
        self.reset.get_or_insert(reset);
        self.unsent = Vec::new();
        self.ending = Ending::Sent;
        self.wake();
    }
}
