//! The ring: operations in, completions out.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;

use io_uring::types::{CancelBuilder, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::buffers::{Buffers, GROUP};
use crate::slot::{Key, Operation, Owner, Slot};
use crate::unavailable::Unavailable;

/// `IORING_ENTER_GETEVENTS`: runs what the kernel has deferred until we look.
const GET_EVENTS: u32 = 1;
/// System calls in one turn; the kernel runs about twenty deferred receives in each.
const ENTERS_PER_TURN: usize = 64;
/// How often a ring that is dropped looks whether what it has cancelled has ended.
const LOOKS_AT_THE_END: usize = 1000;
/// Whether the kernel need not tell of completions that our own system call brings about. Elsewhere the order in which it looks at
/// this and we look for deferred work is not certain.
const QUIET_WHILE_ENTERING: bool = cfg!(target_arch = "x86_64");

/// Sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Operations that one system call takes; a power of two.
    pub operations: u32,
    /// Buffers to receive into; a power of two.
    pub buffers: u16,
    /// Size of each, in bytes.
    pub buffer_size: u32,
}

/// What came of a [turn](Ring::turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All that the kernel had is done.
    Done,
    /// It has more: take another turn soon.
    More,
}

/// An io_uring for sockets, for one thread. `O` hears of them.
pub struct Ring<O: Owner> {
    // Before what the kernel may use: fields are dropped in this order.
    pub(crate) ring: IoUring,
    pub(crate) buffers: Buffers,
    pub(crate) slots: Vec<Option<Slot<O>>>,
    free: Vec<u32>,
    /// Operations that did not fit.
    waiting: VecDeque<squeue::Entry>,
    pub(crate) completed: Vec<cqueue::Entry>,
    wakeups: OwnedFd,
    /// The kernel takes operations from the thread that made the ring only.
    one_thread: PhantomData<*const ()>,
}

impl<O: Owner> Ring<O> {
    /// A ring for this thread.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn new(options: Options) -> Result<Self, Unavailable> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(options.operations.saturating_mul(4))
            .build(options.operations)?;
        let wakeups = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        ring.submitter().register_eventfd(wakeups.as_raw_fd())?;
        let buffers = Buffers::register(&ring.submitter(), options.buffers, options.buffer_size)?;
        Ok(Self {
            ring,
            buffers,
            slots: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            completed: Vec::new(),
            wakeups,
            one_thread: PhantomData,
        })
    }

    /// Becomes readable whenever there is a reason for a turn (edge-triggered: it is never read).
    pub fn wakeups(&self) -> BorrowedFd<'_> {
        self.wakeups.as_fd()
    }

    /// Takes a connected socket.
    pub fn add(&mut self, socket: Rc<OwnedFd>, owner: O) -> Key {
        let slot = Some(Slot::new(socket, owner));
        if let Some(index) = self.free.pop()
            && let Some(free) = self.slots.get_mut(index as usize)
        {
            *free = slot;
            return Key(index);
        }
        self.slots.push(slot);
        Key((self.slots.len() - 1) as u32)
    }

    /// Forgets a socket: its owner hears no more, what is under way is cancelled after it was tried once. It closes when that has
    /// ended, unless somebody else holds it.
    pub fn remove(&mut self, key: Key) {
        let index = key.0;
        let Some(slot) = self.slot(index) else { return };
        slot.removed = true;
        for operation in slot.operations() {
            self.push(opcode::AsyncCancel::new(operation.tag(index)).build());
        }
        self.free_if_idle(index);
    }

    /// Receives until the peer or the owner has enough. Nothing happens if that is so already.
    pub fn receive(&mut self, key: &Key) {
        self.begin(key, Operation::Receive, |socket| opcode::RecvMulti::new(socket, GROUP).build());
    }

    /// Sends bytes, all of them unless the connection breaks.
    ///
    /// # Panics
    /// The bytes before have not come back yet.
    pub fn send(&mut self, key: &Key, bytes: Vec<u8>) {
        let Some(slot) = self.slot(key.0) else { return };
        assert!(slot.sending.is_none(), "one send at a time");
        slot.sending = Some((bytes, 0));
        self.continue_sending(key.0);
    }

    /// Tells the owner when the socket is readable, or broken.
    pub fn wait_readable(&mut self, key: &Key) {
        let events = u32::from((PollFlags::IN | PollFlags::RDHUP).bits());
        self.begin(key, Operation::Readable, |socket| opcode::PollAdd::new(socket, events).build());
    }

    /// Tells the owner when the socket is writable, or broken.
    pub fn wait_writable(&mut self, key: &Key) {
        let events = u32::from(PollFlags::OUT.bits());
        self.begin(key, Operation::Writable, |socket| opcode::PollAdd::new(socket, events).build());
    }

    /// Hands to the kernel what was asked for, and to owners what has come of it. Does not wait.
    ///
    /// # Errors
    /// The ring is of no use any more.
    pub fn turn(&mut self) -> io::Result<Turn> {
        for _ in 0..ENTERS_PER_TURN {
            if self.is_done() {
                return Ok(Turn::Done);
            }
            self.enter()?;
            self.complete();
        }
        Ok(if self.is_done() { Turn::Done } else { Turn::More })
    }

    /// Whether a turn would do nothing.
    pub fn is_done(&mut self) -> bool {
        let queue = self.ring.submission();
        let nothing_to_enter_for = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        nothing_to_enter_for && self.waiting.is_empty() && self.ring.completion().is_empty()
    }

    fn enter(&mut self) -> io::Result<()> {
        self.push_waiting();
        if QUIET_WHILE_ENTERING {
            self.ring.completion().disable_eventfd();
        }
        let count = self.ring.submission().len() as u32;
        // SAFETY: without an argument. What the operations refer to is alive: see `push`.
        let entered = unsafe { self.ring.submitter().enter::<()>(count, 0, GET_EVENTS, None) };
        if QUIET_WHILE_ENTERING {
            self.ring.completion().enable_eventfd();
            // Deferred work is either seen after this, or announced.
            std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        }
        match entered.map_err(|error| (Errno::from_io_error(&error), error)) {
            Ok(_) | Err((Some(Errno::INTR | Errno::AGAIN | Errno::BUSY | Errno::NOMEM), _)) => Ok(()),
            Err((_, error)) => Err(error),
        }
    }

    pub(crate) fn continue_sending(&mut self, index: u32) {
        let Some(slot) = self.slot(index) else { return };
        let Some((bytes, sent)) = &slot.sending else { return };
        let unsent = bytes.get(*sent..).unwrap_or_default();
        let count = u32::try_from(unsent.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(slot.socket.as_raw_fd()), unsent.as_ptr(), count)
            .flags(SendFlags::NOSIGNAL.bits() as i32)
            .build();
        slot.begin(Operation::Send);
        self.push(entry.user_data(Operation::Send.tag(index)));
    }

    fn begin(&mut self, key: &Key, operation: Operation, entry: impl FnOnce(Fd) -> squeue::Entry) {
        let index = key.0;
        let Some(slot) = self.slot(index) else { return };
        if slot.is_under_way(operation) {
            return;
        }
        slot.begin(operation);
        let entry = entry(Fd(slot.socket.as_raw_fd()));
        self.push(entry.user_data(operation.tag(index)));
    }

    /// Queues an operation: a send of bytes that lie in a slot, or one that refers to no memory.
    pub(crate) fn push(&mut self, entry: squeue::Entry) {
        if !self.waiting.is_empty() || !self.try_push(&entry) {
            self.waiting.push_back(entry);
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the bytes of a send lie in its slot, which is neither freed nor given other bytes before the send has ended
        // (`sent`, `free_if_idle`); what a vector holds does not move with it. Its socket is open until then as well.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    fn push_waiting(&mut self) {
        while let Some(entry) = self.waiting.pop_front() {
            if !self.try_push(&entry) {
                self.waiting.push_front(entry);
                return;
            }
        }
    }

    pub(crate) fn slot(&mut self, index: u32) -> Option<&mut Slot<O>> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub(crate) fn free_if_idle(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.as_ref().is_some_and(|slot| slot.removed && slot.is_idle())
        {
            *slot = None;
            self.free.push(index);
        }
    }

    /// Ends everything that is under way; whether it has ended.
    fn end_all(&mut self) -> bool {
        for slot in self.slots.iter_mut().flatten() {
            slot.removed = true;
        }
        for _ in 0..LOOKS_AT_THE_END {
            if self.slots.iter().flatten().all(Slot::is_idle) {
                return true;
            }
            if self.enter().is_err() {
                return false;
            }
            // Nothing to cancel is no failure.
            drop(self.ring.submitter().register_sync_cancel(None, CancelBuilder::any()));
            self.complete();
        }
        false
    }
}

impl<O: Owner> Drop for Ring<O> {
    fn drop(&mut self) {
        if self.end_all() {
            return;
        }
        self.buffers.leak();
        for slot in self.slots.iter_mut().flatten() {
            std::mem::forget(slot.sending.take());
        }
    }
}

impl<O: Owner> fmt::Debug for Ring<O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets = self.slots.len() - self.free.len();
        formatter.debug_struct("Ring").field("sockets", &sockets).finish_non_exhaustive()
    }
}
