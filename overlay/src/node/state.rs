//! What a node says of itself to whoever asks.

use super::Node;

impl Node {
    /// Ways to hubs over which there is no link, and why.
    pub fn pending(&self) -> Vec<(String, String)> {
        self.pending.borrow().iter().map(|(way, why)| (way.clone(), why.clone())).collect()
    }

    pub(crate) fn set_pending(&self, way: &str, why: &str) {
        self.pending.borrow_mut().insert(way.into(), why.into());
    }

    pub(crate) fn clear_pending(&self, way: &str) {
        self.pending.borrow_mut().remove(way);
    }

    /// The hub by which an edge is reached that is not linked here.
    pub fn way(&self, edge: &str) -> Option<String> {
        self.ways.borrow().get(edge).cloned()
    }
}
