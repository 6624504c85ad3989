//! Bytes that wait, in order.

use std::collections::VecDeque;

use crate::budget::Budget;

/// Memory that an emptied buffer keeps, bytes.
const KEPT: usize = 4 * 1024;

/// A queue of bytes, which may be taken of a [`Budget`].
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: VecDeque<u8>,
    budget: Option<Budget>,
}

impl Buffer {
    /// From now on what is in it counts towards a budget.
    pub(crate) fn charge(&mut self, budget: Budget) {
        budget.take(self.len());
        if let Some(before) = self.budget.replace(budget) {
            before.give_back(self.len());
        }
    }

    /// What the budget has left.
    pub(crate) fn left(&self) -> usize {
        self.budget.as_ref().map_or(usize::MAX, Budget::left)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes from `start` on: as many as lie side by side, `most` at most. Some, if there are any.
    pub(crate) fn piece(&self, start: usize, most: usize) -> &[u8] {
        let (first, second) = self.bytes.as_slices();
        let piece =
            first.get(start..).filter(|piece| !piece.is_empty()).unwrap_or_else(|| &second[start - first.len()..]);
        &piece[..piece.len().min(most)]
    }

    /// Takes bytes, even beyond the budget.
    pub(crate) fn push(&mut self, more: &[u8]) {
        if let Some(budget) = &self.budget {
            budget.take(more.len());
        }
        self.bytes.extend(more);
    }

    /// Takes bytes if the budget has room for all of them.
    pub(crate) fn try_push(&mut self, more: &[u8]) -> bool {
        let fits = self.budget.as_ref().is_none_or(|budget| budget.try_take(more.len()));
        if fits {
            self.bytes.extend(more);
        }
        fits
    }

    /// Takes away the first bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.len());
        self.bytes.drain(..count);
        if let Some(budget) = &self.budget {
            budget.give_back(count);
        }
        if self.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        }
    }

    /// Moves as much as there is room for.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let count = self.len().min(into.len());
        let (first, second) = self.bytes.as_slices();
        let of_first = count.min(first.len());
        into[..of_first].copy_from_slice(&first[..of_first]);
        into[of_first..count].copy_from_slice(&second[..count - of_first]);
        self.consume(count);
        count
    }

    pub(crate) fn clear(&mut self) {
        self.consume(self.len());
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_lie() {
        let (mut buffer, mut next_in, mut next_out) = (Buffer::default(), 0, 0);
        for round in 1..500_usize {
            let more: Vec<u8> = (0..round % 97).map(|index| (next_in + index) as u8).collect();
            next_in += more.len();
            buffer.push(&more);
            let mut at = 0;
            while at < buffer.len() {
                let piece = buffer.piece(at, 10);
                assert!((1..=10).contains(&piece.len()));
                for (index, byte) in piece.iter().enumerate() {
                    assert_eq!(*byte, (next_out + at + index) as u8);
                }
                at += piece.len();
            }
            let mut out = vec![0; round % 89];
            let count = buffer.read(&mut out);
            for (index, byte) in out[..count].iter().enumerate() {
                assert_eq!(*byte, (next_out + index) as u8);
            }
            next_out += count;
        }
        assert_eq!(buffer.len(), next_in - next_out);
    }

    #[test]
    fn what_is_in_it_counts_towards_the_budget_until_it_is_gone() {
        let (budget, other) = (Budget::new(100), Budget::new(10));
        let mut buffer = Buffer::default();
        buffer.push(&[1; 60]);
        buffer.charge(budget.clone());
        assert!(!buffer.try_push(&[2; 41]) && buffer.try_push(&[2; 40]));
        assert_eq!((budget.used(), buffer.len()), (100, 100));
        assert_eq!(buffer.read(&mut [0; 30]), 30);
        buffer.consume(20);
        assert_eq!(budget.used(), 50);
        buffer.charge(other.clone());
        assert_eq!((budget.used(), other.used()), (0, 50));
        buffer.push(&[3; 5]);
        drop(buffer);
        assert_eq!((other.used(), other.refusals()), (0, 0));
    }
}
