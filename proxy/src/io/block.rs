//! Pooled memory for bytes that wait to be parsed or sent.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::Io;

/// Size of a block. A head of usual size with a small body fits into one.
pub const BLOCK_SIZE: usize = 16 * 1024;
/// Output buffers that grew beyond this are not kept.
const LARGEST_KEPT: usize = 256 * 1024;
/// Spare blocks kept per worker (16 MiB).
const MOST_SPARE: usize = 1024;
/// Spare output buffers larger than a block kept per worker.
const MOST_SPARE_LARGE: usize = 16;

/// The spare blocks of a worker, last in, first out, so that a busy worker touches the same few again and again.
#[derive(Default)]
pub struct Blocks {
    input: RefCell<Vec<Vec<u8>>>,
    output: RefCell<Vec<Vec<u8>>>,
    large_output: RefCell<Vec<Vec<u8>>>,
}

impl Blocks {
    /// An empty buffer to put bytes into.
    pub(super) fn take_output(&self) -> Vec<u8> {
        self.output.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BLOCK_SIZE))
    }

    /// An empty buffer with room for a bulk transfer.
    pub(super) fn take_large_output(&self) -> Vec<u8> {
        self.large_output.borrow_mut().pop().unwrap_or_else(|| self.take_output())
    }

    /// Gives back what [`Self::take_output`] lent, now without use.
    pub(super) fn give_output(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        match buffer.capacity() {
            0 => {}
            1..=BLOCK_SIZE => keep(&self.output, buffer, MOST_SPARE),
            capacity if capacity <= LARGEST_KEPT => keep(&self.large_output, buffer, MOST_SPARE_LARGE),
            _ => {}
        }
    }
}

fn keep(spare: &RefCell<Vec<Vec<u8>>>, buffer: Vec<u8>, most: usize) {
    let mut spare = spare.borrow_mut();
    if spare.len() < most {
        spare.push(buffer);
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |spare: &RefCell<Vec<Vec<u8>>>| spare.borrow().len();
        formatter
            .debug_struct("Blocks")
            .field("input", &count(&self.input))
            .field("output", &count(&self.output))
            .field("large_output", &count(&self.large_output))
            .finish()
    }
}

/// Initialised memory to receive into; returns to its worker's pool when it is dropped.
pub struct Block {
    bytes: Vec<u8>,
    io: Rc<Io>,
}

impl Block {
    /// One block, with any content.
    pub fn new(io: &Rc<Io>) -> Self {
        let bytes = io.blocks.input.borrow_mut().pop().unwrap_or_else(|| vec![0; BLOCK_SIZE]);
        Self { bytes, io: io.clone() }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it, to write into.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes it at least `size` bytes long; a grown block is freed instead of pooled.
    pub fn grow(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.bytes.len() == BLOCK_SIZE {
            keep(&self.io.blocks.input, std::mem::take(&mut self.bytes), MOST_SPARE);
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Block").field("size", &self.bytes.len()).finish_non_exhaustive()
    }
}
