//! The part of an edge that one worker has: links of its own to the hubs, so that a request and the stream that carries it stay on one thread.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::{Directory, Offer, keep_name, pass_statements};
use overlay::control::{self, Question, Reply};
use overlay::folder::Folder;
use overlay::identity::Current;
use overlay::link::LinkStream;
use overlay::node::{Limits, Node, Role, Tally};
use overlay::shards::Shards;
use overlay::status::Status;
use overlay::tunnel::{CallError, Tunnels};
use overlay::uplink::{self, DirectEdge, Uplink};
use overlay_wire::call::{Call, Transport};
use overlay_wire::shard::shard;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::answer;
use super::callers::CallerRefusal;
use super::counters::{EdgeCounters, Outgoing};
use super::datagram::{self, Datagrams, Sockets};
use super::direct;
use super::import::KnownEdges;
use super::memory::MemoryFile;
use super::problems::EdgeProblems;
use super::succession::Succession;
use super::tables::{Destination, NoCluster, Tables, Way};
use crate::telemetry::seldom::Seldom;
use crate::worker::{Worker, endless, vital};

/// The class of traffic of connections; flows of datagrams have one of their own.
const CLASS: u8 = 0;
/// The worker that tells other edges what is offered here, and hears of theirs.
const FIRST: usize = 0;

/// What control and all workers share.
#[derive(Clone, Debug)]
pub struct EdgeShare {
    /// Who we are, as of now.
    pub identity: Current,
    /// The links that each worker keeps, as of now.
    pub uplinks: watch::Receiver<Arc<[Uplink]>>,
    /// Other edges to which each worker keeps links, as of now.
    pub direct: watch::Receiver<Arc<[DirectEdge]>>,
    /// Where links of other edges are taken.
    pub listens_at: Option<SocketAddr>,
    /// Greater than at each start before.
    pub epoch: u64,
    /// Which of the processes that follow each other this is.
    pub succession: Succession,
    /// Where addresses lead, and what is offered.
    pub tables: watch::Receiver<Arc<Tables>>,
    /// Where an operator asks for its status.
    pub control_socket: PathBuf,
    /// What the edge keeps.
    pub folder: Folder,
    /// Where datagrams are taken.
    pub(super) sockets: Sockets,
    /// What is not as it should be.
    pub problems: EdgeProblems,
    /// What is known of other edges, at the next start.
    pub memory_file: MemoryFile,
    /// Who this gateway is in its mesh; empty if it is nobody there.
    pub workload: Arc<str>,
    /// What other edges are told.
    pub offer: watch::Receiver<Offer>,
    /// What other edges tell.
    pub known: watch::Sender<KnownEdges>,
    /// Bounds. Some of them are of all workers together.
    pub limits: Limits,
    /// How many workers there are.
    pub workers: usize,
    /// The nodes of all workers, for whoever asks how they are doing.
    pub shards: Shards,
}

/// An edge on one worker.
pub struct EdgeNode {
    pub(super) tunnels: Rc<Tunnels>,
    pub(super) tables: watch::Receiver<Arc<Tables>>,
    pub(super) workload: Arc<str>,
    counters: Arc<EdgeCounters>,
    /// Calls that are being served, by edge.
    pub(super) calls_of: Rc<Tally<String>>,
    /// Which worker it is.
    pub(super) number: usize,
    /// How many there are.
    pub(super) workers: usize,
    /// There was a process before this one, which may not have ended.
    pub(super) follows_another: bool,
    /// Where datagrams are taken, by all workers.
    pub(super) sockets: Sockets,
    /// What is not as it should be, with all workers.
    pub(super) problems: EdgeProblems,
    /// UDP services, here and elsewhere.
    pub(super) datagrams: Datagrams,
    /// Log lines about calls that are refused for their callers.
    pub(super) refused_callers: Seldom,
    /// The same about clients of entrances.
    pub(crate) refused_clients: Seldom,
}

impl EdgeNode {
    /// Starts the tasks of this worker, which end with what is returned.
    pub fn start(worker: &Rc<Worker>, index: usize, share: EdgeShare) -> (Rc<Self>, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let name = share.identity.borrow().peer().name().to_owned();
        let worker_number = u8::try_from(index).unwrap_or(u8::MAX);
        let shard = shard(share.succession.generation, worker_number);
        let node = Node::new(name, Role::Edge, shard, share.limits.clone());
        tasks.spawn_local(vital("status", share.shards.add(node.clone())));
        let (tunnels, calls, taking) = Tunnels::new(node.clone(), share.identity.clone());
        tasks.spawn_local(endless("tunnels of other edges", taking));
        let counters = worker.process.registry.register(EdgeCounters::new("overlay."));
        let edge = Rc::new(Self {
            tunnels,
            tables: share.tables.clone(),
            workload: share.workload.clone(),
            counters,
            calls_of: Rc::default(),
            number: index,
            workers: share.workers,
            follows_another: share.succession.generation > 0,
            sockets: share.sockets.clone(),
            problems: share.problems.clone(),
            datagrams: Datagrams::default(),
            refused_callers: Seldom::default(),
            refused_clients: Seldom::default(),
        });
        tasks.spawn_local(endless("calls of other edges", take_calls(worker.clone(), edge.clone(), calls)));
        let listening = datagram::listen(worker.clone(), edge.clone());
        let speaking = share.succession.clone();
        tasks.spawn_local(vital("datagrams", speaking.while_it_speaks(listening)));
        tasks.spawn_local(vital("flows of datagrams", datagram::supervise(worker.clone(), edge.clone())));
        tasks.spawn_local(vital("hand-over", hand_over(share.succession.clone(), node.clone(), edge.tunnels.clone())));
        tasks.spawn_local(vital("hand-over", outlive(share.succession.clone(), node.clone())));
        let links = uplink::keep_wanted(node.clone(), share.identity.clone(), share.uplinks.clone());
        tasks.spawn_local(vital("overlay", links));
        let links = uplink::keep_direct(node.clone(), share.identity.clone(), share.direct.clone());
        tasks.spawn_local(vital("links to other edges", links));
        let listening = direct::listen(node.clone(), share.identity.clone(), share.listens_at);
        tasks.spawn_local(vital("links of other edges", share.succession.clone().while_it_speaks(listening)));
        if index == FIRST {
            let (directory, exchange) = Directory::new(&node, share.identity.clone(), share.epoch);
            tasks.spawn_local(vital("announcements", exchange));
            let keeping = keep_name(directory.clone(), share.folder.clone());
            tasks.spawn_local(vital("name", share.succession.clone().while_it_speaks(keeping)));
            tasks.spawn_local(vital("control socket", status(node.clone(), share.clone(), directory.clone())));
            tasks.spawn_local(vital("offers to other edges", tell(directory.clone(), share.offer)));
            tasks.spawn_local(vital("known edges", hear(directory, share.known)));
        } else {
            tasks.spawn_local(vital("statements of other edges", pass_statements(&node, share.identity)));
        }
        (edge, tasks)
    }

    /// Where an endpoint's address leads, if it is one of those that stand for edges.
    pub fn way(&self, address: SocketAddr) -> Option<Way> {
        self.tables.borrow().way(address)
    }

    /// Connects to a service of another edge, for `caller`; for this gateway itself if there is none.
    ///
    /// # Errors
    /// There is no way to it, or it refuses.
    pub async fn connect(&self, destination: &Destination, caller: Option<&str>) -> Result<LinkStream, CallError> {
        let counted = Outgoing::new(&self.counters);
        let Destination { edge, host, port } = destination;
        let caller = caller.unwrap_or(&self.workload).to_owned();
        let call = Call { host: host.to_string(), port: *port, caller, transport: Transport::Bytes };
        let connected = self.tunnels.connect(edge, CLASS, &call).await;
        connected.inspect(|_| counted.succeeded()).inspect_err(|error| counted.failed(error))
    }

    /// Returns when the edge that an address stands for can be reached.
    ///
    /// # Errors
    /// It cannot be.
    pub async fn reach(&self, address: SocketAddr) -> Result<(), CallError> {
        match self.way(address) {
            Some(Way::Edge(Destination { edge, .. })) => self.tunnels.reach(&edge, CLASS).await,
            Some(Way::Nobody) | None => Ok(()),
        }
    }

    /// Counters of the overlay on this worker.
    pub fn counters(&self) -> &EdgeCounters {
        &self.counters
    }

    pub(super) fn check_caller(&self, edge: &str, caller: &str) -> Result<(), CallerRefusal> {
        self.tables.borrow().callers.check(edge, caller)
    }

    pub(super) fn endpoints(&self, edge: &str, host: &str, port: u16) -> Result<Arc<[SocketAddr]>, NoCluster> {
        self.tables.borrow().endpoints(edge, host, port).cloned()
    }

    pub(super) fn cluster(&self, edge: &str, host: &str, port: u16) -> Result<Arc<str>, NoCluster> {
        self.tables.borrow().cluster(edge, host, port).cloned()
    }
}

async fn take_calls(worker: Rc<Worker>, edge: Rc<EdgeNode>, mut calls: mpsc::Receiver<overlay::tunnel::Incoming>) {
    while let Some(call) = calls.recv().await {
        let (serving, served) = (worker.clone(), edge.clone());
        match call.call.transport {
            Transport::Bytes => worker.tasks.spawn(answer(serving, served, call)),
            Transport::Datagrams => edge.datagrams.tasks.spawn(datagram::answer(serving, served, call)),
        }
    }
}

/// Another process takes the streams and calls that come from now on.
async fn hand_over(mut succession: Succession, node: Rc<Node>, tunnels: Rc<Tunnels>) {
    succession.ends().await;
    node.leave();
    // A little before the end of the process, so that other edges hear of it.
    tunnels.leave(Instant::now() + succession.drain * 9 / 10);
}

/// Whoever asks for streams of the process before hears that they have ended, instead of waiting for it.
async fn outlive(mut succession: Succession, node: Rc<Node>) {
    succession.outlives().await;
    node.outlive();
}

/// Answers those who ask how it is doing, once it speaks for the edge.
async fn status(node: Rc<Node>, share: EdgeShare, directory: Rc<Directory>) {
    share.succession.clone().begins().await;
    let listener = match control::listen(&share.control_socket) {
        Ok(listener) => listener,
        // Nobody can ask it, which is no reason to serve nobody.
        Err(error) => return tracing::error!("cannot listen on {}: {error}", share.control_socket.display()),
    };
    let answer = async move |question| match question {
        Question::Status => {
            let (answers, identity) = (share.shards.ask().await, share.identity.borrow().clone());
            let mut status = Status::of(&node, &identity, &directory, answers);
            let tables = share.tables.borrow();
            (status.imports, status.exports) = (tables.import_status(), tables.export_status());
            status.import_entries = tables.import_entry_status();
            Reply::Status(Box::new(status))
        }
        Question::CreateToken { .. } | Question::Revoke { .. } | Question::Rotate => {
            Reply::Refused("this is an edge: ask a hub that has the authority".to_owned())
        }
    };
    control::serve(listener, answer).await;
}

/// Tells other edges what is offered, whenever that changes.
async fn tell(directory: Rc<Directory>, mut offer: watch::Receiver<Offer>) {
    loop {
        let current = offer.borrow_and_update().clone();
        if let Err(error) = directory.offer(current) {
            tracing::error!("other edges are not told what is offered: {error}");
        }
        if offer.changed().await.is_err() {
            return;
        }
    }
}

/// Tells control what other edges offer, whenever that changes.
async fn hear(directory: Rc<Directory>, known: watch::Sender<KnownEdges>) {
    /// Changes that come together are told together.
    const COALESCE: Duration = Duration::from_millis(20);
    let mut changes = directory.changes();
    loop {
        changes.mark_unchanged();
        let edges: KnownEdges = directory.edges().into();
        known.send_if_modified(|before| {
            let changed = *before != edges;
            *before = edges;
            changed
        });
        if changes.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(COALESCE).await;
    }
}

impl fmt::Debug for EdgeNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EdgeNode").field("tables", &self.tables).finish_non_exhaustive()
    }
}
