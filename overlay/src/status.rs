//! How a node is doing, in words and numbers that stay.

mod trust;

use std::collections::HashSet;

use overlay_wire::shard::worker;
use serde::{Deserialize, Serialize};

pub use self::trust::{RootStatus, TrustStatus};
use crate::catalogue::{Directory, RIVAL_WARNING};
use crate::enroll::{Rotation, unix_now};
use crate::identity::Identity;
use crate::node::{Node, Peer};
use crate::shards::ShardAnswers;

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which overlay it belongs to.
    pub overlay: String,
    /// Who it is.
    pub node: Peer,
    /// For how long its certificate is good, seconds.
    pub certificate_seconds: u64,
    /// Whom it believes.
    pub trust: TrustStatus,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// Streams that end here, those of tunnels to other edges.
    pub streams: usize,
    /// The edges that it has heard of.
    pub edges: Vec<EdgeStatus>,
    /// Services of other edges that are taken; of an edge.
    pub imports: Vec<ImportStatus>,
    /// What each entry of `import` selects; of an edge.
    #[serde(default)]
    pub import_entries: Vec<ImportEntryStatus>,
    /// Services that other edges may call; of an edge.
    pub exports: Vec<ExportStatus>,
    /// Whether a new root takes the place of the old one; of a hub with the authority.
    pub rotation: Option<RotationStatus>,
    /// What there should be and is not.
    pub pending: Vec<Pending>,
}

/// A node on one thread, as it sees itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeStatus {
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// Streams that end here.
    pub streams: usize,
    /// Bytes that streams keep until the other side has them. The nodes of a process share what there is.
    pub kept_bytes: usize,
    /// How often a writer had to wait for room among them.
    pub kept_refusals: u64,
    /// Bytes on their way through.
    pub held_bytes: usize,
    /// Another process has announced as this edge.
    pub has_rival: bool,
    /// What there should be and is not.
    pub pending: Vec<Pending>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Who is at its other end.
    pub peer: Peer,
    /// The number of the worker that has it; 0 for a hub.
    pub worker: u16,
    /// The smoothed time from a ping to its answer, milliseconds, once it was measured.
    pub round_trip_ms: Option<f64>,
    /// Streams that are open.
    pub streams: usize,
    /// An answer is overdue.
    pub suspect: bool,
}

/// An edge, by what it announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeStatus {
    /// Its name.
    pub name: String,
    /// The hub by which it is reached, if it is not linked to this node.
    pub by: Option<String>,
    /// Region, zone and sub-zone.
    pub locality: String,
    /// The hosts that it offers.
    pub services: Vec<String>,
    /// Grows with every start of the edge.
    pub epoch: u64,
    /// Grows with every change.
    pub sequence: u64,
    /// How long ago it has last said something, seconds. It does so every 15 s at least, and is forgotten after 60.
    #[serde(default)]
    pub heard_seconds_ago: u64,
    /// There is neither a link to it nor a hub that is known to have one.
    #[serde(default)]
    pub is_unlinked: bool,
}

/// A service of other edges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImportStatus {
    /// Its name.
    pub host: String,
    /// Who has it.
    pub edges: Vec<String>,
}

/// An entry of `import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportEntryStatus {
    /// What it says, in a line.
    pub entry: String,
    /// How many services it selects of those that other edges offer now.
    pub services: usize,
}

/// A service that other edges may call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportStatus {
    /// The name under which it is offered.
    pub host: String,
    /// Its ports.
    pub ports: Vec<u16>,
}

/// How a root takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationStatus {
    /// In how many seconds the new one begins to sign; 0 if it does.
    pub signs_in_seconds: u64,
    /// In how many seconds the old one is believed no longer.
    pub done_in_seconds: u64,
}

impl RotationStatus {
    pub(crate) fn of(rotation: Rotation, now: u64) -> Self {
        Self {
            signs_in_seconds: rotation.signs_from.saturating_sub(now),
            done_in_seconds: rotation.done.saturating_sub(now),
        }
    }
}

/// Something that there should be and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What.
    pub what: String,
    /// And why.
    pub why: String,
}

impl NodeStatus {
    /// Of a node, on its thread.
    pub fn of(node: &Node) -> Self {
        Self {
            links: links(node),
            streams: node.stream_count(),
            kept_bytes: node.kept().used(),
            kept_refusals: node.kept().refusals(),
            held_bytes: node.held().used(),
            has_rival: node.has_rival(),
            pending: node.pending().into_iter().map(|(what, why)| Pending { what, why }).collect(),
        }
    }
}

impl Status {
    /// Of a process, with what its nodes have answered and its directory knows.
    pub fn of(node: &Node, identity: &Identity, directory: &Directory, answers: ShardAnswers) -> Self {
        let end = identity.validity().map_or(0, |(_, end)| u64::try_from(end).unwrap_or(0));
        let mut status = Self {
            overlay: identity.overlay().to_owned(),
            node: identity.peer().clone(),
            certificate_seconds: end.saturating_sub(unix_now()),
            trust: TrustStatus::of(identity.trust(), unix_now()),
            links: Vec::new(),
            streams: 0,
            edges: edges(node, directory),
            imports: Vec::new(),
            import_entries: Vec::new(),
            exports: Vec::new(),
            rotation: None,
            pending: Vec::new(),
        };
        for answer in answers.nodes {
            status.links.extend(answer.links);
            status.streams += answer.streams;
            status.add_pending(answer.pending);
            if answer.has_rival {
                status.pending.push(Pending { what: status.node.to_string(), why: RIVAL_WARNING.to_owned() });
            }
        }
        let silent = answers
            .silent
            .into_iter()
            .map(|worker| Pending { what: format!("worker {worker}"), why: "does not answer".to_owned() });
        status.pending.extend(silent);
        status
    }

    /// What several nodes miss for the same reason is said once.
    fn add_pending(&mut self, pending: Vec<Pending>) {
        for one in pending {
            if !self.pending.contains(&one) {
                self.pending.push(one);
            }
        }
    }
}

fn links(node: &Node) -> Vec<LinkStatus> {
    let links = node.links().into_iter().map(|(peer, link)| LinkStatus {
        peer,
        worker: worker(node.shard()),
        round_trip_ms: link.round_trip().map(|round_trip| round_trip.as_secs_f64() * 1000.0),
        streams: link.stream_count(),
        suspect: link.is_suspect(),
    });
    links.collect()
}

fn edges(node: &Node, directory: &Directory) -> Vec<EdgeStatus> {
    let linked: HashSet<String> = node.links().iter().map(|(peer, _)| peer.name().to_owned()).collect();
    let edges = directory.edges().into_iter().map(|(name, announcement)| EdgeStatus {
        by: node.way(&name).filter(|_| !linked.contains(&name)),
        is_unlinked: name != node.name() && !linked.contains(&name) && node.way(&name).is_none(),
        heard_seconds_ago: directory.heard_ago(&name).map_or(0, |ago| ago.as_secs()),
        name,
        locality: announcement.locality.clone(),
        services: announcement.services.iter().map(|service| service.host.clone()).collect(),
        epoch: announcement.epoch,
        sequence: announcement.sequence,
    });
    edges.collect()
}
