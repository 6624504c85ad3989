//! A stream between two edges that outlives what carries it.
//!
//! It is carried by legs: streams of links, through hubs or directly. Bytes have offsets, and are kept until the other side has them. When a
//! leg is lost, or is thought to be, either side opens another and says how much it has; the other answers with the same; then both go on from
//! there. A leg that was thought to be lost is read as long as it is there. Of what comes twice the second copy is thrown away.
//!
//! No I/O: legs take and bring bytes by [`Stream::receive`] and [`Stream::fill`], and time is told, since any beginning.

mod carried;
mod error;
mod limits;
mod receiver;
mod sender;

use std::time::Duration;

pub use self::error::LegError;
pub use self::limits::Limits;
use self::receiver::Receiver;
use self::sender::Sender;
use crate::budget::Budget;
use crate::leg::{Open, Progress, StreamKey};

/// Legs of one stream that are open at a time. More are not taken.
const MOST_LEGS: usize = 8;

/// Which leg, as the user counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leg(pub u64);

/// Where a stream leads. Each edge has several nodes, its shards, and a stream stays with the two that began it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// This edge.
    pub from: String,
    /// This node of it.
    pub from_shard: u16,
    /// The other one.
    pub to: String,
    /// Its node, once it is known.
    pub to_shard: Option<u16>,
    /// Whose traffic it is.
    pub tenant: String,
    /// The class of traffic.
    pub class: u8,
}

/// One side of a stream.
#[derive(Debug)]
pub struct Stream {
    key: StreamKey,
    route: Route,
    limits: Limits,
    sender: Sender,
    receiver: Receiver,
    legs: Vec<LegState>,
    /// The leg that is sent on: the one that the other side spoke of last.
    current: Option<Leg>,
    /// The other side has accepted the stream, on whichever leg.
    is_accepted: bool,
    /// Since when there is no leg to send on.
    alone_since: Option<Duration>,
    /// The other side is to hear that this side gave up.
    reset: Option<u64>,
    end: Option<End>,
}

#[derive(Debug)]
struct LegState {
    leg: Leg,
    phase: Phase,
    /// What came, up to a whole frame, or to the data of one.
    input: Vec<u8>,
    /// Bytes that are missing of a frame with data, and where they belong.
    missing: usize,
    offset: u64,
}

impl LegState {
    fn new(leg: Leg, phase: Phase) -> Self {
        Self { leg, phase, input: Vec::new(), missing: 0, offset: 0 }
    }
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// We have to say where it leads.
    ToOpen,
    /// We wait for the answer.
    Opened,
    /// We have to answer.
    ToAccept,
    /// Both sides know of it.
    Attached,
}

/// How a stream ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This side gave up.
    Here(u64),
    /// The other side did.
    There(u64),
    /// The other side does not know it: its process has ended.
    Unknown,
    /// There was no leg for too long.
    Lost,
}

/// What [`Stream::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// All was read.
    End,
}

impl Stream {
    /// A stream that this side opens. It needs a leg.
    pub fn open(key: StreamKey, route: Route, limits: Limits, now: Duration) -> Self {
        Self {
            key,
            route,
            sender: Sender::new(&limits),
            receiver: Receiver::default(),
            limits,
            legs: Vec::new(),
            current: None,
            is_accepted: false,
            alone_since: Some(now),
            reset: None,
            end: None,
        }
    }

    /// A stream that the other side opened, by what it said first on a leg, which is attached. It is with this `shard` from now on.
    pub fn accept(open: &Open, shard: u16, leg: Leg, limits: Limits) -> Self {
        let route = Route {
            from: open.to.clone(),
            from_shard: shard,
            to: open.from.clone(),
            to_shard: Some(open.from_shard),
            tenant: open.tenant.clone(),
            class: open.class,
        };
        let mut stream = Self::open(open.key, route, limits, Duration::ZERO);
        stream.is_accepted = true;
        // Of a stream that is new the other side can have nothing.
        let nothing = Progress { delivered: 0, allowed: open.progress.allowed };
        let _ = stream.sender.acknowledge(nothing);
        stream.attach(leg, Phase::ToAccept);
        stream
    }

    /// What is kept for the other side counts towards a budget of many streams from now on.
    pub fn keep_within(&mut self, budget: Budget) {
        self.sender.keep_within(budget);
    }

    /// Which stream it is.
    pub fn key(&self) -> StreamKey {
        self.key
    }

    /// Where it leads.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Takes bytes to be sent; how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.end.is_some() { 0 } else { self.sender.write(bytes, &self.limits) }
    }

    /// Whether there is room to write for who found none.
    pub fn has_room(&self) -> bool {
        self.sender.has_room(&self.limits)
    }

    /// Ends what is sent.
    pub fn finish(&mut self) {
        self.sender.finish();
    }

    /// Whether [`Self::finish`] was called.
    pub fn is_finished(&self) -> bool {
        self.sender.is_finished()
    }

    /// Whether the other side has everything that was sent, the end included.
    pub fn is_delivered(&self) -> bool {
        self.sender.is_done()
    }

    /// Reads what came.
    pub fn read(&mut self, into: &mut [u8]) -> Read {
        match self.receiver.read(into) {
            0 if self.receiver.is_at_end() => Read::End,
            0 => Read::Nothing,
            count => Read::Bytes(count),
        }
    }

    /// Whether [`Self::read`] has something to say.
    pub fn has_news(&self) -> bool {
        self.receiver.unread() > 0 || self.receiver.has_end() || self.end.is_some()
    }

    /// Gives up: nothing is sent or read any more, and the other side is told.
    pub fn reset(&mut self, code: u64) {
        if self.end.is_none() {
            self.reset = Some(code);
            self.stop(End::Here(code));
        }
    }

    /// How it ended, if it did before its time.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether nothing is left to be done: what was sent has arrived, all was read, or the other side knows that this one gave up.
    pub fn is_over(&self) -> bool {
        if self.end.is_some() {
            return self.reset.is_none();
        }
        // The other side must hear that its end has arrived.
        self.sender.is_done() && self.receiver.is_at_end() && self.receiver.due(&self.limits).is_none()
    }

    /// Bytes that were sent more than once, because the leg that carried them first may not have.
    pub fn sent_again(&self) -> u64 {
        self.sender.sent_again()
    }

    /// Bytes that are kept for the other side.
    pub fn kept(&self) -> usize {
        self.sender.kept()
    }

    /// Bytes that wait for their reader.
    pub fn unread(&self) -> usize {
        self.receiver.unread()
    }

    /// When [`Self::elapse`] has something to do, or an acknowledgement is due on the current leg.
    pub fn deadline(&self) -> Option<Duration> {
        if self.end.is_some() && self.reset.is_none() {
            return None;
        }
        match self.alone_since {
            Some(since) => Some(since + self.limits.without_leg),
            None => self.receiver.due(&self.limits),
        }
    }

    /// Gives the stream up if it was without a leg for too long.
    pub fn elapse(&mut self, now: Duration) {
        if self.alone_since.is_some_and(|since| now >= since + self.limits.without_leg) {
            self.reset = None;
            if self.end.is_none() {
                self.stop(End::Lost);
            }
        }
    }

    fn stop(&mut self, end: End) {
        self.end = Some(end);
        self.sender.clear();
        self.receiver.clear();
    }
}
