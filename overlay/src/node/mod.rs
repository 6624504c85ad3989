//! A node on one thread: its links, the streams that end here, and, if it is a hub, those that pass through.
//!
//! An edge has a node on each of its workers, which are told apart by their shard. A stream stays with the node that opened it and the one that took it.

mod counters;
mod legs;
mod limits;
mod links;
mod parts;
mod pass;
mod relay;
mod state;
mod tally;
mod transit;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use overlay_wire::budget::Budget;
use overlay_wire::catalogue;
use overlay_wire::hello::Hello;
use overlay_wire::leg::StreamKey;
use overlay_wire::shard;
use overlay_wire::stream::Route;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

pub(crate) use self::counters::count;
pub use self::counters::{Count, Counters};
pub(crate) use self::legs::refuse;
pub use self::limits::Limits;
pub use self::links::Peer;
pub(crate) use self::links::{LinkId, Links};
use self::parts::{Part, Parts};
pub use self::tally::{Place, Tally};
use self::transit::Transit;
use crate::link::{Link, LinkEnd, LinkStream, Served, code};
use crate::strangers::Seldom;
use crate::stream::{Carry, Opened, OverlayStream};

/// Links, and streams of announcements, that the directory has not looked at yet.
const ARRIVALS_WAITING: usize = 256;
/// Legs of one stream that its task has not taken yet.
const LEGS_WAITING: usize = 4;

/// What a node does with legs that are not for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It refuses them.
    Edge,
    /// It relays them.
    Hub,
}

/// A node as one thread sees it.
pub struct Node {
    name: String,
    role: Role,
    shard: u16,
    is_leaving: Cell<bool>,
    /// Log lines about peers that claim to be others.
    forgeries: Seldom,
    /// The process that this one has taken over from is no more.
    has_outlived: Cell<bool>,
    /// When another process has announced as this edge.
    rival: Cell<Option<Instant>>,
    session: [u8; 16],
    limits: Limits,
    counters: Arc<Counters>,
    links: Rc<Links>,
    next_number: Cell<u64>,
    /// The tasks of streams, by key. A stream that is over stays for a while, so that the other side can hear of its end.
    streams: RefCell<HashMap<StreamKey, Known>>,
    incoming: mpsc::Sender<OverlayStream>,
    accepted: RefCell<Option<mpsc::Receiver<OverlayStream>>>,
    /// By which hub an edge is reached that is not linked here.
    ways: RefCell<HashMap<String, Way>>,
    /// Ways over which there is no link, and why.
    pending: RefCell<BTreeMap<String, String>>,
    arriving: mpsc::Sender<Arrival>,
    arrived: RefCell<Option<mpsc::Receiver<Arrival>>>,
    links_of: Rc<Tally<Peer>>,
    links_of_tenants: Rc<Tally<String>>,
    beginnings_of: Rc<Tally<Peer>>,
    streams_of: Rc<Tally<String>>,
    kept: Parts,
    transit: Transit,
}

/// What concerns the [directory](crate::catalogue::Directory).
#[derive(Debug)]
pub enum Arrival {
    /// A link is there.
    Link(Peer, Link),
    /// A peer tells what it knows.
    Catalogue(Peer, LinkStream),
}

impl Arrival {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        match self {
            Self::Link(peer, _) | Self::Catalogue(peer, _) => peer,
        }
    }
}

/// How an edge is reached that is not linked here.
struct Way {
    tenant: String,
    hub: String,
}

/// A stream that ends here.
struct Known {
    /// The other edge.
    peer: String,
    legs: mpsc::Sender<Opened>,
    _kept: Part,
    /// Of a stream that the other edge has opened.
    _place: Option<Place<String>>,
}

impl Node {
    /// A node without links. The shards of an edge are counted from 0; a hub is 0.
    pub fn new(name: impl Into<String>, role: Role, shard: u16, limits: Limits) -> Rc<Self> {
        let (incoming, accepted) = mpsc::channel(limits.streams_waiting);
        let (arriving, arrived) = mpsc::channel(ARRIVALS_WAITING);
        let counters = Arc::<Counters>::default();
        Rc::new(Self {
            name: name.into(),
            role,
            shard,
            is_leaving: Cell::new(false),
            forgeries: Seldom::default(),
            has_outlived: Cell::new(false),
            rival: Cell::new(None),
            session: rand::random(),
            links: Rc::new(Links::new(counters.clone())),
            counters,
            next_number: Cell::new(0),
            streams: RefCell::default(),
            incoming,
            accepted: RefCell::new(Some(accepted)),
            ways: RefCell::default(),
            pending: RefCell::default(),
            arriving,
            arrived: RefCell::new(Some(arrived)),
            links_of: Rc::default(),
            links_of_tenants: Rc::default(),
            beginnings_of: Rc::default(),
            streams_of: Rc::default(),
            kept: Parts::new(limits.kept.clone(), limits.kept_per_edge),
            transit: Transit::new(&limits),
            limits,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the nodes of its edge it is.
    pub fn shard(&self) -> u16 {
        self.shard
    }

    /// Streams that end here; those that are over stay for a while.
    pub fn stream_count(&self) -> usize {
        self.streams.borrow().len()
    }

    /// What it says first on each of its links.
    pub fn hello(&self) -> Vec<u8> {
        Hello { shard: self.shard }.to_bytes()
    }

    /// Who is linked, and how.
    pub fn links(&self) -> Vec<(Peer, Link)> {
        self.links.peers()
    }

    /// What it has done, and refused.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Bytes on their way through, and how often there was no room for more.
    pub fn held(&self) -> &Budget {
        self.transit.held()
    }

    /// Bytes that the streams of all nodes with these limits keep until the other side has them, and how often a writer had to wait for room.
    pub fn kept(&self) -> &Budget {
        self.kept.whole()
    }

    /// Streams that other edges open to this one, which are refused before. Only the first call gets them.
    pub fn incoming(&self) -> Option<mpsc::Receiver<OverlayStream>> {
        self.accepted.borrow_mut().take()
    }

    /// An edge of a tenant that is not linked here is reached by this hub.
    pub fn learn_way(&self, edge: &str, tenant: &str, hub: &str) {
        self.ways.borrow_mut().insert(edge.into(), Way { tenant: tenant.into(), hub: hub.into() });
    }

    /// The edge is not heard of any more.
    pub fn forget_way(&self, edge: &str) {
        self.ways.borrow_mut().remove(edge);
    }

    /// Links that come from now on, and what peers tell over them. Only the first call gets it. Of the nodes of an edge one has a directory, shard 0; hubs
    /// tell only that one, other edges all of them.
    pub fn arrivals(&self) -> Option<mpsc::Receiver<Arrival>> {
        self.arrived.borrow_mut().take()
    }

    /// Those of others that may be under way at a time.
    pub(crate) fn most_handshakes(&self) -> usize {
        self.limits.handshakes
    }

    /// Bounds of what edges announce.
    pub(crate) fn catalogue_limits(&self) -> catalogue::Limits {
        self.limits.catalogue
    }

    /// Opens a stream to another edge. It waits for a link that leads there, and for the other edge.
    pub fn open(self: &Rc<Self>, to: &str, tenant: &str, class: u8) -> OverlayStream {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        let key = StreamKey { session: self.session, number };
        let (from, from_shard) = (self.name.clone(), self.shard);
        let route = Route { from, from_shard, to: to.into(), to_shard: None, tenant: tenant.into(), class };
        let (legs, kept) = self.know(key, to, None);
        count(&self.counters.streams_opened);
        let (stream, carry) = Carry::open(key, route, &self.limits, kept, self.links.clone(), legs);
        self.run(key, carry);
        stream
    }

    /// Uses a link for as long as it lives, and takes what comes over it.
    pub async fn serve(self: Rc<Self>, peer: Peer, link: Link) -> LinkEnd {
        let _places = match self.places_of(&peer) {
            Ok(places) => places,
            Err(problem) => {
                count(&self.counters.links_refused);
                link.close(code::OVERLOADED, problem);
                return link.ended().await;
            }
        };
        let hello = match self.hello_of(&link).await {
            Ok(hello) => hello,
            Err(reason) => {
                count(&self.counters.hellos_refused);
                link.close(code::PROTOCOL, &reason);
                return link.ended().await;
            }
        };
        count(&self.counters.links_total);
        // Whoever has dialled does not know before the other side speaks whether it was let in.
        tracing::info!(peer = peer.name(), "linked");
        if self.is_leaving.get() {
            link.go_away();
        }
        link.count_with(self.counters.clone());
        let _served = Served(link.clone());
        let added = self.links.add(peer.clone(), hello.shard, link.clone());
        // A hub tells one node of an edge alone; edges tell each other little, and from each node, because links lead to any of them.
        if self.role == Role::Edge || matches!(peer, Peer::Hub { .. }) || shard::is_first(hello.shard) {
            self.arrive(Arrival::Link(peer.clone(), link.clone())).await;
        }
        self.take_streams(&peer, added.id, &link).await;
        drop(added);
        link.ended().await
    }

    /// Those of another link of a peer, and of its tenant.
    fn places_of(&self, peer: &Peer) -> Result<(Place<Peer>, Option<Place<String>>), &'static str> {
        let most = match peer {
            Peer::Edge { .. } => self.limits.links_per_edge(),
            Peer::Hub { .. } => self.limits.links_per_peer,
        };
        let of_peer = self.links_of.take(peer.clone(), most).ok_or("too many links")?;
        let Peer::Edge { tenant, .. } = peer else { return Ok((of_peer, None)) };
        let of_tenant = self.links_of_tenants.take(tenant.clone(), self.limits.links_per_tenant);
        Ok((of_peer, Some(of_tenant.ok_or("too many links of its tenant")?)))
    }

    async fn hello_of(&self, link: &Link) -> Result<Hello, String> {
        let within = self.limits.hello_within;
        let hello = timeout(within, link.hello()).await.map_err(|_| format!("no hello in {within:?}"))?;
        Hello::parse(&hello.map_err(|end| end.to_string())?).map_err(|error| error.to_string())
    }

    /// Where nobody asked for them there is no directory. However many come at once, each peer has few: they wait.
    async fn arrive(&self, arrival: Arrival) {
        if self.arrived.borrow().is_none() && self.arriving.send(arrival).await.is_err() {
            count(&self.counters.announcements_refused);
        }
    }

    /// The legs of a stream, and what it may keep.
    fn know(&self, key: StreamKey, peer: &str, place: Option<Place<String>>) -> (mpsc::Receiver<Opened>, Budget) {
        let (legs, opened) = mpsc::channel(LEGS_WAITING);
        let part = self.kept.of(peer);
        let kept = part.budget().clone();
        self.streams.borrow_mut().insert(key, Known { peer: peer.into(), legs, _kept: part, _place: place });
        (opened, kept)
    }

    fn run(self: &Rc<Self>, key: StreamKey, carry: Carry) {
        let node = self.clone();
        spawn_local(async move {
            carry.run().await;
            node.streams.borrow_mut().remove(&key);
        });
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, role, shard, .. } = self;
        let mut debug = formatter.debug_struct("Node");
        debug.field("name", name).field("role", role).field("shard", shard).finish_non_exhaustive()
    }
}
