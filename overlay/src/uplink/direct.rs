//! Links to other edges, without a hub between.
//!
//! An edge says in what it announces where it can be dialled, if it can; the others of its tenant keep a link to it, from each worker. Streams between the two prefer
//! it, in both directions, and go over hubs while there is none.

use std::future::pending;
use std::net::IpAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::{FIRST_PAUSE, GOOD, dial, serve};
use crate::identity::Current;
use crate::node::{Node, Peer, count};
use crate::transport::Linked;

/// Hubs are there meanwhile: it may take longer than to those.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Another edge that can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectEdge {
    /// Its name.
    pub edge: String,
    /// Where it says that it is, as `host:port`. The first that answers is taken.
    pub addresses: Vec<String>,
    /// The address that the link begins at, where there are several.
    pub local: Option<IpAddr>,
}

/// Keeps a link to all edges that are wanted, for as long as it runs.
pub async fn keep_direct(node: Rc<Node>, identity: Current, mut wanted: watch::Receiver<Arc<[DirectEdge]>>) {
    let mut tasks = JoinSet::new();
    let mut kept: Vec<(DirectEdge, AbortHandle)> = Vec::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        kept.retain(|(edge, task)| {
            let stays = now.contains(edge);
            if !stays {
                task.abort();
            }
            stays
        });
        for edge in now.iter() {
            if kept.iter().all(|(other, _)| other != edge) {
                kept.push((edge.clone(), tasks.spawn_local(keep(node.clone(), identity.clone(), edge.clone()))));
            }
        }
        tokio::select! {
            Ok(()) = wanted.changed() => {}
            Some(Err(ended)) = tasks.join_next() => if ended.is_panic() {
                resume_unwind(ended.into_panic());
            },
            else => pending().await,
        }
    }
}

/// Keeps a link to one edge. Where its process is left for another one, the link to that comes first.
async fn keep(node: Rc<Node>, identity: Current, edge: DirectEdge) {
    let mut pause = FIRST_PAUSE;
    let mut is_known_to_fail = false;
    let mut left_links = JoinSet::new();
    loop {
        let begun = Instant::now();
        match dial_any(&node, &identity, &edge).await {
            Err(error) => {
                count(&node.counters().direct_dials_failed);
                // Once: an address that cannot be reached from here is nothing that must be mended.
                if !std::mem::replace(&mut is_known_to_fail, true) {
                    tracing::info!(edge = edge.edge, "is reached over hubs: {error}");
                }
            }
            Ok(linked) => {
                is_known_to_fail = false;
                let link = linked.1.clone();
                let (node, current) = (node.clone(), identity.borrow().clone());
                left_links.spawn_local(async move { serve(&node, &current, linked).await });
                link.left().await;
            }
        }
        while let Some(ended) = left_links.try_join_next() {
            if let Ok((edge, end)) = ended {
                tracing::info!(edge, "the link has ended: {end}");
            }
        }
        if begun.elapsed() >= GOOD {
            pause = FIRST_PAUSE;
        }
        sleep(pause + rand::rng().random_range(Duration::ZERO..pause / 2)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn dial_any(node: &Node, identity: &Current, edge: &DirectEdge) -> Result<Linked, String> {
    let identity = identity.borrow().clone();
    let expects = |peer: &Peer| match (peer, identity.peer()) {
        (Peer::Edge { name, tenant }, Peer::Edge { tenant: ours, .. }) => *name == edge.edge && tenant == ours,
        _ => false,
    };
    let mut failures = Vec::new();
    for address in &edge.addresses {
        match dial(node, &identity, address, edge.local, expects).await {
            Ok(linked) => return Ok(linked),
            Err(error) => failures.push(format!("{address}: {error}")),
        }
    }
    Err(failures.join("; "))
}
