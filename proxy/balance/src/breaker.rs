//! Circuit breakers: limits over all workers (`CircuitBreakers.Thresholds`). A limit left at its maximum counts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use xds_model::cluster::CircuitBreaker;

/// The limits of a cluster. Clones share their counts.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Upstream connections.
    pub connections: Limit,
    /// Requests that wait for a connection.
    pub pending_requests: Limit,
    /// Requests under way.
    pub requests: Limit,
    /// Retries under way.
    pub retries: Limit,
}

impl Breaker {
    /// Fresh counts under the limits of `thresholds`.
    pub fn new(thresholds: CircuitBreaker) -> Self {
        Self {
            connections: Limit::new(thresholds.max_connections),
            pending_requests: Limit::new(thresholds.max_pending_requests),
            requests: Limit::new(thresholds.max_requests),
            retries: Limit::new(thresholds.max_retries),
        }
    }

    /// Whether there is a clone, or a permit, of any of these limits.
    pub fn is_shared(&self) -> bool {
        [&self.connections, &self.pending_requests, &self.requests, &self.retries].into_iter().any(Limit::is_shared)
    }
}

/// A bound on how many things may exist at once. Clones share the count.
#[derive(Clone, Debug)]
pub struct Limit(Option<Arc<Count>>);

#[derive(Debug)]
struct Count {
    current: AtomicU32,
    maximum: u32,
}

/// The right to one of the things; dropping it gives it back.
#[derive(Debug)]
pub struct Permit(Option<Arc<Count>>);

impl Limit {
    /// At most `maximum`; `u32::MAX` for no limit.
    pub fn new(maximum: u32) -> Self {
        Self((maximum < u32::MAX).then(|| Arc::new(Count { current: AtomicU32::new(0), maximum })))
    }

    /// One more, unless there are enough.
    pub fn acquire(&self) -> Option<Permit> {
        if let Some(count) = &self.0 {
            let more = |current: u32| (current < count.maximum).then(|| current + 1);
            count.current.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        }
        Some(Permit(self.0.clone()))
    }

    /// One more in any case: Envoy always allows an endpoint its first connection, so that waiting requests get somewhere.
    pub fn acquire_beyond(&self) -> Permit {
        if let Some(count) = &self.0 {
            count.current.fetch_add(1, Ordering::Relaxed);
        }
        Permit(self.0.clone())
    }

    /// Whether somebody else holds it, or the right to one of the things.
    pub fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|count| Arc::strong_count(count) > 1)
    }

    /// How many there are; 0 if nothing is counted.
    pub fn current(&self) -> u32 {
        self.0.as_ref().map_or(0, |count| count.current.load(Ordering::Relaxed))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.current.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
