//! A socket that a ring drives, as its connection sees it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use ring::{Key, ReceiveEnd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::task::coop::poll_proceed;

use super::connection::OwnedByRing;
use super::receive::{Received, receive};
use super::ring::WorkerRing;
use super::{BLOCK_SIZE, Input, Io};

/// The socket and what the ring received from it.
///
/// While its owner keeps up, the ring receives whatever comes. Once more than a block waits it stops, and what comes stays in the
/// socket. Then the owner is about to get much: it receives from the socket itself, and the ring only says when there is something,
/// until there was no more than a block.
pub(super) struct RingSocket {
    socket: Rc<OwnedFd>,
    key: Option<Key>,
    receiving: Cell<Receiving>,
    /// More comes than the owner takes.
    bulk: Cell<bool>,
    /// The owner has received all that was in the socket, as far as it has heard.
    drained: Cell<bool>,
    /// Bytes that the owner has received since it last had to wait for some.
    since_wait: Cell<usize>,
    received: RefCell<Input>,
    end: Cell<Option<ReceiveEnd>>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

/// What the ring does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    /// Nothing.
    No,
    /// It receives, perhaps no longer than until it has heard that it is to stop.
    Yes,
    /// It says when there is something, for the owner to receive: in pieces of the ring's buffers much would cost more.
    OnlySays,
}

impl RingSocket {
    pub(super) fn new(socket: OwnedFd, io: &Rc<Io>, ring: &WorkerRing, owner: OwnedByRing) -> Self {
        let socket = Rc::new(socket);
        let key = Some(ring.add(&socket, owner));
        Self {
            socket,
            key,
            receiving: Cell::new(Receiving::No),
            bulk: Cell::new(false),
            drained: Cell::new(false),
            since_wait: Cell::new(0),
            received: RefCell::new(Input::new(io)),
            end: Cell::new(None),
            reader: Cell::new(None),
            writer: Cell::new(None),
        }
    }

    fn ask(&self, ask: impl FnOnce(&mut ring::Ring<OwnedByRing>, &Key)) {
        if let (Some(ring), Some(key)) = (&self.received.borrow().io().ring, &self.key) {
            ring.with(|ring| ask(ring, key));
        }
    }

    /// Sends, and gives the bytes back to the connection afterwards. A turn of the ring must follow.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        if let (Some(ring), Some(key)) = (&self.received.borrow().io().ring, &self.key) {
            ring.before_turn(|ring| ring.send(key, bytes));
        }
    }

    /// Receives by `take` when there is something.
    pub(super) fn poll_receive(
        &self,
        context: &mut Context<'_>,
        mut take: impl FnMut() -> io::Result<Received>,
    ) -> Poll<io::Result<usize>> {
        if self.has_received() {
            return Poll::Ready(take().map(|received| received.count));
        }
        if self.receiving.get() == Receiving::No {
            if !self.bulk.get() {
                self.start_receiving();
            } else if self.drained.get() {
                self.start_waiting();
            } else {
                let budget = ready!(poll_proceed(context));
                match take() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.start_waiting(),
                    result => {
                        budget.made_progress();
                        return Poll::Ready(result.map(|received| received.count));
                    }
                }
            }
        }
        wait(&self.reader, context);
        Poll::Pending
    }

    /// For [`Self::poll_receive`]: into memory.
    pub(super) fn take(&self, into: &mut [u8]) -> io::Result<Received> {
        let mut received = self.received.borrow_mut();
        let waiting = received.bytes();
        if waiting.is_empty() {
            drop(received);
            return self.take_end(into);
        }
        let count = waiting.len().min(into.len());
        into[..count].copy_from_slice(&waiting[..count]);
        received.consume(count);
        Ok(Received::perhaps_more(count))
    }

    /// As [`Socket::hand_over`](super::socket::Socket::hand_over).
    pub(super) fn hand_over(&self, input: &mut Input, limit: usize) -> Option<usize> {
        let mut received = self.received.borrow_mut();
        let count = received.bytes().len();
        // What has outgrown its block is taken in pieces: the block would only grow further.
        if !input.is_empty() || !(1..=limit.min(BLOCK_SIZE)).contains(&count) {
            return None;
        }
        input.take_from(&mut received);
        Some(count)
    }

    fn take_end(&self, into: &mut [u8]) -> io::Result<Received> {
        match self.end.get() {
            Some(ReceiveEnd::Failed(error)) => {
                self.end.set(Some(ReceiveEnd::Peer));
                Err(error.into())
            }
            Some(_) => Ok(Received::perhaps_more(0)),
            None => {
                let received = receive(self.socket.as_fd(), into)?;
                self.since_wait.set(self.since_wait.get().saturating_add(received.count));
                self.bulk.set(!received.is_all || self.since_wait.get() > BLOCK_SIZE);
                self.drained.set(received.is_all);
                if received.count == 0 {
                    self.end.set(Some(ReceiveEnd::Peer));
                }
                Ok(received)
            }
        }
    }

    /// Bytes or the end are there to be taken.
    fn has_received(&self) -> bool {
        self.end.get().is_some() || !self.received.borrow().is_empty()
    }

    fn start_receiving(&self) {
        self.bulk.set(false);
        self.since_wait.set(0);
        self.receiving.set(Receiving::Yes);
        self.ask(|ring, key| ring.receive(key));
    }

    fn start_waiting(&self) {
        self.receiving.set(Receiving::OnlySays);
        self.since_wait.set(0);
        self.ask(|ring, key| ring.wait_readable(key));
    }

    /// Whether the peer has neither sent nor closed; from now on it is heard of in any case.
    pub(super) fn is_quiet(&self) -> bool {
        if self.has_received() {
            return false;
        }
        if self.receiving.get() != Receiving::Yes {
            self.start_receiving();
        }
        true
    }

    /// Whether the peer has closed its side. There may be bytes before the end.
    pub(super) fn is_peer_done(&self) -> bool {
        if self.end.get().is_some() || self.receiving.get() == Receiving::Yes {
            return self.end.get().is_some();
        }
        // Nobody receives, so nobody would hear of it.
        let mut asked = [PollFd::new(&*self.socket, PollFlags::RDHUP)];
        let known = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        known.is_ok_and(|_| asked.iter().any(|socket| !socket.revents().is_empty()))
    }

    /// Whether the socket holds all that is to be received.
    pub(super) fn is_untouched(&self) -> bool {
        self.receiving.get() != Receiving::Yes && !self.has_received()
    }

    /// Waits for something to receive, which the ring does not receive.
    pub(super) fn wait_readable(&self, context: &Context<'_>) {
        wait(&self.reader, context);
        self.ask(|ring, key| ring.wait_readable(key));
    }

    /// Waits until the socket takes more.
    pub(super) fn wait_writable(&self, context: &Context<'_>) {
        wait(&self.writer, context);
        self.ask(|ring, key| ring.wait_writable(key));
    }

    /// The ring received; whether it is to go on.
    pub(super) fn received(&self, bytes: &[u8]) -> bool {
        let mut received = self.received.borrow_mut();
        received.append(bytes);
        wake(&self.reader);
        let keeps_up = received.bytes().len() <= BLOCK_SIZE;
        self.bulk.set(!keeps_up);
        self.drained.set(false);
        keeps_up
    }

    /// The ring has stopped.
    pub(super) fn receive_ended(&self, end: ReceiveEnd) {
        self.receiving.set(Receiving::No);
        if end != ReceiveEnd::Stopped {
            self.end.set(Some(end));
        }
        wake(&self.reader);
    }

    pub(super) fn readable(&self) {
        self.drained.set(false);
        if self.receiving.get() == Receiving::OnlySays {
            self.receiving.set(Receiving::No);
        }
        wake(&self.reader);
    }

    pub(super) fn writable(&self) {
        wake(&self.writer);
    }

    /// Sends a few bytes at once or not at all, while the ring sends nothing.
    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};
        send(&*self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map_err(Errno::into)
    }
}

fn wait(waiting: &Cell<Option<Waker>>, context: &Context<'_>) {
    let waker = waiting.take().filter(|waker| waker.will_wake(context.waker()));
    waiting.set(Some(waker.unwrap_or_else(|| context.waker().clone())));
}

fn wake(waiting: &Cell<Option<Waker>>) {
    if let Some(waker) = waiting.take() {
        waker.wake();
    }
}

impl AsFd for RingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for RingSocket {
    fn drop(&mut self) {
        if let (Some(ring), Some(key)) = (&self.received.get_mut().io().ring, self.key.take()) {
            ring.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
