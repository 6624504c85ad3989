//! A socket of a ring: who owns it, and what is under way for it.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

/// Names a socket of a ring to it; there is only one for each.
#[derive(Debug)]
pub struct Key(pub(crate) u32);

/// Hears what becomes of a socket, while its ring takes a turn. It must not use the ring meanwhile.
pub trait Owner {
    /// Bytes came. Whether to go on receiving: otherwise it ends soon, and what comes until then is handed over as well.
    fn received(&self, bytes: &[u8]) -> bool;

    /// Nothing more is received before it is asked for again.
    fn receive_ended(&self, end: ReceiveEnd);

    /// The next `count` bytes of those that are to be sent are on their way.
    fn sent(&self, count: usize);

    /// Sending ended: all is on its way, or the connection broke. The bytes come back.
    fn send_ended(&self, bytes: Vec<u8>, result: Result<(), Errno>);

    /// The wait for [`Ring::wait_readable`](crate::Ring::wait_readable) is over.
    fn readable(&self);

    /// The wait for [`Ring::wait_writable`](crate::Ring::wait_writable) is over.
    fn writable(&self);
}

/// Why receiving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveEnd {
    /// The peer will send no more.
    Peer,
    /// The owner did not go on, or there was no buffer: what comes stays in the socket.
    Stopped,
    /// The connection broke.
    Failed(Errno),
}

/// What may be under way for a socket. The number is part of what the kernel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Cancel = 0,
    Receive = 1,
    Send = 2,
    Readable = 3,
    Writable = 4,
}

impl Operation {
    const OF_SOCKETS: [Self; 4] = [Self::Receive, Self::Send, Self::Readable, Self::Writable];

    /// What the kernel returns with each completion.
    pub(crate) fn tag(self, index: u32) -> u64 {
        (self as u64) << 32 | u64::from(index)
    }

    /// The inverse of [`Self::tag`].
    pub(crate) fn of_tag(tag: u64) -> (Self, u32) {
        let operation = Self::OF_SOCKETS.into_iter().find(|operation| *operation as u64 == tag >> 32);
        (operation.unwrap_or(Self::Cancel), (tag & u64::from(u32::MAX)) as u32)
    }
}

/// A socket, until its last operation has completed.
pub(crate) struct Slot<O> {
    /// The kernel finds it by its number when an operation begins, so it stays open.
    pub(crate) socket: Rc<OwnedFd>,
    pub(crate) owner: O,
    /// Bytes that the kernel may read, and how many of them are sent.
    pub(crate) sending: Option<(Vec<u8>, usize)>,
    under_way: u8,
    /// Receiving is being cancelled.
    pub(crate) stopping: bool,
    pub(crate) removed: bool,
}

impl<O> Slot<O> {
    pub(crate) fn new(socket: Rc<OwnedFd>, owner: O) -> Self {
        Self { socket, owner, sending: None, under_way: 0, stopping: false, removed: false }
    }

    pub(crate) fn begin(&mut self, operation: Operation) {
        self.under_way |= 1 << operation as u8;
    }

    pub(crate) fn end(&mut self, operation: Operation) {
        self.under_way &= !(1 << operation as u8);
    }

    pub(crate) fn is_under_way(&self, operation: Operation) -> bool {
        self.under_way & (1 << operation as u8) != 0
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Everything that is under way.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> + use<O> {
        let under_way = self.under_way;
        Operation::OF_SOCKETS.into_iter().filter(move |operation| under_way & (1 << *operation as u8) != 0)
    }
}
