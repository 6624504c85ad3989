//! What a node says of itself to whoever asks.

use std::time::Duration;

use overlay_wire::shard;
use tokio::time::Instant;

use super::{LinkId, Node};

/// How long it is said that another process has announced as this edge.
const RIVAL: Duration = Duration::from_mins(1);

impl Node {
    /// Ways to hubs over which there is no link, and why.
    pub fn pending(&self) -> Vec<(String, String)> {
        self.pending.borrow().iter().map(|(way, why)| (way.clone(), why.clone())).collect()
    }

    /// Asks peers to open streams to another process of this edge, for as long as there is one. Those that are there go on.
    pub fn leave(&self) {
        self.is_leaving.set(true);
        self.links.peers().iter().for_each(|(_, link)| link.go_away());
    }

    /// Whether there is a good link to an edge without a hub between.
    pub(crate) fn has_direct(&self, edge: &str) -> bool {
        self.links.has_direct(edge)
    }

    /// Whether a link is to an edge, not to a hub.
    pub(crate) fn is_direct(&self, link: LinkId) -> bool {
        self.links.is_direct(link)
    }

    /// The process that this one has taken over from has ended, and with it whatever streams it had.
    pub fn outlive(&self) {
        self.has_outlived.set(true);
    }

    /// Whether a shard of this edge is certainly that of a process which has ended.
    pub(super) fn has_ended(&self, other: u16) -> bool {
        let is_only_process = shard::is_alone(self.shard) && !self.is_leaving.get();
        let is_outlived = self.has_outlived.get() && shard::has_taken_over_from(self.shard, other);
        is_outlived || is_only_process && !shard::are_of_one_process(self.shard, other)
    }

    /// Another process has announced as this edge.
    pub(crate) fn note_rival(&self) {
        self.rival.set(Some(Instant::now()));
    }

    /// Whether one did so a short time ago.
    pub fn has_rival(&self) -> bool {
        self.rival.get().is_some_and(|noted| noted.elapsed() < RIVAL)
    }

    pub(crate) fn set_pending(&self, way: &str, why: &str) {
        self.pending.borrow_mut().insert(way.into(), why.into());
    }

    pub(crate) fn clear_pending(&self, way: &str) {
        self.pending.borrow_mut().remove(way);
    }

    /// The hub by which an edge is reached that is not linked here.
    pub fn way(&self, edge: &str) -> Option<String> {
        self.ways.borrow().get(edge).map(|way| way.hub.clone())
    }
}
