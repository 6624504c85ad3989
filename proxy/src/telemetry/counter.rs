//! Counters with Envoy's names.
//!
//! Each worker has counters of its own and is the only one to write them: counting is a load and a store, never an atomic
//! read-modify-write, never a name look-up. A scrape reads the cells of all workers through the [`Registry`] and adds up what
//! has the same name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds 1.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Subtracts 1, for gauges.
    #[inline]
    pub fn decrement(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Replaces the value, for gauges.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Counts something, for gauges, as long as the result lives.
    #[inline]
    pub fn hold(&self) -> Held<'_> {
        self.increment();
        Held(self)
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that a gauge counts.
#[derive(Debug)]
pub struct Held<'a>(&'a Cell);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.decrement();
    }
}

/// How values of several workers, and over time, relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Counters that belong to one thing, such as a cluster on one worker.
pub trait Group: fmt::Debug + Send + Sync {
    /// Shows each counter with its whole name.
    fn visit(&self, show: &mut dyn FnMut(&str, Kind, u64));
}

/// Declares a struct of [`Cell`]s with its [`Group`]: each field is a counter or a gauge named like the field, after a prefix.
macro_rules! counters {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $visibility struct $name {
            prefix: String,
            $($(#[$field_doc])* pub $field: $crate::telemetry::counter::Cell,)*
        }

        impl $name {
            /// All zero; `prefix` goes before the names.
            $visibility fn new(prefix: impl Into<String>) -> Self {
                Self { prefix: prefix.into(), ..Self::default() }
            }
        }

        impl $crate::telemetry::counter::Group for $name {
            fn visit(&self, show: &mut dyn FnMut(&str, $crate::telemetry::counter::Kind, u64)) {
                let mut name = self.prefix.clone();
                $(
                    name.push_str(stringify!($field));
                    show(&name, $crate::telemetry::counter::Kind::$kind, self.$field.get());
                    name.truncate(self.prefix.len());
                )*
            }
        }
    };
}
pub(crate) use counters;

/// All groups of the process.
///
/// A group lives as long as its owner; what a vanished group counted is gone with it, as with Envoy's.
#[derive(Debug, Default)]
pub struct Registry {
    groups: Mutex<Vec<Weak<dyn Group>>>,
}

impl Registry {
    /// Adds a group until it is dropped.
    pub fn register<G: Group + 'static>(&self, group: G) -> Arc<G> {
        let group = Arc::new(group);
        let shared: Arc<dyn Group> = group.clone();
        let mut groups = self.lock();
        if groups.len() == groups.capacity() {
            groups.retain(|group| group.strong_count() > 0);
        }
        groups.push(Arc::downgrade(&shared));
        group
    }

    /// Every counter by name, added up over the workers.
    pub fn collect(&self) -> BTreeMap<String, (Kind, u64)> {
        let mut values: BTreeMap<String, (Kind, u64)> = BTreeMap::new();
        let groups: Vec<Arc<dyn Group>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        for group in groups {
            group.visit(&mut |name, kind, value| match values.get_mut(name) {
                Some((_, sum)) => *sum = sum.wrapping_add(value),
                None => drop(values.insert(name.to_owned(), (kind, value))),
            });
        }
        values
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Group>>> {
        // A panic while the lock is held cannot leave the list half-written.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    counters! {
        struct Sample {
            requests: Counter,
            active: Gauge,
        }
    }

    #[test]
    fn workers_are_added_up_and_dropped_groups_vanish() {
        let registry = Registry::default();
        let first = registry.register(Sample::new("cluster.a."));
        let second = registry.register(Sample::new("cluster.a."));
        first.requests.add(2);
        second.requests.increment();
        second.active.increment();
        second.active.decrement();
        let values = registry.collect();
        assert_eq!(values["cluster.a.requests"], (Kind::Counter, 3));
        assert_eq!(values["cluster.a.active"], (Kind::Gauge, 0));
        drop(second);
        assert_eq!(registry.collect()["cluster.a.requests"], (Kind::Counter, 2));
    }
}
