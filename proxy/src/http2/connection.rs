//! A connection as its driver and the handles of its streams share it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use h1::{RequestHead, Scheme};
use h2::{Code, Config, Key, OpenError, Role};

use super::slot::{Ending, Reset, Slot};
use super::spare::SpareHeads;
use super::stream::Stream;
use crate::io::{Io, StreamWriter};
use tokio::sync::Notify;

/// Bytes of each buffer that an idle connection keeps: few heads are larger.
const MOST_AT_REST: usize = 1024;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The peer closed it, or it broke.
    Peer,
    /// The peer broke the protocol, in these words.
    Protocol(&'static str),
    /// The peer passed this limit (`h2::AbuseLimits`).
    Flood(&'static str),
    /// We closed it.
    Local,
}

/// An HTTP/2 connection.
pub struct Connection {
    pub(super) role: Role,
    pub(super) io: Rc<Io>,
    pub(super) writer: StreamWriter,
    pub(super) state: RefCell<State>,
    /// The peer's settings are there, or will never be.
    pub(super) settled: Notify,
    /// Streams that were given up because nobody took what arrived on them, and that were not counted yet.
    pub(super) unread: Cell<u64>,
}

pub(super) struct State {
    pub(super) codec: h2::Connection<Slot>,
    /// Replies of the codec on their way into the output.
    pub(super) replies: Vec<u8>,
    /// Streams that wait for windows, in the order in which they get what becomes free, and some that do not any more.
    pub(super) blocked: VecDeque<Key>,
    /// Bytes that wait for windows, of all streams.
    pub(super) unsent: usize,
    /// Streams that wait for the peer to read.
    pub(super) crowded: Vec<Key>,
    pub(super) driver: Option<Waker>,
    pub(super) over: Option<Over>,
    /// The peer opens or takes no more streams.
    pub(super) peer_is_leaving: bool,
    /// What the peer said is wrong when it said goodbye.
    pub(super) complaint: Option<Code>,
    /// Somebody waits for a stream to end.
    room_is_awaited: bool,
    /// Answers to PINGs.
    pub(super) pongs: u64,
    pub(super) spare: Rc<SpareHeads>,
}

impl Connection {
    /// Begins a connection whose bytes go to `writer`; [`Self::poll_drive`] must be polled from now on.
    pub fn start(role: Role, config: Config, writer: StreamWriter, io: &Rc<Io>, spare: &Rc<SpareHeads>) -> Rc<Self> {
        let mut codec = h2::Connection::new(role, config);
        writer.put(|out| codec.start(out));
        Rc::new(Self {
            role,
            io: io.clone(),
            writer,
            state: RefCell::new(State {
                codec,
                replies: Vec::new(),
                blocked: VecDeque::new(),
                unsent: 0,
                crowded: Vec::new(),
                driver: None,
                over: None,
                peer_is_leaving: false,
                complaint: None,
                room_is_awaited: false,
                pongs: 0,
                spare: spare.clone(),
            }),
            settled: Notify::new(),
            unread: Cell::new(0),
        })
    }

    /// Streams that are open.
    pub fn active(&self) -> usize {
        self.state.borrow().codec.active()
    }

    /// Bytes that arrived and that nobody has taken yet, of all streams.
    pub fn held(&self) -> usize {
        self.state.borrow().codec.held()
    }

    /// Streams that were given up since the last call because nobody took what arrived on them.
    pub fn take_unread(&self) -> u64 {
        self.unread.take()
    }

    /// Whether another request may be sent now. Without a driver that has seen the end of the connection this is a guess.
    pub fn can_open(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_none() && !state.peer_is_leaving && state.codec.can_open()
    }

    /// Whether no request will be sent on it any more.
    pub fn is_leaving(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_some() || state.peer_is_leaving
    }

    /// What the peer says that we did wrong, with which it closes the connection; told once.
    pub fn take_complaint(&self) -> Option<Code> {
        self.state.borrow_mut().complaint.take()
    }

    /// Waits for the peer's settings, or the end of the connection.
    pub async fn settled(&self) {
        while !self.is_settled() {
            self.settled.notified().await;
        }
    }

    /// Whether the peer's settings are there, or will never be.
    pub fn is_settled(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_some() || state.codec.has_settings()
    }

    /// Sends the head of a request. `whole`: there is no body.
    ///
    /// # Errors
    /// The peer takes no more requests, or none now.
    pub fn open(self: &Rc<Self>, head: &RequestHead, scheme: Scheme, whole: bool) -> Result<Stream, OpenError> {
        let mut state = self.state.borrow_mut();
        if state.over.is_some() || state.peer_is_leaving {
            return Err(OpenError::GoingAway);
        }
        let mut slot = Slot::new(&self.io, false);
        if whole {
            slot.ending = Ending::Sent;
        }
        let mut opened = Err(OpenError::GoingAway);
        self.writer.put(|out| opened = state.codec.open(head, scheme, whole, slot, out));
        opened.map(|key| Stream::new(self, key))
    }

    /// Nothing is under way: gives back what the next requests hardly need.
    pub fn rest(&self) {
        let mut state = self.state.borrow_mut();
        state.codec.shrink_to(MOST_AT_REST);
        state.replies.shrink_to(MOST_AT_REST);
    }

    /// Lets its driver look again when a stream has ended.
    pub fn tell_of_room(&self) {
        self.state.borrow_mut().room_is_awaited = true;
    }

    /// Lets its driver look again.
    pub fn wake(&self) {
        self.state.borrow().wake_driver();
    }

    /// Asks the peer whether it is still there.
    pub(super) fn ping(&self) {
        let mut state = self.state.borrow_mut();
        let sent = state.pongs.to_be_bytes();
        self.writer.put(|out| state.codec.ping(sent, out));
    }

    /// Asks the peer to open no more streams. None is refused yet: those that are open go on, and those that it opens before it hears of
    /// this are taken; see [`Self::go_away`].
    pub fn drain(&self) {
        let mut state = self.state.borrow_mut();
        self.writer.put(|out| state.codec.drain(out));
    }

    /// Tells the peer which of its streams was the last that was taken, and why there are no more. Streams beyond it are ignored; those up
    /// to it go on.
    pub fn go_away(&self, code: Code) {
        let mut state = self.state.borrow_mut();
        self.writer.put(|out| state.codec.go_away(code, out));
    }

    /// The connection is gone: every stream is told.
    pub fn end(&self, over: Over) {
        let mut state = self.state.borrow_mut();
        if state.over.is_none() {
            state.over = Some(over);
        }
        let reset = match over {
            Over::Protocol(_) | Over::Flood(_) => Reset::BrokenConnection,
            Over::Peer | Over::Local => Reset::ConnectionGone,
        };
        let dropped: usize = state.codec.values().map(|(_, slot)| slot.fail(reset)).sum();
        state.unsent -= dropped;
        self.settled.notify_waiters();
    }

    /// Puts what the codec wants to say by itself. Behind the end of the connection nothing is said of its streams.
    pub(super) fn put_replies(&self, state: &mut State) {
        if state.over.is_some() {
            state.replies.clear();
        }
        if !state.replies.is_empty() {
            self.writer.put(|out| out.extend_from_slice(&state.replies));
            state.replies.clear();
        }
    }

    /// Nobody wants the stream any more.
    pub(super) fn release(&self, state: &mut State, key: Key) {
        let mut replies = std::mem::take(&mut state.replies);
        let slot = state.codec.release(key, &mut replies);
        state.replies = replies;
        self.put_replies(state);
        state.unsent -= slot.as_ref().map_or(0, |slot| slot.unsent.len());
        for head in slot.into_iter().flat_map(|slot| slot.heads) {
            state.spare.keep_head(head);
        }
        // An idle connection may have something to do: to close, or to serve who waits.
        if state.codec.active() == 0 || std::mem::take(&mut state.room_is_awaited) {
            state.wake_driver();
        }
    }
}

impl State {
    pub(super) fn register_driver(&mut self, context: &Context<'_>) {
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(context.waker())) {
            self.driver = Some(context.waker().clone());
        }
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Connection");
        if let Ok(state) = self.state.try_borrow() {
            debug.field("active", &state.codec.active()).field("over", &state.over);
        }
        debug.finish_non_exhaustive()
    }
}
