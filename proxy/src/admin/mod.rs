//! Envoy's admin interface, as far as Istio's tools and operators use it, and the ports around it that Istio's agent has.
//!
//! * 15000, loopback: everything here.
//! * 15020: health, metrics, `/quitquitquit` and `/drain` (loopback only).
//! * 15021: `/healthz/ready` for the kubelet.
//! * 15090: metrics.

mod clusters;
mod config_dump;
mod hub;
mod listeners;
mod logging;
mod overlay;
mod ports;
mod problems;
mod prometheus;
mod readiness;
mod routes;
mod server;
mod server_info;
mod stats;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ::overlay::shards::Shards;
use tokio::sync::{mpsc, oneshot, watch};
use xds_client::session::{HeldResource, Session};

use crate::config::ConfigStatus;
use crate::config::local::FolderStatus;
use crate::drain::Drain;
use crate::edge::{EdgeProblems, MemoryFile};
use crate::restart::Epoch;
use crate::telemetry::access_log::AccessLogSinks;
use crate::worker::Process;

pub use hub::HubAdmin;
pub use logging::{LogLevels, level};
pub use ports::Ports;
pub use readiness::Readiness;
pub use server::{Access, Call, Pages, Reply, serve};

/// What the admin interface looks at and acts on.
#[derive(Debug)]
pub struct Admin {
    /// What the workers share: counters above all.
    pub process: Arc<Process>,
    /// Where access logs go.
    pub logs: Arc<AccessLogSinks>,
    /// Where configuration comes from.
    pub source: Source,
    /// What connects it with other edges, if it is an edge.
    pub overlay: Option<Shards>,
    /// What is not as it should be, of an edge.
    pub edge_problems: EdgeProblems,
    /// What it knows of other edges, for the process that follows.
    pub edge_memory: MemoryFile,
    /// Asks control what is in force.
    pub questions: mpsc::Sender<oneshot::Sender<ConfigStatus>>,
    /// Whether traffic should come.
    pub readiness: Readiness,
    /// Ends the process in good order.
    pub drain: Drain,
    /// Told when the process is to go at once (`/quitquitquit`).
    pub quit: watch::Sender<bool>,
    /// Our own log.
    pub log_levels: LogLevels,
    /// Who we are: node id, cluster and metadata.
    pub node: serde_json::Value,
    /// When the process began.
    pub started: Instant,
    /// Which of the processes that followed each other this is.
    pub epoch: Epoch,
    /// The command line, for `server_info`.
    pub options: serde_json::Value,
}

/// Where configuration comes from.
#[derive(Debug)]
pub enum Source {
    /// istiod.
    ControlPlane(Session),
    /// A folder.
    Local(watch::Receiver<FolderStatus>),
}

impl Source {
    /// Whether the last good configuration is written: not while another process does.
    pub fn keep_on_disk(&self, keep: bool) {
        if let Self::ControlPlane(session) = self {
            session.keep_on_disk(keep);
        }
    }

    /// Every resource that is known, sorted by kind and name. Secrets hold private keys: redact.
    pub fn held(&self) -> Vec<HeldResource> {
        match self {
            Self::ControlPlane(session) => session.held(),
            Self::Local(folder) => folder.borrow().held.clone(),
        }
    }
}

impl Admin {
    /// What is in force; nothing while control is ending.
    pub async fn status(&self) -> ConfigStatus {
        let (answer, status) = oneshot::channel();
        if self.questions.send(answer).await.is_err() {
            return ConfigStatus::default();
        }
        status.await.unwrap_or_default()
    }
}

/// RFC 3339 in UTC with milliseconds, as protobuf's JSON form wants timestamps.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let civil = crate::worker::clock::Civil::from_unix(since.as_secs());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        civil.year,
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        civil.second,
        since.subsec_millis()
    )
}
