//! Datagrams that wait. One for which there is no room takes that of the oldest: what is old is of no use any more.

use std::collections::VecDeque;

use crate::budget::Budget;

/// What a waiting datagram takes besides its bytes, about.
const OVERHEAD: usize = 64;

/// Datagrams, oldest first, within a bound of bytes.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    most: usize,
    budget: Option<Budget>,
}

impl Queue {
    /// One with room for so many bytes, each datagram counted with 64 more.
    pub fn new(most: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, most, budget: None }
    }

    /// From now on there is room for so many bytes.
    pub fn make_room(&mut self, most: usize) {
        self.most = most;
    }

    /// From now on what waits counts towards a budget, too. What waits now is dropped.
    pub fn charge(&mut self, budget: Budget) {
        self.clear();
        self.budget = Some(budget);
    }

    /// Adds a datagram; how many were dropped for it, or instead of it.
    pub fn push(&mut self, datagram: Vec<u8>) -> u64 {
        let size = datagram.len() + OVERHEAD;
        if size > self.most {
            return 1;
        }
        let mut dropped = 0;
        while self.bytes + size > self.most {
            dropped += u64::from(self.pop().is_some());
        }
        if self.budget.as_ref().is_some_and(|budget| !budget.try_take(size)) {
            return dropped + 1;
        }
        self.bytes += size;
        self.waiting.push_back(datagram);
        dropped
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let datagram = self.waiting.pop_front()?;
        let size = datagram.len() + OVERHEAD;
        self.bytes -= size;
        if let Some(budget) = &self.budget {
            budget.give_back(size);
        }
        Some(datagram)
    }

    /// The length of the oldest.
    pub fn next_length(&self) -> Option<usize> {
        self.waiting.front().map(Vec::len)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops all; how many.
    pub fn clear(&mut self) -> u64 {
        let dropped = self.waiting.len() as u64;
        while self.pop().is_some() {}
        dropped
    }
}

impl Default for Queue {
    /// One without room.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_one_that_never_fits_is_dropped_itself() {
        let mut queue = Queue::new(3 * (10 + OVERHEAD));
        let dropped: Vec<_> = (0..5).map(|number| queue.push(vec![number; 10])).collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(queue.push(vec![9; 1000]), 1);
        assert_eq!(queue.push(vec![7; 10 + 10 + OVERHEAD]), 2);
        assert_eq!(queue.next_length(), Some(10));
        let left: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|datagram| datagram[0]).collect();
        assert_eq!(left, [4, 7]);
        assert_eq!(Queue::default().push(Vec::new()), 1, "without room for any");
    }

    #[test]
    fn what_waits_is_taken_of_the_budget_and_given_back() {
        let budget = Budget::new(2 * OVERHEAD);
        let mut queue = Queue::new(1000);
        queue.push(vec![1]);
        queue.charge(budget.clone());
        assert_eq!((queue.is_empty(), budget.used()), (true, 0));
        assert_eq!([queue.push(Vec::new()), queue.push(Vec::new()), queue.push(Vec::new())], [0, 0, 1]);
        assert_eq!(budget.used(), 2 * OVERHEAD);
        queue.pop();
        assert_eq!(budget.used(), OVERHEAD);
        drop(queue);
        assert_eq!(budget.used(), 0);
    }
}
