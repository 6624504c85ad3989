//! Links to other edges, without a hub between.
//!
//! An edge says in what it announces where it can be dialled, if it can; the others of its tenant keep a link to it, from each worker. Streams between the two prefer
//! it, in both directions, and go over hubs while there is none.
//!
//! Whoever announces decides what others dial: so it is dialled as often as if it never changed that, and only where [`MayDial`] allows it.

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::look_up::{Found, ask_system, look_up};
use super::pause::Pause;
use super::{MayDial, serve};
use crate::identity::Current;
use crate::node::{Node, Peer, count};
use crate::transport::{self, Linked};

/// Hubs are there meanwhile: it may take longer than to those.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// All edges of a tenant hear of an edge at once. They dial it within this time.
const FIRST_DIAL_WITHIN: Duration = Duration::from_secs(2);
/// How long an edge is remembered that is not wanted any more, with how often it was dialled in vain. It is longer than any pause.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Another edge that can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectEdge {
    /// Its name.
    pub edge: String,
    /// Where it says that it is, as `host:port`. The first that answers is taken.
    pub addresses: Arc<[String]>,
    /// The address that the link begins at, where there are several.
    pub local: Option<IpAddr>,
    /// Which of the addresses are dialled at all.
    pub may_dial: Arc<MayDial>,
}

impl DirectEdge {
    /// Whether it is the same link that is wanted, wherever the edge is now.
    fn is_same(&self, other: &Self) -> bool {
        (&self.edge, self.local, &self.may_dial) == (&other.edge, other.local, &other.may_dial)
    }
}

/// Keeps a link to all edges that are wanted, for as long as it runs.
pub async fn keep_direct(node: Rc<Node>, identity: Current, mut wanted: watch::Receiver<Arc<[DirectEdge]>>) {
    let mut tasks = JoinSet::new();
    let mut kept: Vec<(DirectEdge, watch::Sender<Arc<[String]>>)> = Vec::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        kept.retain(|(_, addresses)| !addresses.is_closed());
        for (edge, addresses) in &kept {
            let current = now.iter().find(|one| one.is_same(edge));
            addresses.send_replace(current.map(|one| one.addresses.clone()).unwrap_or_default());
        }
        for edge in now.iter() {
            if kept.iter().all(|(other, _)| !other.is_same(edge)) {
                let (sender, addresses) = watch::channel(edge.addresses.clone());
                let dialling = Dialling::new(node.clone(), identity.clone(), edge.clone());
                tasks.spawn_local(dialling.keep(addresses));
                kept.push((edge.clone(), sender));
            }
        }
        tokio::select! {
            Ok(()) = wanted.changed() => {}
            Some(ended) = tasks.join_next() => if let Err(ended) = ended && ended.is_panic() {
                resume_unwind(ended.into_panic());
            },
            else => pending().await,
        }
    }
}

/// One edge, dialled from one address.
struct Dialling {
    node: Rc<Node>,
    identity: Current,
    edge: String,
    local: Option<IpAddr>,
    may_dial: Arc<MayDial>,
    /// Whatever the edge announces meanwhile.
    pause: Pause,
    is_known_to_fail: bool,
}

impl Dialling {
    fn new(node: Rc<Node>, identity: Current, edge: DirectEdge) -> Self {
        let DirectEdge { edge, local, may_dial, .. } = edge;
        let pause = Pause::up_to(LONGEST_PAUSE);
        Self { node, identity, edge, local, may_dial, pause, is_known_to_fail: false }
    }

    /// Keeps a link while there are addresses, until there were none for long.
    async fn keep(mut self, mut addresses: watch::Receiver<Arc<[String]>>) {
        sleep(rand::rng().random_range(Duration::ZERO..FIRST_DIAL_WITHIN)).await;
        while is_wanted(&mut addresses).await {
            let mut wanted = addresses.clone();
            tokio::select! {
                never = self.keep_while_wanted(&addresses) => match never {},
                _ = wanted.wait_for(|addresses| addresses.is_empty()) => {}
            }
        }
    }

    /// Where the edge's process is left for another one, the link to that comes first.
    async fn keep_while_wanted(&mut self, addresses: &watch::Receiver<Arc<[String]>>) -> Infallible {
        let mut left_links = JoinSet::new();
        loop {
            self.pause.pass().await;
            let current = addresses.borrow().clone();
            match self.dial_any(&current).await {
                Err(error) => {
                    count(&self.node.counters().direct_dials_failed);
                    // Once: an address that cannot be reached from here is nothing that must be mended.
                    if !std::mem::replace(&mut self.is_known_to_fail, true) {
                        tracing::info!(edge = self.edge, "is reached over hubs: {error}");
                    }
                }
                Ok(linked) => {
                    self.is_known_to_fail = false;
                    let (came, link) = (Instant::now(), linked.1.clone());
                    let (node, current) = (self.node.clone(), self.identity.borrow().clone());
                    left_links.spawn_local(async move { serve(&node, &current, linked).await });
                    link.left().await;
                    self.pause.link_ended(came);
                }
            }
            while let Some(ended) = left_links.try_join_next() {
                if let Ok((edge, end)) = ended {
                    tracing::info!(edge, "the link has ended: {end}");
                }
            }
        }
    }

    async fn dial_any(&self, announced: &[String]) -> Result<Linked, String> {
        let identity = self.identity.borrow().clone();
        let expects = |peer: &Peer| match (peer, identity.peer()) {
            (Peer::Edge { name, tenant }, Peer::Edge { tenant: ours, .. }) => *name == self.edge && tenant == ours,
            _ => false,
        };
        let hubs = self.may_dial.hub_addresses().await;
        let permits = |address| self.may_dial.permits(address, &hubs);
        let Found { addresses, mut failures } = look_up(announced, permits, ask_system).await;
        for address in addresses {
            match transport::dial(&identity, address, self.local, self.node.hello(), expects).await {
                Ok(linked) => return Ok(linked),
                Err(error) => failures.push(format!("{address}: {error}")),
            }
        }
        Err(failures.join("; "))
    }
}

/// Whether there is an address, or is one before the edge is forgotten.
async fn is_wanted(addresses: &mut watch::Receiver<Arc<[String]>>) -> bool {
    let found = timeout(REMEMBERED, addresses.wait_for(|addresses| !addresses.is_empty())).await;
    matches!(found, Ok(Ok(_)))
}
