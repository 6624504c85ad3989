//! What a pool counts while it exists.

use std::cell::Cell;

use super::Pool;

/// Counts a connection as open from the moment when it begins to be opened.
pub(super) struct CountedOpen<'pool> {
    pool: &'pool Pool,
    succeeded: Cell<bool>,
}

impl<'pool> CountedOpen<'pool> {
    pub(super) fn new(pool: &'pool Pool) -> Self {
        pool.open.set(pool.open.get() + 1);
        Self { pool, succeeded: Cell::new(false) }
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.set(true);
    }
}

impl Drop for CountedOpen<'_> {
    fn drop(&mut self) {
        if !self.succeeded.get() {
            self.pool.connection_gone();
        }
    }
}

/// A request that waits for a connection to come back.
pub(super) struct Queued<'count>(&'count Cell<u32>);

impl<'count> Queued<'count> {
    pub(super) fn new(count: &'count Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
