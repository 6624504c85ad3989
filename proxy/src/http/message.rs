//! Memory that a request needs while it is under way, reused from one request to the next.

use std::cell::RefCell;

use h1::{Fields, RequestHead, ResponseHead};

use super::outcome::Outcome;
use super::upstream_request::Replay;

/// Sets of memory kept for reuse by a worker; more are given back to the allocator.
const MOST_SPARE: usize = 512;

/// A buffer that grew beyond this is given back. Bytes.
const MOST_KEPT: usize = 16 * 1024;

/// What one request needs.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    /// What stood behind the body of the response.
    pub(super) trailers: Option<Box<Fields>>,
    /// For values that are put together. From the choice of a redirect to its reply it holds the value of `location`.
    pub(super) scratch: Vec<u8>,
    pub(super) replay: Replay,
    pub(super) outcome: Outcome,
}

/// Spare sets of memory of a worker.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "a set moves between the pool and its request; it is several kilobytes large")]
pub struct MemoryPool(RefCell<Vec<Box<Memory>>>);

impl MemoryPool {
    /// A set for one request.
    pub(super) fn take(&self) -> Box<Memory> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a set back.
    pub(super) fn give(&self, mut memory: Box<Memory>) {
        let mut spare = self.0.borrow_mut();
        if spare.len() >= MOST_SPARE {
            return;
        }
        memory.request.clear();
        memory.request.shrink_to(MOST_KEPT);
        memory.response.clear();
        memory.response.shrink_to(MOST_KEPT);
        if let Some(trailers) = &mut memory.trailers {
            trailers.clear();
            trailers.shrink_to(MOST_KEPT);
        }
        memory.scratch.clear();
        memory.scratch.shrink_to(MOST_KEPT);
        memory.replay.clear();
        memory.outcome.clear();
        spare.push(memory);
    }
}
