//! A worker: one thread that owns its connections from accept to close.

pub mod clock;
pub mod connection;
mod core;
pub mod futures;
pub mod random;
mod routes;
mod runtime;
pub mod task_pool;
pub mod tasks;
pub mod timer;
mod vital;
mod workers;

use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

pub use self::core::{Core, Process};
pub use self::routes::{RouteTables, WorkerRoutes};
pub use self::runtime::{run, start};
pub(crate) use self::vital::{endless, vital};
pub use self::workers::{Workers, WorkersOptions};

use crate::config::publish::Changes;
use crate::http::{MemoryPool, RequestPool, StreamPool};
use crate::telemetry::access_log::LogBuffers;
use crate::telemetry::counter::counters;
use crate::upstream::Clusters;

/// Everything that the tasks of one worker share.
#[derive(Debug)]
pub struct Worker {
    core: Rc<Core>,
    /// Where requests may go.
    pub clusters: Clusters,
    /// How they get there.
    pub routes: RouteTables,
    /// Log lines on their way out.
    pub logs: LogBuffers,
    /// Memory for requests under way.
    pub memory: MemoryPool,
    /// Room for the state of requests over HTTP/1.
    pub requests: RequestPool,
    /// Tasks that serve those over HTTP/2.
    pub streams: StreamPool,
    /// Counters of the worker itself.
    pub counters: Arc<WorkerCounters>,
}

counters! {
    /// `server.*`: counters of the workers themselves.
    pub struct WorkerCounters {
        /// Connections that ended in a panic.
        connection_panics: Counter,
    }
}

impl Worker {
    /// One that has no configuration yet.
    ///
    /// # Errors
    /// The system refuses what drives sockets.
    pub fn new(process: Arc<Process>) -> io::Result<Rc<Self>> {
        let counters = process.registry.register(WorkerCounters::new("server."));
        let core = Core::new(process)?;
        Ok(Rc::new(Self {
            clusters: Clusters::new(&core),
            routes: RouteTables::default(),
            logs: LogBuffers::default(),
            memory: MemoryPool::default(),
            requests: RequestPool::default(),
            streams: StreamPool::default(),
            counters,
            core,
        }))
    }

    /// What this has in common with parts that know of no configuration.
    pub fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Takes over published clusters and routes. Listeners are applied by whoever owns them, after this.
    pub fn apply(&self, changes: &mut Changes) {
        for (name, snapshot) in changes.clusters.drain() {
            self.clusters.apply(name, snapshot);
        }
        for (name, table) in changes.routes.drain() {
            self.routes.apply(name, table);
        }
    }
}

impl Deref for Worker {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}
