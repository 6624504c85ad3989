//! Statements of the authority, between edges that are linked to each other: an edge hears who was revoked although it has no hub.
//!
//! Each is signed and has a number, so that it does not matter who passes it on. Nothing else is told between edges.

use std::future::pending;
use std::io;
use std::rc::Rc;

use overlay_wire::leg::{self, LegFrame};
use overlay_wire::mux::Urgency;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::pace::Paces;
use super::room::{Rooms, patience};
use crate::catalogue::message::{Header, Message};
use crate::identity::Current;
use crate::link::{Link, LinkEnd, LinkStream, code};
use crate::node::{Arrival, Node, Peer, count};
use crate::strangers::{Seldom, quoted};

/// Takes statements of other edges, and passes them on, on a node of an edge that has no [`Directory`](super::Directory); one that has does so itself.
/// What is returned goes on for ever, on the thread of the node.
pub fn pass_statements(node: &Rc<Node>, identity: Current) -> impl Future<Output = ()> + use<> {
    let (statements, arrivals) = (Rc::new(Statements::new(node, identity)), node.arrivals());
    async move {
        let Some(mut arrivals) = arrivals else { return pending().await };
        while let Some(arrival) = arrivals.recv().await {
            if statements.concern(arrival.peer()) {
                spawn_local(statements.clone().take(arrival));
            }
        }
    }
}

/// Of one node.
#[derive(Debug)]
pub(super) struct Statements {
    node: Rc<Node>,
    identity: Current,
    paces: Paces,
    rooms: Rooms,
    refusals: Seldom,
}

impl Statements {
    pub(super) fn new(node: &Rc<Node>, identity: Current) -> Self {
        let rooms = Rooms::new(&node.catalogue_limits());
        Self { node: node.clone(), identity, paces: Paces::default(), rooms, refusals: Seldom::default() }
    }

    /// Whether it is statements alone that this node and a peer tell each other.
    pub(super) fn concern(&self, peer: &Peer) -> bool {
        matches!((self.identity.borrow().peer(), peer), (Peer::Edge { .. }, Peer::Edge { .. }))
    }

    pub(super) async fn take(self: Rc<Self>, arrival: Arrival) {
        match arrival {
            Arrival::Link(peer, link) => {
                let told = tokio::select! {
                    told = self.tell(&link) => told,
                    _ = link.ended() => return,
                };
                tracing::debug!(peer = peer.name(), "statements are sent no more: {told:?}");
                // Nobody tells or hears them over this link any more: over the next one they do.
                link.close(code::FAILED, "statements are not taken");
            }
            Arrival::Catalogue(peer, mut stream) => {
                let Err(error) = self.hear(&peer, &mut stream).await else { return };
                if error.get_ref().is_some_and(|cause| cause.is::<LinkEnd>()) {
                    return;
                }
                count(&self.node.counters().announcements_refused);
                if let Some(left_out) = self.refusals.happened() {
                    let (peer, error) = (peer.name(), quoted(&error));
                    tracing::warn!(peer, left_out, "statements are not taken any more: {error}");
                }
                stream.link().close(code::PROTOCOL, &format!("statements are not taken: {error}"));
            }
        }
    }

    /// Tells what is known, and whatever is newer.
    async fn tell(&self, link: &Link) -> io::Result<()> {
        let trust = self.identity.borrow().clone();
        let trust = trust.trust();
        let (mut told, mut signed) = trust.next_after(0).await;
        let mut stream = link.open(Urgency::new(1)).await.map_err(io::Error::other)?;
        let mut message = Vec::new();
        leg::put(&mut message, &LegFrame::Catalogue);
        loop {
            message.extend(Message::Trust(signed).to_bytes());
            timeout(patience(message.len() as u64), stream.write_all(&message)).await??;
            message.clear();
            (told, signed) = trust.next_after(told).await;
        }
    }

    async fn hear(&self, peer: &Peer, stream: &mut LinkStream) -> io::Result<()> {
        let Peer::Edge { tenant, .. } = peer else { return Ok(()) };
        let pace = self.paces.of(peer);
        while let Some(header) = Header::read(stream).await? {
            if pace.wait(header.length).await {
                count(&self.node.counters().announcements_delayed);
            }
            let _begun = pace.begin(header.length).await;
            let _room = self.rooms.take(tenant, header.length).await;
            match timeout(patience(header.length), header.message(stream)).await?? {
                Some(Message::Trust(signed)) => {
                    let identity = self.identity.borrow().clone();
                    identity.trust().take(&signed).map_err(io::Error::other)?;
                }
                Some(_) => return Err(io::Error::other("edges tell each other nothing of what is offered")),
                None => {}
            }
        }
        Ok(())
    }
}
