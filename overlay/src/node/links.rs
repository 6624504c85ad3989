//! The links that a node has, and which of them leads where.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use overlay_wire::leg::Open;
use overlay_wire::shard;
use overlay_wire::stream::Route;
use serde::{Deserialize, Serialize};

use super::Counters;
use crate::link::Link;
use crate::waiters::{Waiter, Waiters};

/// Which link, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId(u64);

impl LinkId {
    /// That of no link.
    pub(crate) const NONE: Self = Self(0);
}

/// Who is at the other end of a link, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// An edge of a tenant.
    Edge {
        /// Its name.
        name: String,
        /// Whose it is.
        tenant: String,
    },
    /// A hub.
    Hub {
        /// Its name.
        name: String,
    },
}

impl Peer {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Edge { name, .. } | Self::Hub { name } => name,
        }
    }
}

/// All links of a node.
#[derive(Debug)]
pub(crate) struct Links {
    entries: RefCell<Vec<Entry>>,
    last: Cell<u64>,
    waiting: Waiters,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Entry {
    id: LinkId,
    peer: Peer,
    /// Which node of it.
    shard: u16,
    link: Link,
}

/// A link that is used.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) id: LinkId,
    links: Rc<Links>,
}

impl Drop for Added {
    fn drop(&mut self) {
        self.links.entries.borrow_mut().retain(|entry| entry.id != self.id);
        self.links.changed();
    }
}

impl Entry {
    /// Whether an edge, or the shard of it that is named, is at the other end.
    fn leads_to(&self, edge: &str, shard: Option<u16>) -> bool {
        matches!(&self.peer, Peer::Edge { name, .. } if name == edge) && shard.is_none_or(|shard| shard == self.shard)
    }
}

impl Links {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { entries: RefCell::default(), last: Cell::new(0), waiting: Waiters::default(), counters }
    }

    /// Of the node whose links they are.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Uses a link until the result is dropped.
    pub(crate) fn add(self: &Rc<Self>, peer: Peer, shard: u16, link: Link) -> Added {
        let id = LinkId(self.last.get() + 1);
        self.last.set(id.0);
        self.entries.borrow_mut().push(Entry { id, peer, shard, link });
        self.changed();
        Added { id, links: self.clone() }
    }

    /// Whether a link is gone, or may be dead.
    pub(crate) fn is_suspect(&self, id: LinkId) -> bool {
        self.entries.borrow().iter().find(|entry| entry.id == id).is_none_or(|entry| entry.link.is_suspect())
    }

    /// As [`Self::is_suspect`]; wakes a task when that changes.
    pub(crate) fn watch(&self, id: LinkId, waiter: &mut Waiter, context: &Context<'_>) -> bool {
        if let Some(entry) = self.entries.borrow().iter().find(|entry| entry.id == id) {
            entry.link.watch(waiter, context);
        }
        self.is_suspect(id)
    }

    /// The best link to where a stream leads: not `avoid`, one that was not tried if there is one, and directly if possible.
    pub(crate) fn choose(&self, route: &Route, avoid: Option<LinkId>, tried: &[LinkId]) -> Option<(LinkId, Link)> {
        let entries = self.entries.borrow();
        let is_direct = |entry: &Entry| entry.leads_to(&route.to, route.to_shard);
        let usable = entries.iter().filter(|entry| {
            let leads_there = matches!(entry.peer, Peer::Hub { .. }) || is_direct(entry);
            leads_there && Some(entry.id) != avoid && entry.link.end().is_none() && !entry.link.is_leaving()
        });
        let best = usable.min_by_key(|entry| {
            let round_trip = entry.link.round_trip().unwrap_or(Duration::MAX);
            (entry.link.is_suspect(), tried.contains(&entry.id), !is_direct(entry), round_trip)
        })?;
        Some((best.id, best.link.clone()))
    }

    /// Whether there is a good link to an edge without a hub between.
    pub(crate) fn has_direct(&self, edge: &str) -> bool {
        let is_good = |link: &Link| link.end().is_none() && !link.is_leaving() && !link.is_suspect();
        self.entries.borrow().iter().any(|entry| entry.leads_to(edge, None) && is_good(&entry.link))
    }

    /// Whether a link is to an edge, not to a hub.
    pub(crate) fn is_direct(&self, id: LinkId) -> bool {
        let entries = self.entries.borrow();
        entries.iter().any(|entry| entry.id == id && matches!(entry.peer, Peer::Edge { .. }))
    }

    /// A link to the edge that a leg is for, of the leg's tenant, for who relays: to the shard that is named, or to the one with the fewest streams. Where
    /// the shard's process is not linked, another process of the edge is: it knows whether there is anything to wait for.
    pub(crate) fn direct(&self, open: &Open) -> Option<(LinkId, Link)> {
        let is_tenant = |entry: &Entry| matches!(&entry.peer, Peer::Edge { tenant, .. } if *tenant == open.tenant);
        let direct = self.best(|entry| is_tenant(entry) && entry.leads_to(&open.to, open.to_shard));
        let is_other_process =
            |entry: &Entry| open.to_shard.is_some_and(|shard| !shard::are_of_one_process(shard, entry.shard));
        let other = || self.best(|entry| is_tenant(entry) && entry.leads_to(&open.to, None) && is_other_process(entry));
        direct.or_else(other)
    }

    /// A link to a hub.
    pub(crate) fn to_hub(&self, wanted: &str) -> Option<(LinkId, Link)> {
        self.best(|entry| matches!(&entry.peer, Peer::Hub { name } if name == wanted))
    }

    fn best(&self, is_wanted: impl Fn(&Entry) -> bool) -> Option<(LinkId, Link)> {
        let entries = self.entries.borrow();
        let best =
            entries.iter().filter(|entry| is_wanted(entry) && entry.link.end().is_none()).min_by_key(|entry| {
                let link = &entry.link;
                (link.is_suspect(), link.is_leaving(), link.stream_count(), std::cmp::Reverse(entry.id.0))
            })?;
        Some((best.id, best.link.clone()))
    }

    /// Wakes a task when a link comes or goes.
    pub(crate) fn wake_on_change(&self, waiter: &mut Waiter, context: &Context<'_>) {
        self.waiting.wait(waiter, context);
    }

    /// Who is linked.
    pub(crate) fn peers(&self) -> Vec<(Peer, Link)> {
        self.entries.borrow().iter().map(|entry| (entry.peer.clone(), entry.link.clone())).collect()
    }

    fn changed(&self) {
        self.waiting.wake_all();
    }
}
