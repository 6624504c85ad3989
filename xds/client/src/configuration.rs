//! The configuration of one session: takes resources as they come, and says what changes, in an order in which it can be applied.
//!
//! * Equal bytes are skipped; other bytes with the same content are, too. A resource that is refused leaves the version before it
//!   in force.
//! * A cluster is told only when something refers to it, and endpoints, route configurations and secrets are asked for only then.
//! * *Make before break*: a listener, route configuration or cluster that refers to something not received yet is held back, for a
//!   limited time, and the version before it keeps all that it refers to. What the server removes stays as long as it is needed;
//!   an extension configuration does not: what it configured falls back to its default.
//!
//! No I/O and no clock: the caller passes the time.

mod hold;
mod reading;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use xds_model::error::Refusal;
use xds_model::fate::NoOp;

use crate::ResourceType;
use crate::cache::{Cache, Novelty};
use crate::delta::{Name, Received, Refused};
use crate::event::Event;
use crate::references::{Change, Key, References, Targets};
use crate::resource::Resource;
use crate::route_table::RouteTable;

use hold::{HeldBack, Patience};
use reading::{Decoded, of_its_own, union};

/// The state. [`Configuration::take_events`] and [`Configuration::take_subscriptions`] collect what follows from each change.
#[derive(Debug, Default)]
pub struct Configuration {
    cache: Cache,
    references: References,
    held_back: BTreeMap<Key, HeldBack>,
    patience: Patience,
    /// What the consumer has been told.
    in_force: HashSet<Key>,
    /// Extension configurations that were refused, removed or awaited in vain. What refers to them does not wait (any more).
    done_without: HashSet<Key>,
    no_ops: BTreeMap<NoOp, u64>,
    synced: BTreeMap<ResourceType, bool>,
    events: Vec<Event>,
    removals: BTreeSet<Key>,
    subscriptions: Vec<Change>,
}

impl Configuration {
    /// Takes one response, and returns what of it is refused.
    pub fn apply(
        &mut self,
        kind: ResourceType,
        resources: &[Received],
        removed: &[Name],
        now: Instant,
    ) -> Vec<Refused> {
        let refused = resources.iter().flat_map(|received| self.take(kind, received, now)).collect();
        for name in removed {
            self.withdraw(&(kind, name.clone()));
        }
        if kind.is_wildcard() {
            self.synced.entry(kind).or_insert(false);
        }
        self.settle(now);
        refused
    }

    /// Takes everything there is of a kind: what is not among it is removed. Returns what of it is refused.
    pub fn replace(&mut self, kind: ResourceType, resources: &[Received], now: Instant) -> Vec<Refused> {
        let present: HashSet<&Name> = resources.iter().map(|received| &received.name).collect();
        let known = self.cache.entries(kind).map(|(name, _)| name);
        let removed: Vec<Name> = known.filter(|name| !present.contains(name)).cloned().collect();
        self.apply(kind, resources, &removed, now)
    }

    /// Takes what was kept on disk, without a server that could send more: nothing is held back. What cannot be used (any more),
    /// or is not needed, is dropped.
    pub fn restore(&mut self, resources: Vec<(ResourceType, Received)>, now: Instant) {
        self.patience = Patience::None;
        for (kind, received) in &resources {
            let received = of_its_own(received);
            self.cache.accept(*kind, &received, false, &[]);
            if *kind == ResourceType::Route
                && let Ok((table, _)) = RouteTable::decode(&received.name, &received.body, None)
            {
                self.cache.keep_table(&received.name, table);
            }
        }
        let keys = resources.iter().map(|(kind, received)| (*kind, received.name.clone()));
        // What these refer to follows.
        let first: Vec<Key> =
            keys.filter(|key| key.0 == ResourceType::Listener || self.references.is_needed(key)).collect();
        for key in &first {
            self.admit_known(key, now);
        }
        self.settle(now);
        self.cache
            .retain(|kind, name| kind == ResourceType::Listener || self.references.is_needed(&(kind, name.clone())));
        self.patience = Patience::Usual;
    }

    /// Time has passed: what was held back long enough is let go.
    pub fn tick(&mut self, now: Instant) {
        self.settle(now);
    }

    /// Clusters that are needed although no resource refers to them, in place of those that were named before.
    pub fn need_clusters(&mut self, names: impl IntoIterator<Item = Name>, now: Instant) {
        // No resource has an empty name.
        let nobody = (ResourceType::Cluster, Name::default());
        let needed: Targets = names.into_iter().map(|name| (ResourceType::Cluster, name)).collect();
        self.references.set(&nobody, needed);
        self.settle(now);
    }

    /// When [`Configuration::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.held_back.values().filter_map(HeldBack::next_deadline).min()
    }

    /// A stream has opened, and everything that was never accepted will come again.
    pub fn reopened(&mut self) {
        self.cache.forget_refused();
    }

    /// What has happened since the last call.
    #[must_use]
    pub fn take_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        let mut removals: Vec<Key> = std::mem::take(&mut self.removals).into_iter().collect();
        removals.sort_by_key(|(kind, _)| kind.depth());
        events.extend(removals.into_iter().map(|(kind, name)| Event::Remove { kind, name }));
        events
    }

    /// Which named resources to subscribe to, or not any more, since the last call.
    #[must_use]
    pub fn take_subscriptions(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.subscriptions)
    }

    /// All that is known.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Whether anything refers to a resource. A cluster that nothing refers to is not told.
    #[must_use]
    pub fn is_needed(&self, kind: ResourceType, name: &Name) -> bool {
        self.references.is_needed(&(kind, name.clone()))
    }

    /// What is held back, and the first thing that each waits for.
    pub fn waiting(&self) -> impl Iterator<Item = (&Key, &Key)> {
        self.held_back.iter().filter_map(|(key, held_back)| Some((key, self.missing(held_back)?)))
    }

    /// Settings that were accepted without effect, and how often.
    #[must_use]
    pub fn no_ops(&self) -> &BTreeMap<NoOp, u64> {
        &self.no_ops
    }

    /// Takes one resource. Several parts of it may be refused on their own.
    fn take(&mut self, kind: ResourceType, received: &Received, now: Instant) -> Vec<Refused> {
        let refused = |reason: String| vec![Refused { name: received.name.clone(), reason }];
        if received.name.is_empty() {
            return refused("name: is missing".to_owned());
        }
        match self.cache.compare(kind, received) {
            Novelty::Unchanged { faults } => faults.iter().flat_map(|fault| refused(fault.to_string())).collect(),
            Novelty::RefusedBefore(reason) => refused(reason.to_string()),
            Novelty::Full => refused("there are too many resources of this kind".to_owned()),
            Novelty::Changed => {
                let received = of_its_own(received);
                match self.decode(kind, &received) {
                    Ok((decoded, report)) => {
                        for (no_op, count) in report.no_ops {
                            *self.no_ops.entry(no_op).or_default() += count;
                        }
                        let faults = faults(report.refusals);
                        self.accept(decoded, &received, &faults, now);
                        faults.into_iter().flat_map(refused).collect()
                    }
                    Err(refusal) => {
                        let reason = reason(&refusal);
                        self.cache.refuse(kind, &received, &reason);
                        self.do_without((kind, received.name.clone()));
                        refused(reason)
                    }
                }
            }
        }
    }

    fn accept(&mut self, decoded: Decoded, received: &Received, faults: &[String], now: Instant) {
        let Decoded { resource, table } = decoded;
        let kind = resource.kind();
        let key = (kind, received.name.clone());
        let used = self.in_force.contains(&key) || self.held_back.contains_key(&key);
        let same = used && self.decode_accepted(kind, &received.name).is_some_and(|before| before == resource);
        self.cache.accept(kind, received, resource.is_confidential(), faults);
        if let Some(table) = table {
            self.cache.keep_table(&received.name, table);
        }
        if !same {
            self.admit(resource, now);
        }
    }

    /// An accepted resource goes into force if something needs it, at once or when all that it refers to is there.
    fn admit(&mut self, resource: Resource, now: Instant) {
        let key = (resource.kind(), Name::from(resource.name()));
        if key.0 != ResourceType::Listener && !self.references.is_needed(&key) {
            return;
        }
        if let Resource::Endpoints(_) | Resource::Secret(_) | Resource::ExtensionConfig(_) = &resource {
            self.put_in_force(key.clone(), resource);
            self.drop_if_hollow(&key.1);
            return;
        }
        let targets = self.targets(&resource);
        let before = match self.held_back.remove(&key) {
            Some(earlier) => earlier.before,
            None => self.references.targets(&key).cloned().unwrap_or_default(),
        };
        self.references.set(&key, union(&before, &targets));
        self.held_back.insert(key, HeldBack::new(resource, targets, before, self.patience, now));
    }

    /// Something has come to need a resource that may be known already.
    fn admit_known(&mut self, key: &Key, now: Instant) {
        match self.decode_accepted(key.0, &key.1) {
            Some(resource) => self.admit(resource, now),
            // It was kept by another version of this program, which could use it.
            None => self.cache.forget_accepted(key.0, &key.1),
        }
    }

    /// The server has removed a resource. What something refers to stays.
    fn withdraw(&mut self, key: &Key) {
        if !matches!(key.0, ResourceType::Listener | ResourceType::ExtensionConfig)
            && self.references.is_needed(key)
            && self.cache.accepted(key.0, &key.1).is_some()
        {
            self.cache.withdraw(key.0, &key.1);
            self.drop_if_hollow(&key.1);
        } else {
            self.forget(key);
            self.do_without(key.clone());
        }
    }

    /// A cluster that the server has removed, and whose endpoints are gone as well, is gone for good: nothing is lost when
    /// requests to it are answered as for a cluster that does not exist.
    fn drop_if_hollow(&mut self, name: &Name) {
        let withdrawn = self.cache.accepted(ResourceType::Cluster, name).is_some_and(|cluster| cluster.withdrawn);
        if !withdrawn {
            return;
        }
        if let Some(Resource::Endpoints(endpoints)) = self.decode_accepted(ResourceType::Endpoints, name)
            && endpoints.localities.iter().all(|locality| locality.endpoints.is_empty())
        {
            self.forget(&(ResourceType::Cluster, name.clone()));
        }
    }

    fn forget(&mut self, key: &Key) {
        self.cache.remove(key.0, &key.1);
        self.put_out_of_force(key);
    }

    fn put_out_of_force(&mut self, key: &Key) {
        self.held_back.remove(key);
        self.done_without.remove(key);
        self.references.remove(key);
        if self.in_force.remove(key) {
            self.removals.insert(key.clone());
        }
    }

    fn put_in_force(&mut self, key: Key, resource: Resource) {
        self.removals.remove(&key);
        self.done_without.remove(&key);
        self.in_force.insert(key);
        self.events.push(Event::Upsert(resource));
    }

    /// Follows every consequence to its end: needs that arise or lapse, and resources that need not be held back any more.
    fn settle(&mut self, now: Instant) {
        loop {
            let changes = self.references.take_changes();
            if changes.is_empty() && !self.release_complete(now) && !self.release_expired(now) {
                break;
            }
            for change in changes {
                self.follow(change, now);
            }
        }
        self.report_synced();
    }

    fn follow(&mut self, change: Change, now: Instant) {
        let key = change.target.clone();
        let is_cluster = key.0 == ResourceType::Cluster;
        if !is_cluster {
            self.subscriptions.push(change.clone());
        }
        if change.needed {
            self.admit_known(&key, now);
        } else if is_cluster && !self.cache.accepted(key.0, &key.1).is_some_and(|cluster| cluster.withdrawn) {
            // It stays known: something may refer to it again.
            self.put_out_of_force(&key);
        } else {
            self.forget(&key);
        }
    }

    fn report_synced(&mut self) {
        for (kind, told) in &mut self.synced {
            if !*told && (*kind == ResourceType::Cluster || self.held_back.is_empty()) {
                *told = true;
                self.events.push(Event::Synced(*kind));
            }
        }
    }
}

fn faults(refusals: Vec<Refusal>) -> Vec<String> {
    refusals.iter().map(reason).collect()
}

fn reason(Refusal { resource: _, field, reason }: &Refusal) -> String {
    if field.is_empty() { reason.clone() } else { format!("{field}: {reason}") }
}
