//! What peers are told.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::catalogue::{Change, Stamp};
use overlay_wire::leg::{self, LegFrame};
use overlay_wire::mux::Urgency;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

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
    /// A hub was told of these edges: whether it is, for each, depends on who said so last.
    edges: HashMap<Arc<str>, Stamp>,
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
        let identity = self.identity.borrow().clone();
        let (mut told_trust, trust) = (0, identity.trust());
        let is_hub = matches!(identity.peer(), Peer::Hub { .. });
        loop {
            changes.mark_unchanged();
            // Edges hear of it from hubs, and need not tell them.
            if is_hub && let Some((number, signed)) = trust.other_than(told_trust) {
                told_trust = number;
                stream.write_all(&Message::Trust(signed).to_bytes()).await?;
            }
            for message in self.due(peer, &mut told) {
                stream.write_all(&message).await?;
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
            sleep(COALESCE).await;
        }
    }

    /// What a peer has not been told.
    fn due(&self, peer: &Peer, told: &mut Told) -> Vec<Rc<[u8]>> {
        let catalogue = self.catalogue.borrow();
        let since = std::mem::replace(&mut told.change, catalogue.last_change());
        match peer {
            Peer::Edge { name, tenant } => {
                let changes = catalogue.changes_after(since, Some(tenant)).filter(|change| **change.edge != **name);
                changes.filter_map(|change| message(&change, change.is_announced)).collect()
            }
            Peer::Hub { .. } => {
                if told.edges.len() > catalogue.edge_count() {
                    told.edges.retain(|edge, _| catalogue.get(edge).is_some());
                }
                let changes = catalogue.changes_after(since, None).filter(|change| !change.value.from_hub);
                let due = changes.filter_map(|change| {
                    let before = told.edges.insert(change.edge.clone(), change.stamp);
                    message(&change, change.is_announced || before != Some(change.stamp))
                });
                due.collect()
            }
        }
    }
}

/// All of what an edge announces, or that it is so still.
fn message(change: &Change<'_, Known>, all: bool) -> Option<Rc<[u8]>> {
    match all {
        true => Some(change.value.message.clone()),
        false => change.value.confirmation.as_ref().map(|(_, message)| message.clone()),
    }
}
