//! Pooled memory for bytes that wait to be parsed or sent.

use std::cell::RefCell;
use std::fmt;

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
    /// A block of initialised memory to receive into, with any content.
    pub(super) fn take_input(&self) -> Vec<u8> {
        self.input.borrow_mut().pop().unwrap_or_else(|| vec![0; BLOCK_SIZE])
    }

    /// Gives back what [`Self::take_input`] lent; freed if it has grown.
    pub(super) fn give_input(&self, block: Vec<u8>) {
        if block.len() == BLOCK_SIZE {
            keep(&self.input, block, MOST_SPARE);
        }
    }

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

#[inline(always)]
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
