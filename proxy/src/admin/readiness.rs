//! Whether traffic should come, and if not, why: each part of the process that has to get ready first is named.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What is not ready yet. Ready once nothing is left; a part that has become ready stays so (as Istio's probe is sticky).
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    missing: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Readiness {
    /// Waits for these.
    pub fn of(parts: impl IntoIterator<Item = &'static str>) -> Self {
        Self { missing: Arc::new(Mutex::new(parts.into_iter().collect())) }
    }

    /// A part has become ready.
    pub fn done(&self, part: &'static str) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// What is not ready, in alphabetical order.
    pub fn missing(&self) -> Vec<&'static str> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_the_last_part_is() {
        let readiness = Readiness::of(["listeners", "clusters"]);
        assert_eq!(readiness.missing(), ["clusters", "listeners"]);
        readiness.done("listeners");
        readiness.done("listeners");
        assert_eq!(readiness.missing(), ["clusters"]);
        readiness.done("clusters");
        assert!(readiness.missing().is_empty());
    }
}
