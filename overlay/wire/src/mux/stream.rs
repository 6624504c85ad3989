//! The two directions of a stream.

use std::any::Any;

use super::datagrams::Datagrams;
use super::limits::{FIRST_WINDOW, Limits};
use super::schedule::Urgency;
use crate::buffer::Buffer;
use crate::frame::Code;

/// A stream as one side of the link knows it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
    pub(super) datagrams: Datagrams,
    pub(super) urgency: Urgency,
    /// It is in the schedule.
    pub(super) scheduled: bool,
    /// Frames about it wait to be sent.
    pub(super) notices: Notices,
    /// The user has let go of it: nobody reads any more, and nobody asks for events.
    pub(super) released: bool,
    /// Of the user.
    pub(super) dropped_with_it: Option<Box<dyn Any>>,
}

/// Frames without content.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// In the queue of those that have some.
    pub(super) queued: bool,
    pub(super) reset: Option<Code>,
    pub(super) stop: Option<Code>,
    pub(super) window: bool,
}

/// What goes out.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) buffer: Buffer,
    /// Bytes sent.
    pub(super) sent: u64,
    /// Bytes that the other side allows.
    pub(super) allowed: u64,
    pub(super) state: SendState,
    /// The user found no room, and is told when there is some.
    pub(super) wants_room: bool,
    /// The user waits for the other side to allow more.
    pub(super) wants_credit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendState {
    Open,
    /// The end follows what is in the buffer.
    Finishing,
    /// The end or a reset was sent.
    Done,
}

/// What comes in.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) buffer: Buffer,
    /// Bytes received.
    pub(super) received: u64,
    /// Bytes that were allowed.
    pub(super) allowed: u64,
    /// Bytes that may wait for the reader.
    pub(super) window: u64,
    pub(super) state: ReceiveState,
    /// The sender has used up what it was allowed since the window last grew.
    pub(super) sender_waited: bool,
    /// The reader has heard that there is something, and has not looked yet.
    pub(super) told: bool,
    /// What the stream is given up with if what comes finds no room in its budget.
    pub(super) too_much: Code,
    /// It was given up for that.
    pub(super) overrun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReceiveState {
    Open,
    /// All is here; some may wait for the reader.
    Finished,
    /// The sender gave up.
    Reset(Code),
    /// The reader wants no more. It is over when the sender has ended, too.
    Stopped,
    /// The reader has seen the end.
    Done,
}

impl Stream {
    pub(super) fn new(urgency: Urgency, limits: &Limits) -> Self {
        Self {
            sending: Sending {
                buffer: Buffer::default(),
                sent: 0,
                allowed: FIRST_WINDOW,
                state: SendState::Open,
                wants_room: false,
                wants_credit: false,
            },
            receiving: Receiving {
                buffer: Buffer::default(),
                received: 0,
                allowed: FIRST_WINDOW,
                window: FIRST_WINDOW,
                state: ReceiveState::Open,
                sender_waited: false,
                told: false,
                too_much: Code(0),
                overrun: false,
            },
            datagrams: Datagrams::new(limits),
            urgency,
            scheduled: false,
            notices: Notices::default(),
            released: false,
            dropped_with_it: None,
        }
    }

    /// Whether nothing can happen on it any more.
    pub(super) fn is_over(&self) -> bool {
        self.released
            && self.sending.state == SendState::Done
            && self.notices.reset.is_none()
            && matches!(self.receiving.state, ReceiveState::Done | ReceiveState::Finished | ReceiveState::Reset(_))
    }
}

impl Sending {
    /// Bytes that may be sent now.
    pub(super) fn sendable(&self) -> usize {
        self.buffer.len().min(usize::try_from(self.allowed - self.sent).unwrap_or(usize::MAX))
    }

    /// Bytes that may be sent beyond those that wait.
    pub(super) fn credit(&self) -> usize {
        usize::try_from(self.allowed - self.sent).unwrap_or(usize::MAX).saturating_sub(self.buffer.len())
    }

    /// Whether a frame may be sent now.
    pub(super) fn is_ready(&self) -> bool {
        match self.state {
            SendState::Open => self.sendable() > 0,
            SendState::Finishing => self.sendable() > 0 || self.buffer.is_empty(),
            SendState::Done => false,
        }
    }
}
