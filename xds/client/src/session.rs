//! A session with a control plane: one node, one stream at a time, one cache. A process may have several; nothing is shared.
//!
//! [`Session::spawn`] starts a task that keeps a stream open, and hands on what changes in batches of [`Event`]s. A consumer that
//! does not take them stops the session, not more. The task ends with its [`Session`], or when the receiver of the events is
//! dropped.

mod keep;
mod run;
mod status;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::configuration::Configuration;
use crate::control_plane::ControlPlane;
use crate::event::Event;
use crate::node::Node;

pub use status::{HeldResource, KindStatus, LastRefusal, SessionStatus, SnapshotStatus, held};

/// Batches of events that wait for the consumer; then the session waits.
const EVENT_BATCHES: usize = 16;

/// What a session is started with.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Names the session in logs, and its file on disk.
    pub name: String,
    /// Whom to connect to.
    pub control_plane: ControlPlane,
    /// Who we are.
    pub node: Node,
    /// Where the last good state is kept; `None` keeps none.
    pub snapshot_directory: Option<PathBuf>,
    /// Clusters that are needed although no resource refers to them; see [`Configuration::need_clusters`].
    pub needed_clusters: watch::Receiver<BTreeSet<String>>,
    /// Intervals and bounds.
    pub timing: Timing,
}

/// Intervals and bounds of a session.
#[derive(Clone, Debug)]
pub struct Timing {
    /// First back-off after a failure; it doubles.
    pub back_off_minimum: Duration,
    /// Longest back-off.
    pub back_off_maximum: Duration,
    /// A stream that stood for so long puts the back-off back to the minimum.
    pub stable_after: Duration,
    /// How long the server may take for its first response. It may be busy with thousands of other gateways.
    pub first_response: Duration,
    /// How often the file with the roots is looked at.
    pub roots_check: Duration,
    /// The state is written when nothing has changed for so long,
    pub snapshot_quiet: Duration,
    /// and at the latest after this.
    pub snapshot_latest: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            back_off_minimum: Duration::from_millis(10),
            back_off_maximum: Duration::from_secs(15),
            stable_after: Duration::from_secs(30),
            first_response: Duration::from_secs(60),
            roots_check: Duration::from_secs(10),
            snapshot_quiet: Duration::from_secs(1),
            snapshot_latest: Duration::from_secs(10),
        }
    }
}

/// A running session. Dropping it ends the session.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

/// What the task and its owner both see.
#[derive(Debug, Default)]
struct Shared {
    configuration: Mutex<Configuration>,
    status: Mutex<SessionStatus>,
    /// The file on disk is another process's.
    leave_file: AtomicBool,
}

impl Session {
    /// Starts a session on the present runtime. The first batch is the state on disk, if there is one.
    #[must_use]
    pub fn spawn(options: SessionOptions) -> (Self, mpsc::Receiver<Vec<Event>>) {
        let shared = Arc::new(Shared::default());
        let (events, receiver) = mpsc::channel(EVENT_BATCHES);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(run::run(options, shared.clone(), events, stopped));
        (Self { shared, stop }, receiver)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        let (waiting, no_ops) = {
            let configuration = self.shared.configuration();
            let waiting = configuration.waiting().map(|(key, missing)| (key.clone(), missing.clone())).collect();
            (waiting, configuration.no_ops().clone())
        };
        SessionStatus { waiting, no_ops, ..self.shared.status().clone() }
    }

    /// Every resource that is held, by kind and name.
    #[must_use]
    pub fn held(&self) -> Vec<HeldResource> {
        held(&self.shared.configuration())
    }

    /// Whether the state is written to disk, as it is from the beginning. What changed meanwhile is written when it is again.
    pub fn keep_on_disk(&self, keep: bool) {
        self.shared.leave_file.store(!keep, Ordering::Relaxed);
    }

    /// Ends the session and waits for it. What was not written to disk yet is written.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        // The task has let go of its end when it is done.
        self.stop.closed().await;
    }
}

impl Shared {
    fn keeps_on_disk(&self) -> bool {
        !self.leave_file.load(Ordering::Relaxed)
    }

    fn configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, SessionStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
