//! A link: many streams on one connection between two nodes, and what is known of it.
//!
//! Whoever holds a [`Link`] opens streams and takes those that the other side opens; its [`Driver`] moves the bytes. Both belong to one thread. The
//! same runs over TLS on a socket, and inside a stream between two edges.

mod datagrams;
mod driver;
mod end;
mod stream;
mod waiting;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::frame::{Code, StreamId};
use overlay_wire::mux::{Event, Limits, Mux, Side, Urgency};

pub use self::driver::{Driver, Timing};
pub(crate) use self::end::Served;
pub use self::end::{LinkEnd, code};
pub use self::stream::LinkStream;
use self::waiting::Waiting;
use crate::node::{Counters, count};
use crate::waiters::{Waiter, Waiters};
use crate::wake;

/// Streams of the other side that nobody has taken yet; more are reset.
const MOST_WAITING: usize = 256;

/// A handle of a link. The link ends with its driver.
#[derive(Clone)]
pub struct Link(Rc<Shared>);

struct Shared {
    mux: RefCell<Mux>,
    users: RefCell<HashMap<StreamId, User>>,
    /// Who waits for a stream that may be opened.
    openers: Waiters,
    incoming: RefCell<Waiting<StreamId>>,
    hello: RefCell<Option<Vec<u8>>>,
    driver: RefCell<Option<Waker>>,
    /// Who waits for the hello, the end, suspicion, or that the other side leaves.
    watchers: Waiters,
    leaving: Cell<bool>,
    round_trip: Cell<Option<Duration>>,
    /// An answer is overdue.
    suspect: Cell<bool>,
    end: OnceCell<LinkEnd>,
    /// Of the node that uses it.
    counters: OnceCell<Arc<Counters>>,
}

/// Who uses a stream.
#[derive(Default)]
struct User {
    reader: Option<Waker>,
    writer: Option<Waker>,
    stopped: Option<Code>,
}

impl Link {
    fn new(side: Side, limits: Limits, hello: Vec<u8>) -> Self {
        Self(Rc::new(Shared {
            mux: RefCell::new(Mux::new(side, limits, hello)),
            users: RefCell::default(),
            openers: Waiters::default(),
            incoming: RefCell::default(),
            hello: RefCell::default(),
            driver: RefCell::default(),
            watchers: Waiters::default(),
            leaving: Cell::new(false),
            round_trip: Cell::new(None),
            suspect: Cell::new(false),
            end: OnceCell::new(),
            counters: OnceCell::new(),
        }))
    }

    /// What the other side said of itself, first of all.
    ///
    /// # Errors
    /// The link ended before.
    pub async fn hello(&self) -> Result<Vec<u8>, LinkEnd> {
        let mut waiter = Waiter::default();
        poll_fn(|context| match (&*self.0.hello.borrow(), self.0.end.get()) {
            (Some(hello), _) => Poll::Ready(Ok(hello.clone())),
            (None, Some(end)) => Poll::Ready(Err(end.clone())),
            (None, None) => {
                self.watch(&mut waiter, context);
                Poll::Pending
            }
        })
        .await
    }

    /// Opens a stream; waits while the other side allows no more.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn open(&self, urgency: Urgency) -> Result<LinkStream, LinkEnd> {
        let mut waiter = Waiter::default();
        poll_fn(|context| match self.try_open(urgency) {
            Err(end) => Poll::Ready(Err(end)),
            Ok(Some(stream)) => Poll::Ready(Ok(stream)),
            Ok(None) => {
                self.0.openers.wait(&mut waiter, context);
                Poll::Pending
            }
        })
        .await
    }

    /// As [`Self::open`]; `None` if it would have to wait.
    ///
    /// # Errors
    /// The link has ended.
    pub fn try_open(&self, urgency: Urgency) -> Result<Option<LinkStream>, LinkEnd> {
        if let Some(end) = self.0.end.get() {
            return Err(end.clone());
        }
        let opened = self.0.mux.borrow_mut().open(urgency);
        Ok(opened.map(|id| LinkStream::new(self, id)))
    }

    /// The next stream that the other side has opened; `None` when the link has ended.
    pub async fn accept(&self) -> Option<LinkStream> {
        poll_fn(|context| match self.0.incoming.borrow_mut().poll(context) {
            Poll::Ready(id) => Poll::Ready(Some(LinkStream::new(self, id))),
            Poll::Pending if self.0.end.get().is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Asks the other side to open no more streams.
    pub fn go_away(&self) {
        self.0.mux.borrow_mut().go_away();
        self.wake_driver();
    }

    /// Whether the other side wants no more streams.
    pub fn is_leaving(&self) -> bool {
        self.0.leaving.get()
    }

    /// Returns when the other side [wants no more streams](Self::is_leaving), or the link has ended.
    pub(crate) async fn left(&self) {
        let mut waiter = Waiter::default();
        poll_fn(|context| {
            if self.is_leaving() || self.0.end.get().is_some() {
                return Poll::Ready(());
            }
            self.watch(&mut waiter, context);
            Poll::Pending
        })
        .await;
    }

    /// Streams that were opened here, from the beginning.
    pub(crate) fn streams_opened(&self) -> u64 {
        self.0.mux.borrow().streams_opened()
    }

    /// Streams that there is room for, as far as this side knows.
    pub(crate) fn streams_left(&self) -> usize {
        usize::try_from(self.0.mux.borrow().streams_left()).unwrap_or(usize::MAX)
    }

    /// Whether no stream can be opened before another one ends.
    pub(crate) fn is_full(&self) -> bool {
        self.0.mux.borrow().is_full()
    }

    /// Ends the link, and tells the other side why.
    pub fn close(&self, code: Code, reason: &str) {
        self.0.mux.borrow_mut().close(code, reason);
        self.wake_driver();
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&LinkEnd> {
        self.0.end.get()
    }

    /// Returns when it has ended.
    pub async fn ended(&self) -> LinkEnd {
        let mut waiter = Waiter::default();
        poll_fn(|context| match self.0.end.get() {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                self.watch(&mut waiter, context);
                Poll::Pending
            }
        })
        .await
    }

    /// The smoothed time from a ping to its answer (as RFC 6298 does), once it was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.round_trip.get()
    }

    /// Whether an answer is overdue, so that it may be dead.
    pub fn is_suspect(&self) -> bool {
        self.0.suspect.get() || self.0.end.get().is_some()
    }

    /// Streams that are open.
    pub fn stream_count(&self) -> usize {
        self.0.mux.borrow().stream_count()
    }

    /// Wakes a task when the link is suspected, no longer suspected, left by the other side, or ends.
    pub(crate) fn watch(&self, waiter: &mut Waiter, context: &Context<'_>) {
        self.0.watchers.wait(waiter, context);
    }

    /// From now on what it carries is counted.
    pub(crate) fn count_with(&self, counters: Arc<Counters>) {
        let _ = self.0.counters.set(counters);
    }

    fn counters(&self) -> Option<&Counters> {
        self.0.counters.get().map(Arc::as_ref)
    }

    fn set_suspect(&self, suspect: bool) {
        if self.0.suspect.replace(suspect) != suspect {
            if let Some(counters) = self.counters().filter(|_| suspect) {
                count(&counters.links_suspected);
            }
            self.wake_watchers();
        }
    }

    fn wake_driver(&self) {
        wake(&mut self.0.driver.borrow_mut());
    }

    fn handle(&self, event: Event) {
        match event {
            Event::Hello(hello) => {
                *self.0.hello.borrow_mut() = Some(hello);
                self.wake_watchers();
            }
            Event::Opened(id) => self.opened(id),
            Event::Readable(id) => {
                if let Some(user) = self.0.users.borrow_mut().get_mut(&id) {
                    wake(&mut user.reader);
                }
            }
            Event::Writable(id) => {
                if let Some(user) = self.0.users.borrow_mut().get_mut(&id) {
                    wake(&mut user.writer);
                }
            }
            Event::Stopped(id, code) => {
                if let Some(user) = self.0.users.borrow_mut().get_mut(&id) {
                    user.stopped = Some(code);
                    wake(&mut user.writer);
                }
            }
            Event::MayOpen => self.0.openers.wake_all(),
            Event::GoAway => {
                self.0.leaving.set(true);
                self.wake_watchers();
            }
            Event::Pong(_) | Event::Closed(..) => {} // the driver's
        }
    }

    fn opened(&self, id: StreamId) {
        let mut incoming = self.0.incoming.borrow_mut();
        if incoming.queue.len() < MOST_WAITING {
            self.0.users.borrow_mut().insert(id, User::default());
            incoming.push(id);
        } else {
            self.0.mux.borrow_mut().release(id, code::OVERLOADED);
        }
    }

    fn wake_watchers(&self) {
        self.0.watchers.wake_all();
    }

    /// Everybody hears of the end.
    fn finish(&self, end: LinkEnd) {
        let _ = self.0.end.set(end);
        self.wake_watchers();
        self.0.openers.wake_all();
        wake(&mut self.0.incoming.borrow_mut().taker);
        for user in self.0.users.borrow_mut().values_mut() {
            wake(&mut user.reader);
            wake(&mut user.writer);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("streams", &self.stream_count()).field("end", &self.0.end.get()).finish()
    }
}
