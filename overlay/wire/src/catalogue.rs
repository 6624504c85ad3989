//! What edges say of themselves, as others know it: the newest of each, for as long as it is confirmed.
//!
//! What an edge announces is one piece, signed as a whole, so that nobody between can leave something out. Which of two is newer its
//! stamp says, never a clock. How long it is good counts from when it was heard, so that an edge whose clock is wrong is none the worse.
//!
//! What is not confirmed in time is shown to nobody, and is known again when it is confirmed later: a clock may have been wrong here, by which nothing was believed.
//!
//! Every change has a number. Whoever passes on what is known remembers the last one, and is shown what came later, of one tenant if it wants no more: what
//! did not change costs nothing.

mod entry;
mod missing;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use self::entry::{Entry, LeftOut, Tenant};
pub use self::missing::Refusal;
pub use self::room::Limits;
use self::room::Used;

/// How long an announcement is good that is not confirmed, for everybody who has heard of it.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Orders what an edge says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Grows with every start of the edge, which keeps it.
    pub epoch: u64,
    /// Grows with every change.
    pub sequence: u64,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// It is newer than what was known, or is known again.
    New,
    /// It is what is known.
    Known,
    /// Something newer is known.
    Old,
    /// There is no room for it; what there is too much of.
    NoRoom(&'static str),
}

/// The newest announcement of each edge. `T` is what the user makes of it.
#[derive(Debug)]
pub struct Catalogue<T> {
    limits: Limits,
    entries: HashMap<Arc<str>, Entry<T>>,
    used: Used,
    tenants: HashMap<Arc<str>, Tenant>,
    /// The number of the last change.
    last: u64,
    /// Edges that announce something, by the number of their last change.
    changes: BTreeMap<u64, Arc<str>>,
    deadlines: BTreeSet<(Duration, Arc<str>)>,
}

/// What an edge announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced<T> {
    /// Its content.
    pub value: T,
    /// Bytes of it.
    pub size: usize,
    /// Services in it.
    pub services: usize,
}

/// Something that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a, T> {
    /// The edge.
    pub edge: &'a Arc<str>,
    /// Of what it announces now.
    pub stamp: Stamp,
    /// What it announces now.
    pub value: &'a T,
    /// The number of the change by which that was announced.
    pub announced_at: u64,
    /// The number of this change: the same, or else it was confirmed since.
    pub number: u64,
}

impl<T> Catalogue<T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            used: Used::default(),
            tenants: HashMap::new(),
            last: 0,
            changes: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Whether an announcement with this stamp would be new. To be asked before its signature is looked at.
    pub fn is_new(&self, edge: &str, stamp: Stamp) -> bool {
        self.entries
            .get(edge)
            .is_none_or(|entry| stamp > entry.stamp || stamp == entry.stamp && entry.shown().is_none())
    }

    /// Takes an announcement whose signature is good.
    pub fn merge(&mut self, edge: &str, tenant: &str, stamp: Stamp, announced: Announced<T>, now: Duration) -> Merge {
        if !self.is_new(edge, stamp) {
            let is_known = self.entries.get(edge).is_some_and(|entry| entry.stamp == stamp);
            return if is_known { Merge::Known } else { Merge::Old };
        }
        let more = Used { edges: 1, services: announced.services, bytes: announced.size };
        if let Some(problem) = self.lacks_room(edge, tenant, more) {
            self.leave_out(edge, tenant, LeftOut { stamp, needs: Some(more) }, now);
            return Merge::NoRoom(problem);
        }
        let tenant = self.tenants.get_key_value(tenant).map_or_else(|| tenant.into(), |(tenant, _)| tenant.clone());
        let edge = self.take_out(edge).map_or_else(|| edge.into(), |(edge, _)| edge);
        let number = self.next_change();
        let until = now + self.limits.lifetime;
        let (announced_at, changed_at, announced) = (number, number, Some(announced));
        let (is_hidden, left_out) = (false, None);
        self.put_in(edge, Entry { tenant, stamp, announced, is_hidden, left_out, announced_at, changed_at, until });
        Merge::New
    }

    /// The edge has said again that this is what it announces, which changes what is known of it. One that confirms what is newer goes on announcing what is
    /// known, if less: there was no room for it. `Old` if nothing is known that it could confirm.
    pub fn confirm(&mut self, edge: &str, stamp: Stamp, now: Duration, change: impl FnOnce(&mut T)) -> Merge {
        if self.kept(edge).is_none_or(|(kept, _)| kept > stamp) {
            return Merge::Old;
        }
        let Some((edge, mut entry)) = self.take_out(edge) else { return Merge::Old };
        if let Some(announced) = &mut entry.announced {
            change(&mut announced.value);
        }
        entry.changed_at = self.next_change();
        entry.until = now + self.limits.lifetime;
        let was_hidden = std::mem::take(&mut entry.is_hidden);
        if was_hidden {
            // Who came meanwhile was not told of it.
            entry.announced_at = entry.changed_at;
        }
        self.put_in(edge, entry);
        if was_hidden { Merge::New } else { Merge::Known }
    }

    /// Forgets what an edge announces at once, but not its stamp; whether there was something.
    pub fn withdraw(&mut self, edge: &str, now: Duration) -> bool {
        let Some((edge, mut entry)) = self.take_out(edge) else { return false };
        let was_shown = entry.shown().is_some();
        (entry.announced, entry.is_hidden) = (None, false);
        entry.until = now + self.limits.memory;
        self.put_in(edge, entry);
        was_shown
    }

    /// Hides what was not confirmed in time, and forgets it after that; whose is hidden now.
    pub fn expire(&mut self, now: Duration) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        while let Some((_, edge)) = self.deadlines.first().filter(|(until, _)| *until <= now).cloned() {
            if let Some((edge, mut entry)) = self.take_out(&edge)
                && entry.shown().is_some()
            {
                entry.is_hidden = true;
                entry.until = now + self.limits.memory;
                expired.push(edge.clone());
                self.put_in(edge, entry);
            }
        }
        expired.sort();
        expired
    }

    /// When [`Self::expire`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// What an edge announces.
    pub fn get(&self, edge: &str) -> Option<(Stamp, &T)> {
        let entry = self.entries.get(edge)?;
        entry.shown().map(|announced| (entry.stamp, &announced.value))
    }

    /// What it has announced, even if it was not confirmed in time.
    pub fn kept(&self, edge: &str) -> Option<(Stamp, &T)> {
        let entry = self.entries.get(edge)?;
        entry.announced.as_ref().map(|announced| (entry.stamp, &announced.value))
    }

    /// When an edge has last announced or confirmed something.
    pub fn heard(&self, edge: &str) -> Option<Duration> {
        let entry = self.entries.get(edge).filter(|entry| entry.shown().is_some())?;
        Some(entry.until.saturating_sub(self.limits.lifetime))
    }

    /// What all edges announce.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Stamp, &T)> {
        self.entries
            .iter()
            .filter_map(|(edge, entry)| entry.shown().map(|announced| (&**edge, entry.stamp, &announced.value)))
    }

    /// Edges that are known.
    pub fn edge_count(&self) -> usize {
        self.entries.len()
    }

    /// The number of the last change.
    pub fn last_change(&self) -> u64 {
        self.last
    }

    /// What has changed after a change with this number, of a tenant or of all, in order: each edge once, with what it announces now.
    pub fn changes_after(&self, number: u64, tenant: Option<&str>) -> impl Iterator<Item = Change<'_, T>> {
        let changes = match tenant {
            None => Some(&self.changes),
            Some(tenant) => self.tenants.get(tenant).map(|tenant| &tenant.changes),
        };
        let after = (Bound::Excluded(number), Bound::Unbounded);
        changes.into_iter().flat_map(move |changes| changes.range(after)).filter_map(move |(_, edge)| {
            let entry = self.entries.get(edge)?;
            let value = &entry.shown()?.value;
            let Entry { stamp, announced_at, changed_at, .. } = *entry;
            Some(Change { edge, stamp, value, announced_at, number: changed_at })
        })
    }

    fn next_change(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Takes an edge out of all that leads to it, to be changed and [put in](Self::put_in) again.
    fn take_out(&mut self, edge: &str) -> Option<(Arc<str>, Entry<T>)> {
        let (edge, entry) = self.entries.remove_entry(edge)?;
        self.deadlines.remove(&(entry.until, edge.clone()));
        self.changes.remove(&entry.changed_at);
        self.used -= entry.used();
        if let Some(tenant) = self.tenants.get_mut(&entry.tenant) {
            tenant.changes.remove(&entry.changed_at);
            tenant.used -= entry.used();
            if tenant.used.edges == 0 {
                self.tenants.remove(&entry.tenant);
            }
        }
        Some((edge, entry))
    }

    fn put_in(&mut self, edge: Arc<str>, entry: Entry<T>) {
        self.deadlines.insert((entry.until, edge.clone()));
        self.used += entry.used();
        let tenant = self.tenants.entry(entry.tenant.clone()).or_default();
        tenant.used += entry.used();
        if entry.shown().is_some() {
            self.changes.insert(entry.changed_at, edge.clone());
            tenant.changes.insert(entry.changed_at, edge.clone());
        }
        self.entries.insert(edge, entry);
    }
}

#[cfg(test)]
mod tests;
