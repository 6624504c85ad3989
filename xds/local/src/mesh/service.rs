//! A service, from whichever kind of object.

use std::collections::BTreeMap;

use crate::mesh::protocol::Protocol;
use crate::problem::Place;

/// Something that clusters are made for: one for each port and subset.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Full name, lower case; may begin with `*.`.
    pub(crate) hostname: String,
    /// Short name of a Kubernetes Service; the host of a ServiceEntry.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) registry: Registry,
    /// Outside the mesh: never mutual TLS by Istio.
    pub(crate) mesh_external: bool,
    pub(crate) resolution: Resolution,
    pub(crate) ports: Vec<Port>,
    pub(crate) export_to: Vec<String>,
    /// Names that certificates of the endpoints may have.
    pub(crate) subject_alt_names: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// When the object was made; empty if it does not say.
    pub(crate) created: String,
    /// The host that this one is another name of (`ExternalName`); empty for none.
    pub(crate) alias_of: String,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) place: Place,
}

/// Where a service comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    Kubernetes,
    ServiceEntry,
}

/// How endpoints are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Their addresses are known.
    Static,
    /// Their names are known; each may have several addresses.
    Dns,
    /// As before, one address at a time.
    DnsRoundRobin,
    /// The client's own destination; a gateway has none and uses what endpoints it knows.
    Passthrough,
}

impl Resolution {
    pub(crate) fn is_dns(self) -> bool {
        matches!(self, Self::Dns | Self::DnsRoundRobin)
    }
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) protocol: Protocol,
}

/// A port of an endpoint of a service.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// IP address, or name if the service is resolved by DNS.
    pub(crate) address: String,
    pub(crate) port: u32,
    /// The port of the service that it stands for.
    pub(crate) service_port: Port,
    pub(crate) labels: BTreeMap<String, String>,
    /// `region/zone/subzone`.
    pub(crate) locality: String,
    /// At least 1.
    pub(crate) weight: u32,
    /// SPIFFE name of its certificate; empty if unknown.
    pub(crate) identity: String,
    /// It takes mutual TLS by Istio.
    pub(crate) takes_mutual_tls: bool,
    pub(crate) workload: String,
    pub(crate) namespace: String,
    pub(crate) health: Health,
}

/// What is known of an endpoint's health beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nobody says.
    Unknown,
    /// Kubernetes says that it is ready.
    Ready,
    /// Kubernetes says that it is not ready.
    NotReady,
}

impl Service {
    pub(crate) fn port(&self, number: u32) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// What certificates of its endpoints may be named: what its object says, and the accounts of the endpoints. Sorted.
    pub(crate) fn identities(&self) -> Vec<String> {
        let accounts = self.endpoints.iter().map(|endpoint| &endpoint.identity).filter(|identity| !identity.is_empty());
        let mut identities: Vec<_> = self.subject_alt_names.iter().chain(accounts).cloned().collect();
        identities.sort();
        identities.dedup();
        identities
    }
}
