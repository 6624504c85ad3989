//! What was announced and is not known: for want of room, because it was not believed at the time, or because it is forgotten. Whoever confirms it could tell it again.

use std::time::Duration;

use super::entry::{Entry, LeftOut};
use super::room::Used;
use super::{Catalogue, Stamp};

/// For how long an announcement is not taken, other than for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may be taken another time: a clock may have been wrong.
    ForNow,
    /// It never will be.
    ForGood,
}

/// An edge of which no more is kept than its stamp.
const ONE_EDGE: Used = Used { edges: 1, services: 0, bytes: 0 };

impl<T> Catalogue<T> {
    /// Notes that an announcement was not taken.
    pub fn refuse(&mut self, edge: &str, tenant: &str, stamp: Stamp, refusal: Refusal, now: Duration) {
        match refusal {
            // Its signature may not be good: it takes no room, and no place of what is known to be left out.
            Refusal::ForNow if self.entries.get(edge).is_none_or(|entry| entry.left_out.is_some()) => {}
            Refusal::ForNow => self.leave_out(edge, tenant, LeftOut { stamp, needs: Some(ONE_EDGE) }, now),
            Refusal::ForGood => self.leave_out(edge, tenant, LeftOut { stamp, needs: None }, now),
        }
    }

    /// Whether the one that is confirmed is not known, and would be taken now. If it would not, that is remembered for longer.
    pub fn is_missing(&mut self, edge: &str, tenant: &str, confirmed: Stamp, now: Duration) -> bool {
        let needs = match self.entries.get(edge) {
            None => Some(ONE_EDGE),
            Some(entry) => {
                let is_newer = |left_out: &LeftOut| entry.announced.is_none() || left_out.stamp > entry.stamp;
                match entry.left_out.filter(|left_out| confirmed >= left_out.stamp && is_newer(left_out)) {
                    Some(left_out) => left_out.needs,
                    None if entry.announced.is_none() && confirmed >= entry.stamp => Some(ONE_EDGE),
                    // It is known, or whoever confirms it tells an older one for want of room.
                    None => return false,
                }
            }
        };
        let is_taken = needs.is_some_and(|needs| self.lacks_room(edge, tenant, needs).is_none());
        if !is_taken && let Some((edge, mut entry)) = self.take_out(edge) {
            self.remember(&mut entry, now);
            self.put_in(edge, entry);
        }
        is_taken
    }

    /// What is missing of an edge is about to be told again, as far as there is anybody who can.
    pub fn asked(&mut self, edge: &str) {
        if let Some(entry) = self.entries.get_mut(edge).filter(|entry| entry.announced.is_some()) {
            entry.left_out = None;
        }
    }

    pub(super) fn leave_out(&mut self, edge: &str, tenant: &str, left_out: LeftOut, now: Duration) {
        let (edge, mut entry) = match self.take_out(edge) {
            Some(known) => known,
            None if self.exceeded_with(edge, tenant, ONE_EDGE).is_some() => return,
            None => (edge.into(), Entry::nothing_of(tenant)),
        };
        entry.left_out = Some(left_out);
        self.remember(&mut entry, now);
        self.put_in(edge, entry);
    }

    /// Of what is known the time is that of its announcement.
    fn remember(&self, entry: &mut Entry<T>, now: Duration) {
        if entry.announced.is_none() {
            entry.until = now + self.limits.memory;
        }
    }

    /// What there is too much of for an edge to take this, in the place of what it has. What nobody is shown is given up before something is refused for it.
    pub(super) fn lacks_room(&mut self, edge: &str, tenant: &str, more: Used) -> Option<&'static str> {
        self.exceeded_with(edge, tenant, more)?;
        self.drop_hidden(Some(tenant));
        self.exceeded_with(edge, tenant, more)?;
        // What others have is not given up for who has too much itself.
        let (of_tenant, _) = self.used_with(edge, tenant, more);
        if self.limits.exceeded_by_tenant(more.bytes, of_tenant).is_none() {
            self.drop_hidden(None);
        }
        self.exceeded_with(edge, tenant, more)
    }

    fn exceeded_with(&self, edge: &str, tenant: &str, more: Used) -> Option<&'static str> {
        let (of_tenant, of_all) = self.used_with(edge, tenant, more);
        self.limits.exceeded_by_tenant(more.bytes, of_tenant).or_else(|| self.limits.exceeded_by_all(of_tenant, of_all))
    }

    /// What a tenant and all would have, if an edge took this in the place of what it has.
    fn used_with(&self, edge: &str, tenant: &str, more: Used) -> (Used, Used) {
        let mut of_tenant = self.tenants.get(tenant).map(|tenant| tenant.used).unwrap_or_default();
        let mut of_all = self.used;
        of_tenant += more;
        of_all += more;
        if let Some(before) = self.entries.get(edge) {
            of_all -= before.used();
            if *before.tenant == *tenant {
                of_tenant -= before.used();
            }
        }
        (of_tenant, of_all)
    }

    /// Gives up what nobody is shown, of a tenant or of all.
    fn drop_hidden(&mut self, tenant: Option<&str>) {
        let is_wanted = |entry: &Entry<T>| entry.is_hidden && tenant.is_none_or(|tenant| *entry.tenant == *tenant);
        let hidden = self.entries.iter().filter(|(_, entry)| is_wanted(entry));
        let hidden: Vec<_> = hidden.map(|(edge, _)| edge.clone()).collect();
        for edge in hidden {
            let Some((edge, mut entry)) = self.take_out(&edge) else { continue };
            let needs = Some(entry.used());
            entry.left_out.get_or_insert(LeftOut { stamp: entry.stamp, needs });
            (entry.announced, entry.is_hidden) = (None, false);
            self.put_in(edge, entry);
        }
    }
}
