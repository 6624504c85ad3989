//! What is in force, and what is not and why: for the admin server, readiness and the summary at start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A look at the whole configuration, taken after a change.
#[derive(Debug, Clone, Default)]
pub struct ConfigStatus {
    /// By name.
    pub listeners: Vec<ListenerStatus>,
    /// By name; those that something refers to.
    pub clusters: Vec<ClusterStatus>,
    /// Names of route tables in force, with their numbers of virtual hosts and routes.
    pub route_tables: Vec<(Arc<str>, usize, usize)>,
    /// By name.
    pub secrets: Vec<SecretStatus>,
    /// How often the configuration of an HTTP filter was taken over that is a resource of its own, by name.
    pub extension_reloads: BTreeMap<String, u64>,
    /// What could not be applied: resource and reason.
    pub problems: Vec<(String, String)>,
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
}

/// Whether a listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerState {
    /// All of it.
    Active,
    /// Some chains wait for these secrets; the others serve.
    WaitingForSecrets(Vec<String>),
    /// Not at all.
    Failed(String),
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
