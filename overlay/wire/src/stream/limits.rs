//! What a stream keeps, and how long.

use std::time::Duration;

/// Bounds of one side of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that were written, and that the other side does not have yet, at first.
    pub first_kept: usize,
    /// The same, at most. Beyond it whoever writes waits: the ability to resume is never given up.
    pub kept: usize,
    /// Bytes that were written and are not sent, because the other side allows no more or no leg takes them. Whoever writes waits.
    pub unsent: usize,
    /// Bytes that may wait for their reader.
    pub window: u64,
    /// Received bytes after which the other side is told at once.
    pub acknowledge_after: u64,
    /// Time after which it is told in any case.
    pub acknowledge_within: Duration,
    /// How long a stream may be without a leg before it is given up.
    pub without_leg: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_kept: 256 * 1024,
            kept: 4 * 1024 * 1024,
            unsent: 128 * 1024,
            window: 4 * 1024 * 1024,
            acknowledge_after: 64 * 1024,
            acknowledge_within: Duration::from_millis(25),
            without_leg: Duration::from_secs(30),
        }
    }
}
