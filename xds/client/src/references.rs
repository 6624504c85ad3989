//! What the resources in force refer to, and so what has to be asked for.
//!
//! A listener refers to route configurations, extension configurations, clusters and secrets, a route configuration to clusters, a cluster to its endpoints
//! and secrets. Edges are counted, so that a changed resource costs what it refers to itself, however large the rest is.

mod targets;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::ResourceType;
use crate::delta::Name;

pub use targets::{of_cluster, of_listener, of_route, refer_to_the_same};

/// A resource by kind and name.
pub type Key = (ResourceType, Name);

/// What one resource refers to.
pub type Targets = BTreeSet<Key>;

/// Who refers to what.
#[derive(Debug, Default)]
pub struct References {
    sources: HashMap<Key, Arc<Targets>>,
    counts: HashMap<Key, usize>,
    /// Targets whose count has moved since the last [`References::take_changes`], and whether they were needed before.
    touched: BTreeMap<Key, bool>,
}

/// A target that came into need, or fell out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is concerned.
    pub target: Key,
    /// Whether something refers to it now.
    pub needed: bool,
}

impl References {
    /// Replaces what a resource refers to.
    pub fn set(&mut self, source: &Key, targets: impl Into<Arc<Targets>>) {
        let targets = targets.into();
        let before = self.sources.remove(source).unwrap_or_default();
        // Most versions of a large resource refer to what the one before did.
        if !Arc::ptr_eq(&before, &targets) {
            for target in targets.difference(&before) {
                self.touch(target);
                *self.counts.entry(target.clone()).or_default() += 1;
            }
            for target in before.difference(&targets) {
                self.touch(target);
                self.release(target);
            }
        }
        if !targets.is_empty() {
            self.sources.insert(source.clone(), targets);
        }
    }

    /// The resource is gone and refers to nothing.
    pub fn remove(&mut self, source: &Key) {
        self.set(source, Targets::new());
    }

    /// What a resource refers to.
    #[must_use]
    pub fn targets(&self, source: &Key) -> Option<&Arc<Targets>> {
        self.sources.get(source)
    }

    /// Whether anything refers to a resource.
    #[must_use]
    pub fn is_needed(&self, target: &Key) -> bool {
        self.counts.contains_key(target)
    }

    /// The net changes since the last call, in the order of [`ResourceType`].
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<Change> {
        let touched = std::mem::take(&mut self.touched);
        let change = |(target, before): (Key, bool)| {
            let needed = self.is_needed(&target);
            (needed != before).then_some(Change { target, needed })
        };
        touched.into_iter().filter_map(change).collect()
    }

    fn touch(&mut self, target: &Key) {
        if !self.touched.contains_key(target) {
            self.touched.insert(target.clone(), self.is_needed(target));
        }
    }

    fn release(&mut self, target: &Key) {
        if let Some(count) = self.counts.get_mut(target) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(target);
            }
        }
    }
}
