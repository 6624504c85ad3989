//! Announcements on their way: from each edge to its hubs, from hub to hub, and from hubs to all edges of the same tenant.

mod asking;
mod notices;
mod pace;
mod receiving;
mod rivals;
mod room;
mod sending;
mod statements;
mod turns;
mod upkeep;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay_wire::catalogue::{Announced, Catalogue, Merge, Stamp};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::Instant;

use self::asking::Asked;
use self::notices::Notices;
use self::pace::Paces;
pub use self::rivals::{RIVAL_WARNING, keep_name};
use self::room::{Passed, Rooms};
use self::statements::Statements;
pub use self::statements::pass_statements;
use self::turns::TenantTurns;
use super::announcement::{Announcement, OfferedService};
use super::message::{ANNOUNCEMENT, Message, Signed};
use crate::identity::Current;
use crate::link::{LinkEnd, code};
use crate::node::{Arrival, Node, Peer, count};
use crate::strangers::{Seldom, quoted};

/// What an edge offers to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where it is, as Istio writes it: region/zone/sub-zone.
    pub locality: String,
    /// Where other edges can dial it, as `host:port`.
    pub addresses: Vec<String>,
    /// Its services.
    pub services: Vec<OfferedService>,
}

/// What a node knows of all edges that it may know of.
#[derive(Debug)]
pub struct Directory {
    node: Rc<Node>,
    identity: Current,
    catalogue: RefCell<Catalogue<Known>>,
    /// Of this edge; the first number of its stamps is kept by whoever starts it.
    own: Cell<Stamp>,
    /// The last announcement of this edge that another process has made.
    later: watch::Sender<Stamp>,
    offered: RefCell<Option<Offer>>,
    beat: Cell<u64>,
    /// For whoever wants to know what edges announce.
    changes: watch::Sender<u64>,
    /// For those who pass it on: confirmations, too.
    notices: Notices,
    paces: Paces,
    turns: TenantTurns,
    rooms: Rooms,
    /// With edges that are linked to this one.
    statements: Rc<Statements>,
    asked: Asked,
    refusals: Seldom,
    /// Log lines about announcements that there is no room for.
    full: Seldom,
    epoch: Instant,
}

/// Who announces something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    edge: String,
    tenant: String,
}

#[derive(Clone, Debug)]
struct Known {
    tenant: String,
    announcement: Arc<Announcement>,
    /// To be passed on.
    message: Rc<Passed>,
    /// The last one, of this announcement or of a later one that is not known; its beat.
    confirmation: Option<(Stamp, u64, Rc<Passed>)>,
    /// A hub was the last to say so: other hubs have it from there.
    from_hub: bool,
}

impl Directory {
    /// The directory of a node. `epoch` must be greater than at each start before. What is returned with it is what it does by itself, and must be run on the
    /// thread of the node: without it nobody hears anything any more.
    pub fn new(node: &Rc<Node>, identity: Current, epoch: u64) -> (Rc<Self>, impl Future<Output = ()> + use<>) {
        let (changes, _) = watch::channel(0);
        let directory = Rc::new(Self {
            node: node.clone(),
            statements: Rc::new(Statements::new(node, identity.clone())),
            identity,
            catalogue: RefCell::new(Catalogue::new(node.catalogue_limits())),
            own: Cell::new(Stamp { epoch, sequence: 0 }),
            later: watch::Sender::default(),
            offered: RefCell::default(),
            beat: Cell::new(0),
            changes,
            notices: Notices::default(),
            paces: Paces::default(),
            turns: TenantTurns::default(),
            rooms: Rooms::new(&node.catalogue_limits()),
            asked: Asked::default(),
            refusals: Seldom::default(),
            full: Seldom::default(),
            epoch: Instant::now(),
        });
        let (running, arrivals) = (directory.clone(), node.arrivals());
        let run = async move {
            // Each goes on for ever: that one ends is the end of all.
            tokio::select! {
                () = running.clone().take_arrivals(arrivals) => {}
                () = running.clone().keep() => {}
                () = running.clone().follow_identity() => {}
                () = running.follow_trust() => {}
            }
        };
        (directory, run)
    }

    async fn take_arrivals(self: Rc<Self>, arrivals: Option<mpsc::Receiver<Arrival>>) {
        let Some(mut arrivals) = arrivals else { return std::future::pending().await };
        while let Some(arrival) = arrivals.recv().await {
            match self.statements.concern(arrival.peer()) {
                true => spawn_local(self.statements.clone().take(arrival)),
                false => spawn_local(self.clone().take(arrival)),
            };
        }
    }

    /// Announces what this edge offers from now on.
    ///
    /// # Errors
    /// The identity cannot sign.
    pub fn offer(&self, offer: Offer) -> Result<(), crate::identity::IdentityError> {
        let identity = self.identity.borrow().clone();
        let Peer::Edge { name, tenant } = identity.peer().clone() else { return Ok(()) };
        let stamp = Stamp { sequence: self.own.get().sequence + 1, ..self.own.get() };
        let Offer { locality, addresses, services } = offer.clone();
        let announcement = Announcement { epoch: stamp.epoch, sequence: stamp.sequence, locality, addresses, services };
        let payload = announcement.to_bytes();
        let signature = identity.sign(ANNOUNCEMENT, &payload)?;
        let message = Message::Announce(Signed { payload, signature }).to_bytes();
        self.own.set(stamp);
        self.offered.replace(Some(offer));
        self.merge(&Origin { edge: name, tenant }, announcement, Passed::new(message, None), false);
        Ok(())
    }

    /// Takes what an edge announces, unless it is old, or there is no room for it.
    fn merge(&self, origin: &Origin, announcement: Announcement, message: Passed, from_hub: bool) -> Merge {
        let Origin { edge, tenant } = origin;
        let stamp = Stamp { epoch: announcement.epoch, sequence: announcement.sequence };
        let (size, services) = (message.bytes().len(), announcement.services.len());
        let value = Known {
            tenant: tenant.clone(),
            announcement: Arc::new(announcement),
            message: Rc::new(message),
            confirmation: None,
            from_hub,
        };
        let announced = Announced { value, size, services };
        let merged = self.catalogue.borrow_mut().merge(edge, tenant, stamp, announced, self.now());
        match merged {
            Merge::New => {
                self.changed();
                self.notices.tell(tenant);
            }
            Merge::NoRoom(problem) => {
                count(&self.node.counters().announcements_without_room);
                if let Some(left_out) = self.full.happened() {
                    tracing::warn!(edge, tenant, left_out, "there is no room for what it announces: {problem}");
                }
            }
            Merge::Known | Merge::Old => {}
        }
        merged
    }

    /// What edges announce, by name. A hub knows no more than the hosts of their services.
    pub fn edges(&self) -> Vec<(String, Arc<Announcement>)> {
        let catalogue = self.catalogue.borrow();
        let mut edges: Vec<_> =
            catalogue.iter().map(|(edge, _, known)| (edge.to_owned(), known.announcement.clone())).collect();
        edges.sort_by(|one, other| one.0.cmp(&other.0));
        edges
    }

    /// How long ago an edge was heard.
    pub fn heard_ago(&self, edge: &str) -> Option<Duration> {
        Some(self.now().saturating_sub(self.catalogue.borrow().heard(edge)?))
    }

    /// Changes whenever [`Self::edges`] does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn log_refusal(&self, peer: &Peer, what: &str, error: &io::Error) {
        if let Some(left_out) = self.refusals.happened() {
            tracing::warn!(peer = peer.name(), left_out, "{what}: {}", quoted(error));
        }
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
                    if error.kind() == io::ErrorKind::TimedOut {
                        count(&self.node.counters().announcements_not_taken);
                        link.close(code::OVERLOADED, "announcements are not taken");
                    }
                }
            }
            Arrival::Catalogue(peer, mut stream) => {
                let Err(error) = self.receive(&peer, &mut stream).await else { return };
                if error.kind() != io::ErrorKind::ConnectionReset {
                    count(&self.node.counters().announcements_refused);
                }
                // That, and why, is logged where links are kept.
                if error.get_ref().is_some_and(|cause| cause.is::<LinkEnd>()) {
                    return tracing::debug!(peer = peer.name(), "announcements are not taken any more: {error}");
                }
                self.log_refusal(&peer, "announcements are not taken any more", &error);
                // There is one stream of them on a link: over the next one all is told again, which may be good by then.
                stream.link().close(code::PROTOCOL, &format!("announcements are not taken: {error}"));
            }
        }
    }
}
