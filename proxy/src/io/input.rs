//! Bytes that were received and not used yet.

use std::rc::Rc;

use super::{BLOCK_SIZE, Io};

/// A block this many times as large as a usual one, and as what is pending in it, is given back.
const FAR_LARGER: usize = 8;

/// The received bytes of a connection that wait to be used. Without any it holds no memory.
#[derive(Debug)]
pub struct Input {
    io: Rc<Io>,
    /// Initialised memory; empty while nothing is pending.
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Nothing yet.
    pub fn new(io: &Rc<Io>) -> Self {
        Self { io: io.clone(), block: Vec::new(), start: 0, end: 0 }
    }

    /// The pending bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `count` pending bytes (at most all of them).
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        let pending = self.bytes().len();
        if pending == 0 {
            self.release();
        } else if self.block.capacity() > FAR_LARGER * pending.max(BLOCK_SIZE) {
            self.shrink();
        }
    }

    /// Takes the bytes that are pending in another input, in their block; nothing is pending here.
    pub(super) fn take_from(&mut self, other: &mut Self) {
        std::mem::swap(self, other);
    }

    /// What the connections of the worker share.
    pub(super) fn io(&self) -> &Io {
        &self.io
    }

    /// Drops all pending bytes.
    pub fn clear(&mut self) {
        self.release();
    }

    /// Adds bytes after the pending ones.
    pub fn append(&mut self, bytes: &[u8]) {
        self.borrow_block();
        // No more is moved than was consumed since the last time.
        if bytes.len() > self.block.len() - self.end && self.start >= self.bytes().len() {
            self.move_to_front();
        }
        let free = &mut self.block[self.end..];
        let (fitting, beyond) = bytes.split_at(bytes.len().min(free.len()));
        free[..fitting.len()].copy_from_slice(fitting);
        self.block.extend_from_slice(beyond);
        self.end += bytes.len();
    }

    /// Free memory after the pending bytes, at least one byte of it unless `limit` bytes are pending.
    pub(super) fn space(&mut self, limit: usize) -> &mut [u8] {
        self.borrow_block();
        if self.end == self.block.len() && self.start > 0 {
            self.move_to_front();
        }
        let size = self.block.len();
        if self.end == size && size < limit {
            self.grow(limit.min(size * 2));
        }
        &mut self.block[self.end..]
    }

    /// Makes the memory of consumed bytes free again.
    fn move_to_front(&mut self) {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Moves the pending bytes into a block of their size: their own has grown for many more.
    #[cold]
    fn shrink(&mut self) {
        let pending = self.bytes();
        let mut block = match pending.len() {
            0..=BLOCK_SIZE => self.io.blocks.take_input(),
            more => vec![0; more],
        };
        if let Some(start) = block.get_mut(..pending.len()) {
            start.copy_from_slice(pending);
        }
        (self.start, self.end) = (0, pending.len());
        self.block = block;
    }

    fn borrow_block(&mut self) {
        if self.block.is_empty() {
            self.block = self.io.blocks.take_input();
        }
    }

    /// Makes the block at least `size` bytes long; a grown block is freed instead of pooled.
    fn grow(&mut self, size: usize) {
        if self.block.len() < size {
            self.block.resize(size, 0);
        }
    }

    /// Says that the first `count` bytes of [`Self::space`] were filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
        if self.is_empty() {
            self.release();
        }
    }

    fn release(&mut self) {
        self.io.blocks.give_input(std::mem::take(&mut self.block));
        self.start = 0;
        self.end = 0;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Driver;
    use crate::worker::clock::Clock;

    /// Bytes that say where in the stream they are, as far as one byte can.
    fn numbered(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|number| (number % 251) as u8).collect()
    }

    fn input() -> Input {
        Input::new(&Io::new(Rc::new(Clock::new()), Driver::Epoll).unwrap())
    }

    #[test]
    fn what_passes_through_an_input_that_is_never_empty_does_not_make_it_grow() {
        const ALL: usize = 100 << 20;
        for (piece, kept) in [(2_000, 1), (16_384, 9_000), (5_000, 40_000), (60_000, 100)] {
            let mut input = input();
            let (mut appended, mut consumed) = (0, 0);
            while appended < ALL {
                input.append(&numbered(appended, piece));
                appended += piece;
                let count = input.bytes().len().saturating_sub(kept);
                assert_eq!(input.bytes()[..count], numbered(consumed, count));
                input.consume(count);
                consumed += count;
                assert!(input.block.capacity() <= BLOCK_SIZE.max(4 * (piece + kept)), "{}", input.block.capacity());
            }
            assert_eq!(input.bytes(), numbered(consumed, appended - consumed));
        }
    }

    #[test]
    fn a_block_that_has_grown_for_much_is_given_back_before_all_of_it_is_used() {
        const MUCH: usize = 10 << 20;
        let mut input = input();
        input.append(&numbered(0, MUCH));
        for left in [4 << 20, 300_000, 1_000, 1] {
            input.consume(input.bytes().len() - left);
            assert_eq!(input.bytes(), numbered(MUCH - left, left));
            assert!(input.block.capacity() <= FAR_LARGER * left.max(BLOCK_SIZE), "{left}");
        }
        assert_eq!(input.block.len(), BLOCK_SIZE, "of the spare ones");
    }
}
