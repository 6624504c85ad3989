//! Announcements on their way: from each edge to its hubs, from hub to hub, and from hubs to all edges of the same tenant.

mod receiving;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::catalogue::{Catalogue, Limits, Stamp};
use overlay_wire::leg::{self, LegFrame};
use overlay_wire::mux::Urgency;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::announcement::{Announcement, Service};
use super::message::{ANNOUNCEMENT, Message, Signed};
use crate::identity::Current;
use crate::link::Link;
use crate::node::{Arrival, Node, Peer};

/// Changes that come together go together.
const COALESCE: Duration = Duration::from_millis(20);

/// What an edge offers to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where it is, as Istio writes it: region/zone/sub-zone.
    pub locality: String,
    /// Its services.
    pub services: Vec<Service>,
}

/// What a node knows of all edges that it may know of.
#[derive(Debug)]
pub struct Directory {
    node: Rc<Node>,
    identity: Current,
    catalogue: RefCell<Catalogue<Known>>,
    /// Of this edge; the first number of its stamps is kept by whoever starts it.
    own: Cell<Stamp>,
    offered: RefCell<Option<Offer>>,
    beat: Cell<u64>,
    changes: watch::Sender<u64>,
    epoch: Instant,
}

#[derive(Clone, Debug)]
struct Known {
    tenant: String,
    announcement: Arc<Announcement>,
    /// To be passed on.
    message: Rc<[u8]>,
    confirmation: Option<(u64, Rc<[u8]>)>,
    /// A hub was the last to say so: other hubs have it from there.
    from_hub: bool,
}

impl Directory {
    /// The directory of a node. `epoch` must be greater than at each start before.
    pub fn new(node: &Rc<Node>, identity: Current, epoch: u64) -> Rc<Self> {
        let (changes, _) = watch::channel(0);
        let directory = Rc::new(Self {
            node: node.clone(),
            identity,
            catalogue: RefCell::new(Catalogue::new(Limits::default())),
            own: Cell::new(Stamp { epoch, sequence: 0 }),
            offered: RefCell::default(),
            beat: Cell::new(0),
            changes,
            epoch: Instant::now(),
        });
        if let Some(mut arrivals) = node.arrivals() {
            let taker = directory.clone();
            spawn_local(async move {
                while let Some(arrival) = arrivals.recv().await {
                    spawn_local(taker.clone().take(arrival));
                }
            });
        }
        spawn_local(directory.clone().keep());
        spawn_local(directory.clone().follow_identity());
        spawn_local(directory.clone().follow_trust());
        directory
    }

    /// Announces what this edge offers from now on.
    ///
    /// # Errors
    /// The identity cannot sign.
    pub fn offer(&self, offer: Offer) -> Result<(), crate::identity::IdentityError> {
        let identity = self.identity.borrow().clone();
        let Peer::Edge { name, tenant } = identity.peer().clone() else { return Ok(()) };
        let stamp = Stamp { sequence: self.own.get().sequence + 1, ..self.own.get() };
        let Offer { locality, services } = offer.clone();
        let announcement = Announcement { epoch: stamp.epoch, sequence: stamp.sequence, locality, services };
        let payload = announcement.to_bytes();
        let signature = identity.sign(ANNOUNCEMENT, &payload)?;
        let message = Message::Announce(Signed { payload, signature }).to_bytes();
        self.own.set(stamp);
        self.offered.replace(Some(offer));
        let known = Known {
            tenant,
            announcement: Arc::new(announcement),
            message: message.into(),
            confirmation: None,
            from_hub: false,
        };
        let size = known.message.len();
        self.catalogue.borrow_mut().merge(&name, stamp, known, size, self.now());
        self.changed();
        Ok(())
    }

    /// What edges announce, by name.
    pub fn edges(&self) -> Vec<(String, Arc<Announcement>)> {
        let catalogue = self.catalogue.borrow();
        let mut edges: Vec<_> =
            catalogue.iter().map(|(edge, _, known)| (edge.to_owned(), known.announcement.clone())).collect();
        edges.sort_by(|one, other| one.0.cmp(&other.0));
        edges
    }

    /// Changes whenever [`Self::edges`] does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    async fn take(self: Rc<Self>, arrival: Arrival) {
        match arrival {
            Arrival::Link(peer, link) => {
                // So that hubs hear where this edge is now.
                self.confirm_own();
                if let Err(error) = self.send(&peer, &link).await {
                    tracing::debug!(peer = peer.name(), "announcements are sent no more: {error}");
                }
            }
            Arrival::Catalogue(peer, mut stream) => {
                if let Err(error) = self.receive(&peer, &mut stream).await {
                    if error.kind() != io::ErrorKind::ConnectionReset {
                        self.node.refused_announcements();
                    }
                    tracing::warn!(peer = peer.name(), "announcements are not taken any more: {error}");
                }
            }
        }
    }

    /// Tells a peer what is known and whatever changes, for as long as the link lives.
    async fn send(&self, peer: &Peer, link: &Link) -> io::Result<()> {
        let mut stream = link.open(Urgency::new(1)).await.map_err(io::Error::other)?;
        let mut first = Vec::new();
        leg::put(&mut first, &LegFrame::Catalogue);
        stream.write_all(&first).await?;
        let mut changes = self.changes.subscribe();
        let mut told = HashMap::new();
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
    fn due(&self, peer: &Peer, told: &mut HashMap<String, (Stamp, u64)>) -> Vec<Rc<[u8]>> {
        let catalogue = self.catalogue.borrow();
        let mut due = Vec::new();
        told.retain(|edge, _| catalogue.get(edge).is_some());
        for (edge, stamp, known) in catalogue.iter() {
            let concerns = match peer {
                Peer::Edge { name, tenant } => name != edge && *tenant == known.tenant,
                Peer::Hub { .. } => !known.from_hub,
            };
            if !concerns {
                continue;
            }
            let beat = known.confirmation.as_ref().map_or(0, |(beat, _)| *beat);
            match told.insert(edge.to_owned(), (stamp, beat)) {
                Some((before, _)) if before != stamp => due.push(known.message.clone()),
                None => due.push(known.message.clone()),
                Some((_, before)) if before != beat => {
                    due.extend(known.confirmation.as_ref().map(|(_, message)| message.clone()));
                }
                Some(_) => {}
            }
        }
        due
    }
}
