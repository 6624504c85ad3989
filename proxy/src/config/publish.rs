//! From control to the workers: the latest state of every resource, never a queue of events.
//!
//! Each worker has a mailbox that holds at most one change per resource, the newest. A slow worker therefore skips intermediate
//! states but can never lose the last one, and the mailbox is bounded by the number of resources.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use route::RouteTable;
use tokio::sync::Notify;

use super::snapshot::{ClusterSnapshot, ListenerSnapshot};

/// What a worker must take over: the newest value of each changed resource, `None` where it is gone.
#[derive(Debug, Default)]
pub struct Changes {
    /// By name. To be applied first, so that routes find their clusters.
    pub clusters: HashMap<Arc<str>, Option<Arc<ClusterSnapshot>>>,
    /// By name. To be applied second.
    pub routes: HashMap<Arc<str>, Option<Arc<RouteTable>>>,
    /// By name. To be applied last.
    pub listeners: HashMap<Arc<str>, Option<Arc<ListenerSnapshot>>>,
}

impl Changes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.routes.is_empty() && self.listeners.is_empty()
    }
}

/// Where one worker picks up its changes.
#[derive(Debug, Default)]
pub struct Mailbox {
    pending: Mutex<Changes>,
    arrived: Notify,
}

impl Mailbox {
    /// Waits until there are changes and takes all of them.
    pub async fn take(&self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.lock());
            if !changes.is_empty() {
                return changes;
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        // A panic while the lock is held cannot leave the maps half-written.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The control side of all mailboxes.
#[derive(Debug, Clone)]
pub struct Publisher {
    mailboxes: Arc<[Arc<Mailbox>]>,
}

impl Publisher {
    /// For these workers.
    pub fn new(mailboxes: impl IntoIterator<Item = Arc<Mailbox>>) -> Self {
        Self { mailboxes: mailboxes.into_iter().collect() }
    }

    /// Publishes a cluster, or its removal.
    pub fn cluster(&self, name: &Arc<str>, cluster: Option<&Arc<ClusterSnapshot>>) {
        self.each(|changes| drop(changes.clusters.insert(name.clone(), cluster.cloned())));
    }

    /// Publishes a route table, or its removal.
    pub fn routes(&self, name: &Arc<str>, table: Option<&Arc<RouteTable>>) {
        self.each(|changes| drop(changes.routes.insert(name.clone(), table.cloned())));
    }

    /// Publishes a listener, or its removal.
    pub fn listener(&self, name: &Arc<str>, listener: Option<&Arc<ListenerSnapshot>>) {
        self.each(|changes| drop(changes.listeners.insert(name.clone(), listener.cloned())));
    }

    fn each(&self, mut change: impl FnMut(&mut Changes)) {
        for mailbox in self.mailboxes.iter() {
            change(&mut mailbox.lock());
            mailbox.arrived.notify_one();
        }
    }
}
