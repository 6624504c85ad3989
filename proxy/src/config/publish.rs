//! From control to the workers: the latest state of every resource, never a queue of events.
//!
//! Each worker has a mailbox that holds at most one change per resource, the newest. A slow worker therefore skips intermediate
//! states but can never lose the last one, and the mailbox is bounded by the number of resources.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
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
    content: Mutex<Content>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Content {
    pending: Changes,
    /// Listeners that the worker has taken and may not serve yet.
    applying: Vec<Arc<str>>,
}

impl Mailbox {
    /// Waits until there are changes and takes all of them. Whoever asks has applied those of before.
    pub async fn take(&self) -> Changes {
        self.lock().applying.clear();
        loop {
            let changes = self.try_take();
            if !changes.is_empty() {
                return changes;
            }
            self.arrived.notified().await;
        }
    }

    fn try_take(&self) -> Changes {
        let mut content = self.lock();
        let changes = std::mem::take(&mut content.pending);
        content.applying.extend(changes.listeners.keys().cloned());
        changes
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // A panic while the lock is held cannot leave the maps half-written.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Listeners that some worker does not serve yet as they were published last.
    pub fn behind(&self) -> HashSet<Arc<str>> {
        let mut behind = HashSet::new();
        for mailbox in self.mailboxes.iter() {
            let content = mailbox.lock();
            behind.extend(content.pending.listeners.keys().chain(&content.applying).cloned());
        }
        behind
    }

    fn each(&self, mut change: impl FnMut(&mut Changes)) {
        for mailbox in self.mailboxes.iter() {
            change(&mut mailbox.lock().pending);
            mailbox.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_behind_until_every_worker_has_applied_it() {
        let mailboxes = [Arc::<Mailbox>::default(), Arc::default()];
        let publisher = Publisher::new(mailboxes.iter().cloned());
        let name: Arc<str> = "web".into();
        assert!(publisher.behind().is_empty());
        publisher.listener(&name, None);
        for mailbox in &mailboxes {
            assert!(publisher.behind().contains(&name));
            assert_eq!(mailbox.take().await.listeners.len(), 1);
            assert!(publisher.behind().contains(&name), "it is taken, and may not be applied");
            // Nothing more comes.
            assert!(tokio::time::timeout(std::time::Duration::ZERO, mailbox.take()).await.is_err());
        }
        assert!(publisher.behind().is_empty());
    }
}
