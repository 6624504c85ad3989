//! Many streams on one reliable connection, as those of QUIC (RFC 9000): both sides open them, each direction ends by itself, and who reads
//! slowly holds up nobody else.
//!
//! There is no window for the connection as a whole: it would let slow readers stall the others. Instead each stream may have its first
//! 64 KiB unread, and what windows grow beyond that comes out of one budget. Memory is bounded by both.
//!
//! No I/O and no time: bytes come in by [`Mux::receive`], bytes go out by [`Mux::fill`].

mod datagrams;
mod limits;
mod receiving;
mod schedule;
mod sending;
mod stream;

use std::any::Any;
use std::collections::VecDeque;

use hashbrown::HashMap;
use thiserror::Error;

pub use self::limits::Limits;
pub use self::receiving::Read;
use self::schedule::Schedule;
pub use self::schedule::Urgency;
use self::stream::{SendState, Stream};
use crate::frame::{Code, FrameError, StreamId};

/// Which side of a link this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It dialled.
    Dialled,
    /// It accepted.
    Accepted,
}

/// One side of a link.
#[derive(Debug)]
pub struct Mux {
    side: Side,
    limits: Limits,
    streams: HashMap<StreamId, Stream>,
    /// Streams that we opened, and may open, from the beginning.
    opened: u64,
    may_open: u64,
    /// Streams that the other side opened, and may open, from the beginning.
    peer_opened: u64,
    peer_may_open: u64,
    /// Those of the other side that are open.
    peer_open: u64,
    /// What windows have beyond their first size, of all streams.
    extra_windows: u64,
    /// Frames that carried nothing, less those that carried something.
    idle_frames: u32,
    schedule: Schedule,
    /// Streams with notices.
    noticed: VecDeque<StreamId>,
    link: LinkNotices,
    /// Datagrams for which there was no room, as far as nobody asked.
    dropped_datagrams: u64,
    peer_said_hello: bool,
    /// The last frame was sent.
    closed: bool,
    events: VecDeque<Event>,
}

/// Frames about the link that wait to be sent.
#[derive(Debug, Default)]
struct LinkNotices {
    hello: Option<Vec<u8>>,
    /// Whether more streams are to be allowed.
    streams: bool,
    ping: Option<u64>,
    pong: Option<u64>,
    go_away: bool,
    close: Option<(Code, String)>,
}

/// What [`Mux::receive`] brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other side says who it is.
    Hello(Vec<u8>),
    /// It opened a stream.
    Opened(StreamId),
    /// There is something to [`Mux::read`], or a [datagram](Mux::datagram). Said once until it is read.
    Readable(StreamId),
    /// There is room for those who found none, or the other side has [stopped](Self::Stopped) the stream.
    Writable(StreamId),
    /// The other side does not want what is sent on a stream, or this side has no room for what comes. It was reset with the same code.
    Stopped(StreamId, Code),
    /// Streams may be opened by who could not; some of them at least.
    MayOpen,
    /// The answer to a ping.
    Pong(u64),
    /// The other side wants no more streams.
    GoAway,
    /// The other side ends the link; why, in up to 200 characters on one line.
    Closed(Code, String),
}

/// The other side does not keep to the protocol. The link is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MuxError {
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// More streams than it was allowed to open.
    #[error("stream {} was opened, beyond what was allowed", .0.0)]
    TooManyStreams(StreamId),
    /// More bytes than it was allowed to send.
    #[error("more came on stream {} than was allowed", .0.0)]
    FlowControl(StreamId),
    /// Bytes behind the end of a stream.
    #[error("bytes came on stream {} behind its end", .0.0)]
    AfterEnd(StreamId),
    /// A frame about a stream of ours that we never opened.
    #[error("a frame came about stream {}, which was never opened", .0.0)]
    NeverOpened(StreamId),
    /// Many frames that carry nothing, with few that do.
    #[error("too many frames came that carry nothing")]
    IdleFrames,
    /// The first frame is no hello.
    #[error("the first frame is no hello")]
    NoHello,
    /// A second hello.
    #[error("a second hello came")]
    SecondHello,
}

impl Mux {
    /// A link that nothing was sent on yet. Its first frame says `hello`.
    pub fn new(side: Side, limits: Limits, hello: Vec<u8>) -> Self {
        Self {
            side,
            streams: HashMap::new(),
            opened: 0,
            may_open: 0,
            peer_opened: 0,
            peer_may_open: limits.streams,
            peer_open: 0,
            extra_windows: 0,
            idle_frames: 0,
            schedule: Schedule::default(),
            noticed: VecDeque::new(),
            link: LinkNotices { hello: Some(hello), streams: true, ..LinkNotices::default() },
            dropped_datagrams: 0,
            peer_said_hello: false,
            closed: false,
            events: VecDeque::new(),
            limits,
        }
    }

    /// What happened, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Opens a stream; `None` while the other side allows no more, or as many of ours are open as we would allow it, until [`Event::MayOpen`].
    pub fn open(&mut self, urgency: Urgency) -> Option<StreamId> {
        if self.opened >= self.may_open || self.own_open() >= self.limits.streams {
            return None;
        }
        let id = StreamId(self.opened << 1 | u64::from(self.side == Side::Accepted));
        self.opened += 1;
        self.streams.insert(id, Stream::new(urgency, &self.limits));
        Some(id)
    }

    /// Streams of ours that there is room for. The other side may allow fewer at the moment.
    pub fn streams_left(&self) -> u64 {
        self.limits.streams.saturating_sub(self.own_open())
    }

    /// Drops something when a stream is over on both sides, which may be long after this one has let go of it.
    pub fn drop_with(&mut self, id: StreamId, what: Box<dyn Any>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.dropped_with_it = Some(what);
        }
    }

    /// Streams that were opened here, from the beginning.
    pub fn streams_opened(&self) -> u64 {
        self.opened
    }

    /// Whether no stream can be opened now, because as many are open as may be.
    pub fn is_full(&self) -> bool {
        self.may_open > 0 && (self.opened >= self.may_open || self.own_open() >= self.limits.streams)
    }

    /// Lets go of a stream: what is not read is thrown away, and an end that was not sent becomes a reset with `code`.
    pub fn release(&mut self, id: StreamId, code: Code) {
        self.stop(id, code);
        if self.streams.get(&id).is_some_and(|stream| stream.sending.state == SendState::Open) {
            self.reset(id, code);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.released = true;
        stream.datagrams.clear();
        self.remove_if_over(id);
    }

    /// Streams that are known.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Asks the other side for an answer. An older question that was not sent is dropped.
    ///
    /// This is how time passes here: of frames that carry nothing some are forgotten with each question, so that a link on which nothing but questions and answers
    /// go does not end by them.
    pub fn ping(&mut self, number: u64) {
        self.idle_frames = self.idle_frames.saturating_sub(limits::IDLE_FRAMES_FORGOTTEN);
        self.link.ping = Some(number);
    }

    /// Tells the other side to open no more streams.
    pub fn go_away(&mut self) {
        self.link.go_away = true;
    }

    /// Ends the link. Only this is sent any more. The first reason counts.
    pub fn close(&mut self, code: Code, reason: &str) {
        if !self.is_closing() {
            self.link.close = Some((code, reason.chars().take(256).collect()));
        }
    }

    /// Whether the link was [closed](Self::close) here.
    pub fn is_closing(&self) -> bool {
        self.closed || self.link.close.is_some()
    }

    /// Streams that were opened here and are known still: the other side may have ended only one direction of them.
    fn own_open(&self) -> u64 {
        self.streams.len() as u64 - self.peer_open
    }

    fn is_ours(&self, id: StreamId) -> bool {
        (id.0 & 1 == 1) == (self.side == Side::Accepted)
    }

    fn remove_if_over(&mut self, id: StreamId) {
        if !self.streams.get(&id).is_some_and(Stream::is_over) {
            return;
        }
        let Some(stream) = self.streams.remove(&id) else { return };
        self.extra_windows -= stream.receiving.window - limits::FIRST_WINDOW;
        if self.is_ours(id) {
            if self.own_open() + 1 == self.limits.streams {
                self.events.push_back(Event::MayOpen);
            }
        } else {
            self.peer_open -= 1;
            self.allow_streams();
        }
    }

    /// Allows the other side what is free, not with one frame for each stream, unless it may soon open none: what is free must not be out of its reach.
    fn allow_streams(&mut self) {
        let allowed = self.peer_opened + (self.limits.streams - self.peer_open);
        let (more, left) = (allowed - self.peer_may_open, self.peer_may_open - self.peer_opened);
        if more >= self.limits.streams.div_ceil(2) || more > 0 && left < self.limits.streams / 4 {
            self.link.streams = true;
        }
    }

    fn note(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut stream.notices.queued, true)
        {
            self.noticed.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests;
