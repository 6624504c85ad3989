//! Clusters as a worker uses them: endpoints picked on worker-local state, connections kept in worker-local pools.
//!
//! A worker knows every published [`ClusterSnapshot`](crate::config::snapshot::ClusterSnapshot) but builds a [`Cluster`] only when
//! something first uses it: istiod sends every service to every gateway, and most are never called.

mod cluster;
mod clusters;
mod connector;
mod counters;
mod outliers;
mod pool;

pub use cluster::{Cluster, Pick, PickFailure};
pub use clusters::Clusters;
pub use connector::{ConnectFailure, Connected, Http, Wanted};
pub use counters::ClusterCounters;
pub use outliers::OutlierCounters;
pub use pool::{Lent, ObtainFailure, Pool, SharedConnection, Target, UpstreamConnection};
