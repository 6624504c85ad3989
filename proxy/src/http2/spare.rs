//! Memory of heads and trailers that nobody uses now, for all connections of a worker: between two bursts of requests a connection has none of its own.

use std::cell::RefCell;

use h1::{Fields, ResponseHead};

/// Of each kind; more are given back to the allocator.
const MOST_SPARE: usize = 512;

/// A buffer that grew beyond this is given back. Bytes.
const MOST_KEPT: usize = 16 * 1024;

/// What a worker keeps.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "heads move between the spare ones and the streams; they are large")]
pub struct SpareHeads {
    heads: RefCell<Vec<Box<ResponseHead>>>,
    trailers: RefCell<Vec<Box<Fields>>>,
}

impl SpareHeads {
    /// An empty head.
    pub(super) fn head(&self) -> Box<ResponseHead> {
        self.heads.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a head back.
    pub(super) fn keep_head(&self, mut head: Box<ResponseHead>) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < MOST_SPARE {
            head.clear();
            head.shrink_to(MOST_KEPT);
            heads.push(head);
        }
    }

    /// Empty trailers.
    pub(super) fn trailers(&self) -> Box<Fields> {
        self.trailers.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes trailers back.
    pub(super) fn keep_trailers(&self, mut trailers: Box<Fields>) {
        let mut spare = self.trailers.borrow_mut();
        if spare.len() < MOST_SPARE {
            trailers.clear();
            trailers.shrink_to(MOST_KEPT);
            spare.push(trailers);
        }
    }
}
