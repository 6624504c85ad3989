//! All clusters that a worker may use.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Cluster;
use crate::config::snapshot::ClusterSnapshot;
use crate::worker::Core;

/// The published clusters, by name, and those in use.
#[derive(Debug)]
pub struct Clusters {
    core: Rc<Core>,
    published: RefCell<HashMap<Arc<str>, Arc<ClusterSnapshot>>>,
    active: RefCell<HashMap<Arc<str>, Rc<Cluster>>>,
}

impl Clusters {
    /// None yet.
    pub fn new(core: &Rc<Core>) -> Self {
        Self { core: core.clone(), published: RefCell::default(), active: RefCell::default() }
    }

    /// Takes over a published cluster, or its removal.
    pub fn apply(&self, name: Arc<str>, snapshot: Option<Arc<ClusterSnapshot>>) {
        let active = self.active.borrow().get(&name).cloned();
        match snapshot {
            Some(snapshot) => {
                if let Some(cluster) = active {
                    cluster.update(&snapshot);
                }
                self.published.borrow_mut().insert(name, snapshot);
            }
            None => {
                if let Some(cluster) = active {
                    cluster.retire();
                }
                self.active.borrow_mut().remove(&name);
                self.published.borrow_mut().remove(&name);
            }
        }
    }

    /// The cluster called `name`, built now if this is its first use; `None` if it was not published.
    pub fn get(&self, name: &Arc<str>) -> Option<Rc<Cluster>> {
        if let Some(cluster) = self.active.borrow().get(name) {
            return Some(cluster.clone());
        }
        let snapshot = self.published.borrow().get(name).cloned()?;
        let cluster = Cluster::new(name.clone(), snapshot, &self.core);
        self.active.borrow_mut().insert(name.clone(), cluster.clone());
        Some(cluster)
    }

    /// The clusters in use.
    pub fn active(&self) -> Vec<Rc<Cluster>> {
        self.active.borrow().values().cloned().collect()
    }

    /// Closes connections that were idle for too long or that the other side closed; called now and then.
    pub fn sweep(&self) {
        for cluster in self.active() {
            cluster.sweep();
        }
    }
}
