//! Random numbers of a worker: for balancing, jitter and request ids, not for secrets.

use std::cell::RefCell;
use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// A generator seeded from the system.
pub struct Random(RefCell<SmallRng>);

impl Random {
    /// Seeded from the system.
    pub fn new() -> Self {
        Self(RefCell::new(SmallRng::from_os_rng()))
    }

    /// Any number.
    pub fn next(&self) -> u64 {
        self.0.borrow_mut().next_u64()
    }

    /// A number below `bound`; 0 if that is 0. The bias is at most `bound` / 2^64.
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Random")
    }
}
