//! The route tables of a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use route::{ClusterRef, RouteTable};

use crate::upstream::{Cluster, Clusters};

/// A route table as one worker sees it, with the clusters that it has used. Requests hold it by `Rc`: no count shared between cores
/// moves on the request path.
#[derive(Debug)]
pub struct WorkerRoutes {
    /// The table.
    pub table: Arc<RouteTable>,
    /// Differs from that of every other view on this worker.
    pub generation: u64,
    clusters: RefCell<Vec<Option<Rc<Cluster>>>>,
}

impl WorkerRoutes {
    /// A view of a table.
    pub fn new(table: Arc<RouteTable>) -> Rc<Self> {
        let clusters = vec![None; table.clusters().len()];
        thread_local! {
            static GENERATIONS: Cell<u64> = const { Cell::new(0) };
        }
        let generation = GENERATIONS.replace(GENERATIONS.get() + 1);
        Rc::new(Self { table, generation, clusters: RefCell::new(clusters) })
    }

    /// The cluster that a target of this table means; `None` if it was not published.
    pub fn cluster(&self, reference: ClusterRef, clusters: &Clusters) -> Option<Rc<Cluster>> {
        let mut known = self.clusters.borrow_mut();
        let slot = known.get_mut(reference.index())?;
        if let Some(cluster) = slot.as_ref().filter(|cluster| !cluster.is_retired()) {
            return Some(cluster.clone());
        }
        *slot = clusters.get(self.table.clusters().get(reference.index())?);
        slot.clone()
    }
}

/// The published route tables, by name.
#[derive(Debug, Default)]
pub struct RouteTables {
    published: RefCell<HashMap<Arc<str>, Rc<WorkerRoutes>>>,
    version: Cell<u64>,
}

impl RouteTables {
    /// Takes over a published table, or its removal.
    pub fn apply(&self, name: Arc<str>, table: Option<Arc<RouteTable>>) {
        self.version.set(self.version.get() + 1);
        match table {
            Some(table) => drop(self.published.borrow_mut().insert(name, WorkerRoutes::new(table))),
            None => drop(self.published.borrow_mut().remove(&name)),
        }
    }

    /// The table called `name`, as it is now.
    pub fn get(&self, name: &str) -> Option<Rc<WorkerRoutes>> {
        self.published.borrow().get(name).cloned()
    }

    /// Changes with every table that is published or removed.
    pub fn version(&self) -> u64 {
        self.version.get()
    }
}
