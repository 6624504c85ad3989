//! Earliest deadline first: a weighted order in which every endpoint comes up in proportion to its weight, evenly spread.
//!
//! An endpoint's next turn is 1 / weight after its last (Envoy's `EdfScheduler`). A pick costs O(log n) and allocates nothing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// The turns of some endpoints.
#[derive(Debug, Default)]
pub(crate) struct DeadlineQueue {
    turns: BinaryHeap<Turn>,
    /// Breaks ties: who waits longer comes first.
    order: u64,
}

#[derive(Debug)]
struct Turn {
    deadline: f64,
    order: u64,
    endpoint: u32,
}

impl DeadlineQueue {
    /// Each endpoint starts at a random point of its period, so that workers, and versions of a configuration, do not all begin with
    /// the heaviest one.
    pub(crate) fn new(weights: impl Iterator<Item = (u32, f64)>, random: &mut impl FnMut() -> u64) -> Self {
        let mut queue = Self::default();
        for (endpoint, weight) in weights {
            let phase = random() as f64 / u64::MAX as f64;
            queue.turns.push(Turn { deadline: phase / weight, order: queue.order, endpoint });
            queue.order += 1;
        }
        queue
    }

    /// Whose turn it is; `weight` tells the weight that decides when the next turn comes.
    pub(crate) fn pick(&mut self, weight: impl FnOnce(u32) -> f64) -> Option<u32> {
        let mut turn = self.turns.peek_mut()?;
        let endpoint = turn.endpoint;
        turn.deadline += 1.0 / weight(endpoint);
        turn.order = self.order;
        self.order += 1;
        // Dropping it restores the order of the heap.
        drop::<PeekMut<'_, Turn>>(turn);
        Some(endpoint)
    }
}

/// The greatest turn is the next.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then_with(|| other.order.cmp(&self.order))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}
