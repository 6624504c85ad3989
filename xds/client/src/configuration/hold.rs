//! Resources that are held back until what they refer to is there.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Configuration;
use crate::ResourceType;
use crate::references::{Key, Targets};
use crate::resource::Resource;

/// How long endpoints and route configurations are waited for. Envoy's default for a first fetch; istiod answers for every name.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a listener or cluster waits for its secrets. istiod answers within milliseconds, and not at all for secrets that are
/// missing, so this is short; the chain concerned then goes on waiting on its own.
const SECRET_TIMEOUT: Duration = Duration::from_secs(2);

/// A resource that waits.
#[derive(Debug)]
pub(super) struct HeldBack {
    resource: Resource,
    /// What it refers to.
    targets: Arc<Targets>,
    /// What the version in force refers to.
    pub(super) before: Arc<Targets>,
    deadline: Instant,
    /// The extension configurations that are waited for, each with an end of its own.
    warming: BTreeMap<Key, Instant>,
    /// `None` if secrets are not waited for any more.
    secret_deadline: Option<Instant>,
}

/// Whether there is somebody who could send what is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Patience {
    /// There is.
    #[default]
    Usual,
    /// There is not.
    None,
}

impl HeldBack {
    pub(super) fn new(
        resource: Resource,
        targets: Arc<Targets>,
        before: Arc<Targets>,
        patience: Patience,
        now: Instant,
    ) -> Self {
        let (deadline, secret_deadline) = match patience {
            Patience::Usual => (now + FETCH_TIMEOUT, Some(now + SECRET_TIMEOUT)),
            Patience::None => (now, None),
        };
        // A name that stands in several chains is waited for as long as any of them wants.
        let mut warming = BTreeMap::new();
        for (key, timeout) in resource.warming().filter(|_| patience == Patience::Usual) {
            let end = now + timeout;
            warming.entry(key).and_modify(|known: &mut Instant| *known = end.max(*known)).or_insert(end);
        }
        let deadline = warming.values().copied().fold(deadline, Instant::max);
        Self { resource, targets, before, deadline, warming, secret_deadline }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let ends = self.warming.values().copied().chain(self.secret_deadline);
        Some(ends.fold(self.deadline, Instant::min))
    }

    /// Ends what was waited for long enough, and returns the extension configurations among that.
    fn stop_waiting(&mut self, now: Instant) -> impl Iterator<Item = Key> {
        self.secret_deadline = self.secret_deadline.filter(|deadline| *deadline > now);
        self.warming.extract_if(.., move |_, end| *end <= now).map(|(key, _)| key)
    }
}

impl Configuration {
    /// Lets go what has all it needs. Returns whether there was any.
    pub(super) fn release_complete(&mut self, now: Instant) -> bool {
        for held_back in self.held_back.values_mut() {
            let in_vain = held_back.stop_waiting(now).filter(|key| !self.in_force.contains(key));
            self.done_without.extend(in_vain);
        }
        self.release(|configuration, held_back| configuration.missing(held_back).is_none())
    }

    /// Lets go what has waited long enough, when nothing else can be let go. Returns whether there was any.
    pub(super) fn release_expired(&mut self, now: Instant) -> bool {
        self.release(|_, held_back| held_back.deadline <= now)
    }

    /// The server has said that it has no extension configuration that could be used.
    pub(super) fn do_without(&mut self, key: Key) {
        if key.0 == ResourceType::ExtensionConfig && self.references.is_needed(&key) && !self.in_force.contains(&key) {
            self.done_without.insert(key);
        }
    }

    fn release(&mut self, condition: impl Fn(&Self, &HeldBack) -> bool) -> bool {
        let ready = self.held_back.iter().filter(|(_, held_back)| condition(self, held_back));
        let mut keys: Vec<Key> = ready.map(|(key, _)| key.clone()).collect();
        keys.sort_by_key(|(kind, _)| Reverse(kind.depth()));
        for key in &keys {
            if let Some(HeldBack { resource, targets, .. }) = self.held_back.remove(key) {
                self.references.set(key, targets);
                self.put_in_force(key.clone(), resource);
            }
        }
        !keys.is_empty()
    }

    /// The first thing that a resource waits for.
    pub(super) fn missing<'a>(&self, held_back: &'a HeldBack) -> Option<&'a Key> {
        held_back.targets.iter().find(|target| match target.0 {
            ResourceType::Secret => held_back.secret_deadline.is_some() && !self.in_force.contains(target),
            ResourceType::ExtensionConfig => {
                held_back.warming.contains_key(target)
                    && !self.in_force.contains(target)
                    && !self.done_without.contains(target)
            }
            // A cluster that does not exist is legal: requests to it are answered as such.
            ResourceType::Cluster => self.held_back.contains_key(target) && !self.in_force.contains(target),
            _ => !self.in_force.contains(target),
        })
    }
}
