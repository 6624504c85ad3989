//! Endpoints of clusters (`envoy.config.endpoint.v3`).

pub(crate) mod wire;

use std::net::SocketAddr;

/// All endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterLoadAssignment {
    /// Name of the cluster (its EDS name).
    pub cluster_name: String,
    /// Groups; neither localities nor addresses are unique among them.
    pub localities: Vec<LocalityEndpoints>,
    /// Percent by which a priority may be loaded beyond its healthy share (140).
    pub overprovisioning_factor: u32,
}

/// Endpoints of one locality and priority.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalityEndpoints {
    /// Where they are.
    pub locality: Locality,
    /// 0 is used first.
    pub priority: u32,
    /// Share of the locality, where the cluster weighs localities.
    pub weight: u32,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// Region, zone and sub-zone, each possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Sub-zone.
    pub sub_zone: String,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Further addresses of the same endpoint (dual stack).
    pub additional_addresses: Vec<EndpointAddress>,
    /// Share within its locality; at least 1.
    pub weight: u32,
    /// What the control plane knows of its health.
    pub health: Health,
    /// `envoy.transport_socket_match` metadata, sorted by key.
    pub transport_match: Vec<(String, String)>,
    /// `istio.workload`: `name;namespace;canonical name;canonical revision;cluster`.
    pub workload: Option<String>,
}

/// Forms of an endpoint's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// IP address and port.
    Socket(SocketAddr),
    /// Host name and port, to be resolved.
    Name(String, u16),
    /// Path of a Unix domain socket.
    Unix(String),
}

/// `HealthStatus`, as far as it decides about use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// May be used.
    Healthy,
    /// Only if there is nothing better.
    Degraded,
    /// Not unless in panic.
    Unhealthy,
    /// Not for new work.
    Draining,
}
