//! Bytes that wait, in order.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::budget::Budget;

/// Memory that an emptied buffer keeps, bytes.
const KEPT: usize = 4 * 1024;
/// Bytes in a segment, at least and at most: as many as wait already, so that little takes little.
const SMALLEST: usize = 256;
const LARGEST: usize = 16 * 1024;
/// Segments of the largest size that a thread keeps for its buffers.
const MOST_SPARE: usize = 32;

thread_local! {
    /// Last in, first out: where many streams move bytes they use the same few segments, which the processor has at hand.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A queue of bytes, which may be taken of a [`Budget`].
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// None is empty, but for the only one of an empty buffer.
    segments: VecDeque<Vec<u8>>,
    /// Bytes of the first segment that are gone.
    gone: usize,
    length: usize,
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
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends `count` bytes from `start` on to `out`. So many must be there.
    pub(crate) fn copy_to(&self, start: usize, count: usize, out: &mut Vec<u8>) {
        // What is sent next is near the end of what is kept.
        let (mut first, mut before) = (self.segments.len(), self.length + self.gone);
        while first > 0 && before > start + self.gone {
            first -= 1;
            before -= self.segments[first].len();
        }
        let (mut skipped, mut left) = (start + self.gone - before, count);
        for segment in self.segments.range(first..) {
            let piece = segment.get(skipped..).unwrap_or_default();
            let piece = &piece[..piece.len().min(left)];
            out.extend_from_slice(piece);
            left -= piece.len();
            skipped = 0;
            if left == 0 {
                break;
            }
        }
    }

    /// Takes bytes, even beyond the budget.
    pub(crate) fn push(&mut self, more: &[u8]) {
        if let Some(budget) = &self.budget {
            budget.take(more.len());
        }
        self.append(more);
    }

    /// Takes bytes if the budget has room for all of them.
    pub(crate) fn try_push(&mut self, more: &[u8]) -> bool {
        let fits = self.budget.as_ref().is_none_or(|budget| budget.try_take(more.len()));
        if fits {
            self.append(more);
        }
        fits
    }

    fn append(&mut self, mut more: &[u8]) {
        while !more.is_empty() {
            let room = self.segments.back().map_or(0, |last| last.capacity() - last.len());
            let (piece, rest) = more.split_at(more.len().min(room));
            if let Some(last) = self.segments.back_mut() {
                last.extend_from_slice(piece);
            }
            self.length += piece.len();
            if !rest.is_empty() {
                self.segments.push_back(segment(rest.len().max(self.length)));
            }
            more = rest;
        }
    }

    /// Takes away the first bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.length);
        self.length -= count;
        self.gone += count;
        while let Some(mut first) = self.segments.pop_front_if(|first| self.gone >= first.len()) {
            self.gone -= first.len();
            let is_kept = self.segments.is_empty() && first.capacity() <= KEPT;
            if is_kept {
                first.clear();
                self.segments.push_back(first);
                break;
            }
            give_back(first);
        }
        if let Some(budget) = &self.budget {
            budget.give_back(count);
        }
    }

    /// Moves as much as there is room for.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let count = self.length.min(into.len());
        let (mut skipped, mut filled) = (self.gone, 0);
        for segment in &self.segments {
            let piece = segment.get(skipped..).unwrap_or_default();
            let piece = &piece[..piece.len().min(count - filled)];
            into[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
            skipped = 0;
            if filled == count {
                break;
            }
        }
        self.consume(count);
        count
    }

    pub(crate) fn clear(&mut self) {
        self.consume(self.len());
    }
}

/// An empty segment for so many bytes, or for some of them.
fn segment(count: usize) -> Vec<u8> {
    let size = count.next_power_of_two().clamp(SMALLEST, LARGEST);
    let spare = if size == LARGEST { SPARE.with_borrow_mut(Vec::pop) } else { None };
    spare.unwrap_or_else(|| Vec::with_capacity(size))
}

fn give_back(mut segment: Vec<u8>) {
    if segment.capacity() != LARGEST {
        return;
    }
    segment.clear();
    // A thread that ends has none any more.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.push(segment);
        }
    });
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
        for round in 1..600_usize {
            // Few at first, so that segments of all sizes are side by side.
            let (most_in, most_out) = if round < 300 { (97, 89) } else { (9_700, 9_650) };
            let more: Vec<u8> = (0..round * 131 % most_in).map(|index| (next_in + index) as u8).collect();
            next_in += more.len();
            buffer.push(&more);
            let mut at = 0;
            while at < buffer.len() {
                let (count, mut piece) = ((buffer.len() - at).min(1 + round * 7), vec![0]);
                buffer.copy_to(at, count, &mut piece);
                let expected = (0..count).map(|index| (next_out + at + index) as u8);
                assert!(piece.into_iter().eq(std::iter::once(0).chain(expected)), "round {round}, from {at} on");
                at += count;
            }
            let mut out = vec![0; round * 57 % most_out];
            let count = buffer.read(&mut out);
            assert!(out[..count].iter().enumerate().all(|(index, byte)| *byte == (next_out + index) as u8));
            next_out += count;
            if round % 50 == 0 {
                next_out += buffer.len();
                buffer.clear();
            }
        }
        assert_eq!(buffer.len(), next_in - next_out);
    }

    #[test]
    fn an_emptied_buffer_keeps_little_and_a_thread_keeps_few_segments() {
        let mut buffers: Vec<_> = (0..2 * MOST_SPARE).map(|_| Buffer::default()).collect();
        for buffer in &mut buffers {
            buffer.push(&[1; 3 * LARGEST]);
            buffer.push(&[2; 10]);
            buffer.clear();
        }
        let kept = |buffer: &Buffer| buffer.segments.iter().map(Vec::capacity).sum::<usize>();
        assert!(buffers.iter().all(|buffer| kept(buffer) <= KEPT));
        assert!((1..=MOST_SPARE).contains(&SPARE.with_borrow(Vec::len)));
        let little = &mut buffers[0];
        little.push(&[3; 10]);
        assert_eq!(kept(little), SMALLEST);
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
