//! The endpoint of a pool.

use std::sync::Arc;

use balance::{Breaker, Endpoint};
use xds_model::cluster as model;

use crate::config::snapshot::{ClientTransport, ClusterSnapshot};
use crate::http2::http2_config;
use crate::upstream::cluster::transport_for;
use crate::upstream::outliers::Monitor;

/// What the endpoint is like now.
#[derive(Debug)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its address in words, for logs.
    pub address: Box<str>,
    pub(super) transport: ClientTransport,
    pub(super) model: Arc<model::Cluster>,
    pub(super) http2: h2::Config,
    pub(super) breaker: Breaker,
    pub(super) monitor: Option<Monitor>,
}

impl Target {
    pub(super) fn new(
        endpoint: &Endpoint,
        snapshot: &ClusterSnapshot,
        breaker: &Breaker,
        monitor: Option<Monitor>,
    ) -> Self {
        use xds_model::endpoint::EndpointAddress;
        let address = match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Name(name, port) => format!("{name}:{port}"),
            EndpointAddress::Unix(path) => path.clone(),
        };
        Self {
            endpoint: endpoint.clone(),
            address: address.into(),
            transport: transport_for(endpoint, snapshot),
            http2: http2_config(&snapshot.model.http2),
            model: snapshot.model.clone(),
            breaker: breaker.clone(),
            monitor,
        }
    }
}
