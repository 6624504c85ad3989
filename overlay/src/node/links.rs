//! The links that a node has, and which of them leads where.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::leg::Open;
use overlay_wire::shard;
use overlay_wire::stream::Route;
use serde::{Deserialize, Serialize};

use super::Counters;
use crate::link::Link;
use crate::waiters::{Waiter, Waiters};

/// Which link, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    entries: RefCell<Entries>,
    last: Cell<u64>,
    waiting: Waiters,
    counters: Arc<Counters>,
}

/// Links in the order in which they came. A hub has many, and looks for one with each leg: it finds those of a peer without a look at others'.
#[derive(Debug, Default)]
struct Entries {
    by_id: BTreeMap<LinkId, Entry>,
    of_peers: HashMap<Peer, Vec<LinkId>>,
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
        self.links.entries.borrow_mut().remove(self.id);
        self.links.changed();
    }
}

impl Entries {
    fn add(&mut self, entry: Entry) {
        self.of_peers.entry(entry.peer.clone()).or_default().push(entry.id);
        self.by_id.insert(entry.id, entry);
    }

    fn remove(&mut self, id: LinkId) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        if let Some(of_peer) = self.of_peers.get_mut(&entry.peer) {
            of_peer.retain(|other| *other != id);
            if of_peer.is_empty() {
                self.of_peers.remove(&entry.peer);
            }
        }
    }

    fn get(&self, id: LinkId) -> Option<&Entry> {
        self.by_id.get(&id)
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.by_id.values()
    }

    fn of(&self, peer: &Peer) -> impl Iterator<Item = &Entry> {
        self.of_peers.get(peer).into_iter().flatten().filter_map(|id| self.by_id.get(id))
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
        self.entries.borrow_mut().add(Entry { id, peer, shard, link });
        self.changed();
        Added { id, links: self.clone() }
    }

    /// Whether a link is gone, or may be dead.
    pub(crate) fn is_suspect(&self, id: LinkId) -> bool {
        self.entries.borrow().get(id).is_none_or(|entry| entry.link.is_suspect())
    }

    /// As [`Self::is_suspect`]; wakes a task when that changes.
    pub(crate) fn watch(&self, id: LinkId, waiter: &mut Waiter, context: &Context<'_>) -> bool {
        if let Some(entry) = self.entries.borrow().get(id) {
            entry.link.watch(waiter, context);
        }
        self.is_suspect(id)
    }

    /// The best link to where a stream leads: not `avoid`, one that was not tried if there is one, and directly if possible.
    pub(crate) fn choose(&self, route: &Route, avoid: Option<LinkId>, tried: &[LinkId]) -> Option<(LinkId, Link)> {
        let entries = self.entries.borrow();
        let is_direct = |entry: &Entry| entry.leads_to(&route.to, route.to_shard);
        let usable = entries.all().filter(|entry| {
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
        self.entries.borrow().all().any(|entry| entry.leads_to(edge, None) && is_good(&entry.link))
    }

    /// Whether a link is to an edge, not to a hub.
    pub(crate) fn is_direct(&self, id: LinkId) -> bool {
        self.entries.borrow().get(id).is_some_and(|entry| matches!(entry.peer, Peer::Edge { .. }))
    }

    /// A link to the edge that a leg is for, of the leg's tenant, for who relays: to the shard that is named, or to the one with the fewest streams. Where
    /// the shard's process is not linked, another process of the edge is: it knows whether there is anything to wait for.
    pub(crate) fn direct(&self, open: &Open) -> Option<(LinkId, Link)> {
        let edge = Peer::Edge { name: open.to.clone(), tenant: open.tenant.clone() };
        let direct = self.best(&edge, |entry| open.to_shard.is_none_or(|shard| shard == entry.shard));
        let is_other_process =
            |entry: &Entry| open.to_shard.is_some_and(|shard| !shard::are_of_one_process(shard, entry.shard));
        direct.or_else(|| self.best(&edge, is_other_process))
    }

    /// A link to a hub.
    pub(crate) fn to_hub(&self, wanted: &str) -> Option<(LinkId, Link)> {
        self.best(&Peer::Hub { name: wanted.into() }, |_| true)
    }

    fn best(&self, peer: &Peer, is_wanted: impl Fn(&Entry) -> bool) -> Option<(LinkId, Link)> {
        let entries = self.entries.borrow();
        let best =
            entries.of(peer).filter(|entry| is_wanted(entry) && entry.link.end().is_none()).min_by_key(|entry| {
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
        self.entries.borrow().all().map(|entry| (entry.peer.clone(), entry.link.clone())).collect()
    }

    fn changed(&self) {
        self.waiting.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use overlay_wire::leg::{Progress, StreamKey};
    use overlay_wire::mux::{Limits, Side};
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::link::{Driver, Timing};

    fn edge(name: &str, tenant: &str) -> Peer {
        Peer::Edge { name: name.into(), tenant: tenant.into() }
    }

    fn open(to: &str, tenant: &str, to_shard: Option<u16>) -> Open {
        Open {
            key: StreamKey { session: [7; 16], number: 0 },
            resumes: false,
            progress: Progress { delivered: 0, allowed: 0 },
            from: "a".into(),
            from_shard: 0,
            to: to.into(),
            to_shard,
            tenant: tenant.into(),
            class: 0,
        }
    }

    /// Links that live for as long as their drivers.
    fn linked(links: &Rc<Links>, peers: &[(Peer, u16)]) -> (Vec<Added>, Vec<Driver<DuplexStream>>) {
        let add = |(peer, shard): &(Peer, u16)| {
            let (link, driver) =
                Driver::new(duplex(64).0, Side::Dialled, Limits::default(), Vec::new(), Timing::default());
            (links.add(peer.clone(), *shard, link), driver)
        };
        peers.iter().map(add).unzip()
    }

    #[tokio::test]
    async fn a_leg_is_sent_on_with_a_look_at_the_links_of_its_edge_alone() {
        let links = Rc::new(Links::new(Arc::default()));
        let edges = (0..100).map(|number| (edge(&format!("m{number}"), "acme"), 0));
        let named_alike = [(edge("b", "other"), 0), (edge("b", "acme"), 0), (edge("b", "acme"), 1)];
        let hubs = [(Peer::Hub { name: "b".into() }, 0), (Peer::Hub { name: "h2".into() }, 0)];
        let peers: Vec<_> = edges.chain(named_alike).chain(hubs).collect();
        let (added, _drivers) = linked(&links, &peers);

        for (peer, _) in &peers {
            let entries = links.entries.borrow();
            let of_peer: Vec<_> = entries.of(peer).map(|entry| &entry.peer).collect();
            let expected = if *peer == edge("b", "acme") { 2 } else { 1 };
            assert!(of_peer.len() == expected && of_peer.iter().all(|other| *other == peer), "{peer:?}: {of_peer:?}");
        }
        let found = |found: Option<(LinkId, Link)>| found.map(|(id, _)| id);
        let at = |index: usize| Some(added[index].id);
        assert_eq!(found(links.direct(&open("m7", "acme", None))), at(7));
        assert_eq!(found(links.direct(&open("b", "other", None))), at(100));
        assert_eq!([0, 1].map(|shard| found(links.direct(&open("b", "acme", Some(shard))))), [at(101), at(102)]);
        assert_eq!(
            [open("m7", "other", None), open("x", "acme", None)].map(|open| found(links.direct(&open))),
            [None; 2]
        );
        assert_eq!(["b", "h2", "m7"].map(|name| found(links.to_hub(name))), [at(103), at(104), None]);

        drop(added);
        let entries = links.entries.borrow();
        assert!(entries.by_id.is_empty() && entries.of_peers.is_empty(), "{entries:?}");
    }
}
