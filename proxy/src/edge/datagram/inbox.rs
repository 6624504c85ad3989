//! Datagrams of a client that wait for its flow. What has waited for too long is dropped: whoever sent it has asked again, or does not care.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use overlay_wire::datagram::Queue;
use tokio::time::Instant;

/// Bytes that wait; the oldest are dropped for new ones.
const MOST: usize = 128 * 1024;
/// What waited for longer is dropped.
const STALE: Duration = Duration::from_secs(1);

/// Those of one flow.
pub(super) struct Inbox {
    waiting: RefCell<Queue>,
    /// Since when each of them waits.
    since: RefCell<VecDeque<Instant>>,
    taker: RefCell<Option<Waker>>,
    /// The flow is to end, because others need its place.
    is_closed: Cell<bool>,
    last_used: Cell<Instant>,
    dropped: Cell<u64>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            waiting: RefCell::new(Queue::new(MOST)),
            since: RefCell::default(),
            taker: RefCell::default(),
            is_closed: Cell::new(false),
            last_used: Cell::new(Instant::now()),
            dropped: Cell::new(0),
        }
    }

    /// Adds a datagram, which is never larger than the whole queue.
    pub(super) fn push(&self, datagram: Vec<u8>) {
        let dropped = self.waiting.borrow_mut().push(datagram);
        let mut since = self.since.borrow_mut();
        (0..dropped).for_each(|_| _ = since.pop_front());
        since.push_back(Instant::now());
        self.dropped.set(self.dropped.get() + dropped);
        self.use_now();
        self.wake();
    }

    /// The next one that has not waited for too long; `None` if the flow is to end.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        poll_fn(|context| {
            if self.is_closed.get() {
                return Poll::Ready(None);
            }
            match self.take() {
                Some(datagram) => Poll::Ready(Some(datagram)),
                None => {
                    *self.taker.borrow_mut() = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Returns when there is one; `false` if the flow is to end instead.
    pub(super) async fn ready(&self) -> bool {
        poll_fn(|context| {
            self.drop_stale();
            if self.is_closed.get() || !self.waiting.borrow().is_empty() {
                return Poll::Ready(!self.is_closed.get());
            }
            *self.taker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Returns when the flow is to end.
    pub(super) async fn closed(&self) {
        poll_fn(|context| {
            if self.is_closed.get() {
                return Poll::Ready(());
            }
            *self.taker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Datagrams that were dropped since this was asked last.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.take()
    }

    /// The flow is to end.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.wake();
    }

    /// Something was sent, in either direction.
    pub(super) fn use_now(&self) {
        self.last_used.set(Instant::now());
    }

    pub(super) fn last_used(&self) -> Instant {
        self.last_used.get()
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.drop_stale();
        self.since.borrow_mut().pop_front();
        self.waiting.borrow_mut().pop()
    }

    fn drop_stale(&self) {
        let mut since = self.since.borrow_mut();
        while since.pop_front_if(|since| since.elapsed() > STALE).is_some() {
            self.waiting.borrow_mut().pop();
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.taker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_too_long_or_has_no_room_is_dropped() {
        let inbox = Inbox::new();
        inbox.push(vec![1]);
        tokio::time::advance(STALE).await;
        inbox.push(vec![2]);
        assert_eq!((inbox.next().await, inbox.take_dropped()), (Some(vec![1]), 0));
        inbox.push(vec![3]);
        tokio::time::advance(STALE * 2).await;
        inbox.push(vec![4]);
        assert_eq!((inbox.next().await, inbox.take_dropped()), (Some(vec![4]), 2));
        (0..5).for_each(|number| inbox.push(vec![number; 60_000]));
        assert_eq!(inbox.take_dropped(), 3);
        assert_eq!(inbox.next().await, Some(vec![3; 60_000]));
        assert!(inbox.ready().await);
        inbox.close();
        assert!(!inbox.ready().await && inbox.next().await.is_none());
    }
}
