//! What peers are told.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::catalogue::Change;
use overlay_wire::leg::{self, LegFrame};
use overlay_wire::mux::Urgency;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use super::room::{Passed, is_long, patience};
use super::{Directory, Known};
use crate::catalogue::message::Message;
use crate::link::Link;
use crate::node::Peer;

/// Changes that come together go together.
const COALESCE: Duration = Duration::from_millis(20);

/// What a peer was told over a link.
#[derive(Debug, Default)]
struct Told {
    /// The last change that was looked at.
    change: u64,
    /// All changes up to this one were looked at before the round began that is not over yet.
    since: u64,
    /// The announcements that it was told, by the numbers of their changes. An edge was told all that there was before the round. A hub was not: whether it is,
    /// for each, depends on who said so last.
    edges: HashMap<Arc<str>, u64>,
}

impl Directory {
    /// Tells a peer what is known and whatever changes, for as long as the link lives.
    pub(super) async fn send(&self, peer: &Peer, link: &Link) -> io::Result<()> {
        let mut stream = link.open(Urgency::new(1)).await.map_err(io::Error::other)?;
        let mut first = Vec::new();
        leg::put(&mut first, &LegFrame::Catalogue);
        stream.write_all(&first).await?;
        let mut changes = self.notices.of(peer);
        let mut told = Told::default();
        let mut tell = async |message: &[u8]| {
            let told = timeout(patience(message.len() as u64), stream.write_all(message)).await;
            told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        let identity = self.identity.borrow().clone();
        let (mut told_trust, trust) = (0, identity.trust());
        let is_hub = matches!(identity.peer(), Peer::Hub { .. });
        loop {
            changes.mark_unchanged();
            // Edges hear of it from hubs, and need not tell them. They tell each other.
            if is_hub && let Some((number, signed)) = trust.other_than(told_trust) {
                told_trust = number;
                tell(&Message::Trust(signed).to_bytes()).await?;
            }
            // One at a time: what is replaced before its turn comes is not kept for who does not take it.
            while let Some(message) = self.next_due(peer, &mut told) {
                tell(message.bytes()).await?;
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
            sleep(COALESCE).await;
        }
    }

    /// The next message that a peer has not been told.
    fn next_due(&self, peer: &Peer, told: &mut Told) -> Option<Rc<Passed>> {
        let catalogue = self.catalogue.borrow();
        let (tenant, own) = match peer {
            Peer::Edge { name, tenant } => (Some(tenant.as_str()), Some(name.as_str())),
            Peer::Hub { .. } => (None, None),
        };
        for change in catalogue.changes_after(told.change, tenant) {
            told.change = change.number;
            if own.is_none() && change.value.from_hub {
                continue;
            }
            // What is announced under its own name, perhaps by another process, it hears, too; of what is long no more than the confirmations.
            let is_too_long =
                own.is_some_and(|own| **change.edge == *own) && is_long(change.value.message.bytes().len() as u64);
            let all = told.is_to_hear_all(&change, own.is_some()) && !is_too_long;
            if let Some(message) = message(&change, all) {
                return Some(message);
            }
        }
        told.change = catalogue.last_change();
        told.since = told.change;
        match peer {
            Peer::Edge { .. } => told.edges = HashMap::new(),
            Peer::Hub { .. } if told.edges.len() > catalogue.edge_count() => {
                told.edges.retain(|edge, _| catalogue.get(edge).is_some());
            }
            Peer::Hub { .. } => {}
        }
        None
    }
}

impl Told {
    fn is_to_hear_all(&mut self, change: &Change<'_, Known>, is_edge: bool) -> bool {
        let was_there_before = is_edge && change.announced_at <= self.since;
        !was_there_before && self.edges.insert(change.edge.clone(), change.announced_at) != Some(change.announced_at)
    }
}

/// All of what an edge announces, or that it is so still.
fn message(change: &Change<'_, Known>, all: bool) -> Option<Rc<Passed>> {
    match all {
        true => Some(change.value.message.clone()),
        false => change.value.confirmation.as_ref().map(|(.., message)| message.clone()),
    }
}
