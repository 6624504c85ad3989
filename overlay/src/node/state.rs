//! What a node says of itself to whoever asks.

use overlay_wire::shard;

use super::Node;

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

    /// Whether a shard of this edge is certainly that of a process which has ended.
    pub(super) fn has_ended(&self, other: u16) -> bool {
        let is_only_process = shard::is_alone(self.shard) && !self.is_leaving.get();
        is_only_process && !shard::are_of_one_process(self.shard, other)
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
