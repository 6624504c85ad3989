//! The body of a request as it was sent, for as long as the request may be sent again.

use balance::{Limit, Permit};

/// A body is kept up to this size, bytes, as in Envoy; a larger request is sent once.
const LIMIT: usize = 1024 * 1024;

/// What the bodies of all requests may take together is counted in blocks of this size, bytes.
const BLOCK: usize = 16 * 1024;

/// Blocks of all bodies that are kept in this process: 64 MiB.
const MOST_BLOCKS: u32 = 4096;

/// The bytes of a request's body that have been sent, for another try.
#[derive(Debug, Default)]
pub(in crate::http) struct Replay {
    bytes: Vec<u8>,
    /// As many as `bytes` takes.
    blocks: Vec<Permit>,
    /// There was more than may be kept, or nothing is to be kept.
    incomplete: bool,
}

/// The bound over all requests of a process.
pub fn replay_limit() -> Limit {
    Limit::new(MOST_BLOCKS)
}

impl Replay {
    /// Begins with a request: it may be sent again, or nothing is kept of it.
    pub(super) fn begin(&mut self, may_be_sent_again: bool) {
        self.incomplete = !may_be_sent_again;
    }

    /// Keeps sent bytes, unless they are too many for one request or, by `limit`, for all together: then what was kept is given up.
    /// Returns `false` when it is.
    pub(super) fn keep(&mut self, data: &[u8], limit: &Limit) -> bool {
        if self.incomplete {
            return true;
        }
        let needed = self.bytes.len() + data.len();
        if needed > LIMIT || !self.make_room(needed, limit) {
            self.clear();
            self.incomplete = true;
            return false;
        }
        self.bytes.extend_from_slice(data);
        true
    }

    /// Room grows by doubling, so that a body is not copied for every block.
    fn make_room(&mut self, needed: usize, limit: &Limit) -> bool {
        if needed <= self.blocks.len() * BLOCK {
            return true;
        }
        let room = needed.next_power_of_two().max(BLOCK);
        while self.blocks.len() * BLOCK < room {
            let Some(block) = limit.acquire() else { return false };
            self.blocks.push(block);
        }
        self.bytes.reserve_exact(room - self.bytes.len());
        true
    }

    /// What was sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is all that was sent.
    pub(super) fn is_whole(&self) -> bool {
        !self.incomplete
    }

    /// Forgets everything; memory above one block is given back.
    pub(in crate::http) fn clear(&mut self) {
        if !self.blocks.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(BLOCK);
            self.blocks.clear();
        }
    }
}
