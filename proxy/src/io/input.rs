//! Bytes that were received and not used yet.

use std::rc::Rc;

use super::{Block, Io};

/// The received bytes of a connection that wait to be used. Without any it holds no memory.
#[derive(Debug)]
pub struct Input {
    io: Rc<Io>,
    block: Option<Block>,
    start: usize,
    end: usize,
}

impl Input {
    /// Nothing yet.
    pub(super) fn new(io: &Rc<Io>) -> Self {
        Self { io: io.clone(), block: None, start: 0, end: 0 }
    }

    /// The pending bytes.
    pub fn bytes(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| &block.bytes()[self.start..self.end])
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
        let block = self.block.get_or_insert_with(|| Block::new(&self.io));
        block.grow(self.end + bytes.len());
        block.bytes_mut()[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Free memory after the pending bytes, at least one byte of it unless `limit` bytes are pending.
    pub(super) fn space(&mut self, limit: usize) -> &mut [u8] {
        let block = self.block.get_or_insert_with(|| Block::new(&self.io));
        if self.end == block.bytes().len() && self.start > 0 {
            block.bytes_mut().copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let size = block.bytes().len();
        if self.end == size && size < limit {
            block.grow(limit.min(size * 2));
        }
        &mut block.bytes_mut()[self.end..]
    }

    /// Says that the first `count` bytes of [`Self::space`] were filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
        if self.is_empty() {
            self.release();
        }
    }

    fn release(&mut self) {
        self.block = None;
        self.start = 0;
        self.end = 0;
    }
}
