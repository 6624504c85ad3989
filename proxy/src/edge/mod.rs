//! The seam between the overlay and the mesh.
//!
//! ```text
//! services of the folder, or of the cluster (kubernetes/) --export--> offer --worker 0: directory--> other edges
//! other edges --directory--> import --> destinations of all workers, then sink_files --> the folder, or kubernetes/ --> the cluster:
//! endpoints that are edges
//! other clients -> terminate: listeners -> endpoint
//! client -> datagram/: UDP, which has no endpoints -> tunnel -> the other edge
//! request -> endpoint -> upstream/connector.rs -> node.rs (connect) -> tunnel -> the other edge: answer.rs -> its cluster
//! ```
//!
//! Nothing is offered and nothing is taken unless `edge.yaml` says so ([`EdgeConfig`]), which is read again when it changes (`config_file.rs`).

mod address_range;
mod addresses;
mod addresses_in_use;
mod answer;
mod callers;
mod config;
mod config_file;
mod control;
mod counters;
mod datagram;
mod direct;
mod export;
mod file_watch;
mod forms;
mod health;
mod hold;
mod import;
mod istio;
mod known_file;
mod kubernetes;
mod labels;
mod memory;
mod news;
mod node;
mod open;
mod problems;
mod refusals;
mod shares;
mod sink_files;
mod succession;
mod tables;
mod terminate;

pub use self::callers::{CallerRule, Callers};
pub use self::config::{EdgeConfig, Selection};
pub(crate) use self::control::Services;
pub use self::counters::{ConfigCounters, EdgeCounters};
pub use self::datagram::{DatagramImport, DatagramTables};
pub use self::direct::DirectConfig;
pub(crate) use self::health::certificate_problem;
pub(crate) use self::hold::hold;
pub use self::kubernetes::{Availability, KubernetesCounters, KubernetesOptions};
pub use self::memory::MemoryFile;
pub use self::node::{EdgeNode, EdgeShare};
pub(crate) use self::open::Surroundings;
pub use self::open::{Edge, EdgeOptions};
pub use self::problems::EdgeProblems;
pub(crate) use self::sink_files::IMPORTS;
pub use self::succession::Succession;
pub use self::tables::{Destination, Exported, MayCall, NoCluster, Tables, Way};
pub use self::terminate::{Terminate, TerminateFiles};
