//! What is in force, and what is not and why: for the admin server, readiness and the summary at start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use xds_client::ResourceType;

/// A look at the whole configuration, taken after a change.
#[derive(Debug, Clone, Default)]
pub struct ConfigStatus {
    /// Whether all that has come is applied.
    pub is_settled: bool,
    /// By name.
    pub listeners: Vec<ListenerStatus>,
    /// Attempts to serve a listener that failed, retries included.
    pub listener_failures: u64,
    /// By name; those that something refers to.
    pub clusters: Vec<ClusterStatus>,
    /// Names of route tables in force, with their numbers of virtual hosts and routes.
    pub route_tables: Vec<(Arc<str>, usize, usize)>,
    /// By name.
    pub secrets: Vec<SecretStatus>,
    /// How often the configuration of an HTTP filter was taken over that is a resource of its own, by name.
    pub extension_reloads: BTreeMap<String, u64>,
    /// What could not be applied, by kind and name.
    pub problems: Vec<Problem>,
}

impl ConfigStatus {
    /// Whether what has come is in force on all workers, as far as it can be served.
    pub fn is_in_force(&self) -> bool {
        let is_served = |listener: &ListenerStatus| listener.is_everywhere || listener.state != ListenerState::Active;
        self.is_settled && self.listeners.iter().all(is_served)
    }
}

/// A resource that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: ResourceType,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerStatus {
    /// Resource name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it serves.
    pub state: ListenerState,
    /// Whether all workers do so. For a moment some of them may go by what was before.
    pub is_everywhere: bool,
}

/// Whether a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerState {
    /// All of it.
    Active,
    /// Some chains wait for these secrets; the others serve.
    WaitingForSecrets(Vec<String>),
    /// Not its newest version.
    Failed(ListenerFailure),
}

/// Why the newest version of a listener cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerFailure {
    /// What is wrong.
    pub reason: String,
    /// When it was last tried.
    pub last_attempt: SystemTime,
    /// The version before it serves.
    pub earlier_version_serves: bool,
}

impl ListenerState {
    /// Whether any version serves.
    pub fn serves(&self) -> bool {
        match self {
            Self::Active | Self::WaitingForSecrets(_) => true,
            Self::Failed(failure) => failure.earlier_version_serves,
        }
    }
}

impl fmt::Display for ListenerFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.earlier_version_serves { "; the version before it serves" } else { "" };
        write!(formatter, "{}{more}", self.reason)
    }
}

/// One cluster.
#[derive(Debug, Clone)]
pub struct ClusterStatus {
    /// Resource name.
    pub name: Arc<str>,
    /// Its endpoints; `None` until they are known.
    pub endpoints: Option<Arc<balance::Endpoints>>,
}

/// One secret.
#[derive(Debug, Clone)]
pub struct SecretStatus {
    /// Resource name.
    pub name: String,
    /// The certificates in it, PEM.
    pub certificates: bytes::Bytes,
    /// Whether it has a private key.
    pub has_key: bool,
}
