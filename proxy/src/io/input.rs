//! Bytes that were received and not used yet.

use std::rc::Rc;

use super::Io;

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
        if self.is_empty() {
            self.release();
        }
    }

    /// Drops all pending bytes.
    pub fn clear(&mut self) {
        self.release();
    }

    /// Adds bytes after the pending ones.
    pub fn append(&mut self, bytes: &[u8]) {
        self.borrow_block();
        self.grow(self.end + bytes.len());
        self.block[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Free memory after the pending bytes, at least one byte of it unless `limit` bytes are pending.
    pub(super) fn space(&mut self, limit: usize) -> &mut [u8] {
        self.borrow_block();
        if self.end == self.block.len() && self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = self.block.len();
        if self.end == size && size < limit {
            self.grow(limit.min(size * 2));
        }
        &mut self.block[self.end..]
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
