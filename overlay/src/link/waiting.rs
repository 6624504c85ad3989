//! What came and was not taken yet.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::{wait, wake};

/// Things that the other side has sent, for one task that takes them.
pub(super) struct Waiting<T> {
    pub(super) queue: VecDeque<T>,
    pub(super) taker: Option<Waker>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), taker: None }
    }
}

impl<T> Waiting<T> {
    pub(super) fn push(&mut self, item: T) {
        self.queue.push_back(item);
        wake(&mut self.taker);
    }

    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<T> {
        match self.queue.pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                wait(&mut self.taker, context);
                Poll::Pending
            }
        }
    }
}
