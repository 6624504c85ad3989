//! A worker's ring as its connections and its flusher use it.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Waker};

use ring::{Key, Readiness, Ring, Turn};

use super::connection::OwnedByRing;
use super::driver::new_ring;

/// The ring, and who takes its turns.
#[derive(Debug)]
pub(super) struct WorkerRing {
    ring: RefCell<Ring<OwnedByRing>>,
    /// Readable when the kernel has something for us.
    wakeups: Readiness,
    /// Sockets whose connection is gone. It may go while the ring takes a turn.
    removed: RefCell<Vec<Key>>,
    /// The flusher.
    turner: RefCell<Option<Waker>>,
}

impl WorkerRing {
    /// For the worker of this thread, within its runtime.
    pub(super) fn new() -> io::Result<Self> {
        let ring = new_ring().map_err(io::Error::other)?;
        let wakeups = Readiness::new(ring.wakeups().try_clone_to_owned()?)?;
        let ring = RefCell::new(ring);
        Ok(Self { ring, wakeups, removed: RefCell::default(), turner: RefCell::default() })
    }

    pub(super) fn add(&self, socket: &Rc<OwnedFd>, owner: OwnedByRing) -> Key {
        self.ring.borrow_mut().add(socket.clone(), owner)
    }

    pub(super) fn remove(&self, key: Key) {
        self.removed.borrow_mut().push(key);
        self.wake();
    }

    /// Uses the ring; what is asked of it happens with the next turn.
    pub(super) fn with(&self, ask: impl FnOnce(&mut Ring<OwnedByRing>)) {
        ask(&mut self.ring.borrow_mut());
        self.wake();
    }

    /// As [`Self::with`], where a turn follows anyway.
    pub(super) fn before_turn(&self, ask: impl FnOnce(&mut Ring<OwnedByRing>)) {
        ask(&mut self.ring.borrow_mut());
    }

    /// Takes a turn; `false` if there was nothing to do.
    pub(super) fn turn(&self) -> bool {
        let mut ring = self.ring.borrow_mut();
        for key in self.removed.take() {
            ring.remove(key);
        }
        if ring.is_done() {
            return false;
        }
        match ring.turn() {
            Ok(Turn::Done) => {}
            Ok(Turn::More) => self.wake(),
            // Nothing this worker serves would ever go on.
            Err(error) => panic!("the ring is of no use any more: {error}"),
        }
        true
    }

    /// From now on `context` is woken when there is reason for a turn.
    pub(super) fn wake_me(&self, context: &Context<'_>) {
        let mut turner = self.turner.borrow_mut();
        if !turner.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *turner = Some(context.waker().clone());
        }
    }

    /// Hears that the kernel has something, and asks to be told again. A turn must follow.
    pub(super) fn hear(&self, context: &mut Context<'_>) {
        self.wakeups.hear(context);
    }

    fn wake(&self) {
        if let Some(turner) = &*self.turner.borrow() {
            turner.wake_by_ref();
        }
    }
}
