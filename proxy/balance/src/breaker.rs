//! Circuit breakers: limits over all workers (`CircuitBreakers.Thresholds`). A limit left at its maximum counts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use xds_model::cluster::{CircuitBreaker, RetryBudget};

/// The limits of a cluster. Clones share their counts.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Upstream connections.
    pub connections: Limit,
    /// Requests that wait for a connection.
    pub pending_requests: Limit,
    /// Requests under way.
    pub requests: Limit,
    /// Retries under way, if there is no budget.
    pub retries: Limit,
    budget: Option<RetryBudget>,
}

impl Breaker {
    /// Fresh counts under the limits of `thresholds`.
    pub fn new(thresholds: CircuitBreaker) -> Self {
        let budget = thresholds.retry_budget;
        Self {
            connections: Limit::new(thresholds.max_connections),
            pending_requests: Limit::new(thresholds.max_pending_requests),
            requests: match budget {
                Some(_) => Limit::counted(thresholds.max_requests),
                None => Limit::new(thresholds.max_requests),
            },
            retries: match budget {
                Some(_) => Limit::counted(u32::MAX),
                None => Limit::new(thresholds.max_retries),
            },
            budget,
        }
    }

    /// One more retry, unless there are enough: as many as the limit says, or as the requests under way allow.
    pub fn admit_retry(&self) -> Option<Permit> {
        let Some(budget) = &self.budget else { return self.retries.acquire() };
        // Fewer than one retry is none, as in Envoy.
        let share = f64::from(self.requests.current()) * budget.percent / 100.0;
        self.retries.acquire_below((share as u32).max(budget.min_retry_concurrency))
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
        if maximum < u32::MAX { Self::counted(maximum) } else { Self(None) }
    }

    /// At most `maximum`, counted even if that is no limit.
    fn counted(maximum: u32) -> Self {
        Self(Some(Arc::new(Count { current: AtomicU32::new(0), maximum })))
    }

    /// One more, unless there are enough.
    pub fn acquire(&self) -> Option<Permit> {
        self.acquire_below(u32::MAX)
    }

    /// One more, unless there are enough or `bound` of them.
    fn acquire_below(&self, bound: u32) -> Option<Permit> {
        if let Some(count) = &self.0 {
            let maximum = count.maximum.min(bound);
            let more = |current: u32| (current < maximum).then(|| current + 1);
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
