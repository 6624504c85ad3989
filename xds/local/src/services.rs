//! The services of a folder, for who offers them to others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Health, Port, Registry};
use crate::mesh::services::Services;

/// A service with endpoints that are part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its full name.
    pub host: String,
    /// The short name of a Kubernetes Service; the host of a ServiceEntry.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// It is a Service of Kubernetes, so that its full name is known here alone.
    pub is_kubernetes: bool,
    /// Labels of its object.
    pub labels: BTreeMap<String, String>,
    /// Its ports, but for those of UDP.
    pub ports: Vec<ServicePort>,
    /// Its ports of UDP.
    #[serde(default)]
    pub datagrams: Vec<DatagramPort>,
    /// Addresses of endpoints of a folder, as far as they are known.
    #[serde(default)]
    pub addresses: BTreeSet<IpAddr>,
    /// Whether it has endpoints.
    pub has_endpoints: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// As Istio writes it: `HTTP`, `HTTP2`, `GRPC`, `TLS` or `TCP`.
    pub protocol: Cow<'static, str>,
}

/// A port of UDP, for which nobody makes a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramPort {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Who answers there, as far as addresses are known, sorted. Names are not looked up.
    pub endpoints: Vec<SocketAddr>,
}

impl ServicePort {
    /// A port of a Service of Kubernetes, whose protocol is `appProtocol`, else the first part of its name. `None` for UDP.
    #[must_use]
    pub fn of_kubernetes(number: u16, name: &str, transport: &str, app_protocol: Option<&str>) -> Option<Self> {
        Self::new(number, name, Protocol::of_service_port(number.into(), name, transport, app_protocol))
    }

    /// A port of a ServiceEntry. `None` for UDP.
    #[must_use]
    pub fn of_service_entry(number: u16, name: &str, protocol: &str) -> Option<Self> {
        Self::new(number, name, Protocol::parse(protocol))
    }

    fn new(number: u16, name: &str, protocol: Protocol) -> Option<Self> {
        let protocol = match protocol {
            Protocol::Udp => return None,
            Protocol::Http | Protocol::HttpProxy => "HTTP",
            Protocol::Http2 => "HTTP2",
            Protocol::Grpc | Protocol::GrpcWeb => "GRPC",
            Protocol::Https | Protocol::Tls => "TLS",
            _ => "TCP",
        };
        Some(Self { number, name: name.to_owned(), protocol: protocol.into() })
    }
}

/// Services by host name. Those of other hosts (`ExternalName`), of patterns, and outside of the mesh are nobody's to offer.
pub(crate) fn services(services: &Services) -> Vec<Service> {
    let offered = services
        .iter()
        .filter(|service| service.alias_of.is_empty() && !service.mesh_external && !service.hostname.starts_with("*"));
    offered
        .map(|service| Service {
            host: service.hostname.clone(),
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            is_kubernetes: service.registry == Registry::Kubernetes,
            labels: service.labels.clone(),
            ports: service.ports.iter().filter_map(port).collect(),
            datagrams: service.ports.iter().filter_map(|port| datagram_port(service, port)).collect(),
            addresses: service.endpoints.iter().filter_map(|endpoint| endpoint.address.parse().ok()).collect(),
            has_endpoints: !service.endpoints.is_empty(),
        })
        .filter(|service| !service.ports.is_empty() || !service.datagrams.is_empty())
        .collect()
}

fn datagram_port(service: &crate::mesh::service::Service, port: &Port) -> Option<DatagramPort> {
    if port.protocol != Protocol::Udp {
        return None;
    }
    let ready = service
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.service_port == *port && endpoint.health != Health::NotReady);
    let addresses = ready.filter_map(|endpoint| {
        Some(SocketAddr::new(endpoint.address.parse().ok()?, u16::try_from(endpoint.port).ok()?))
    });
    let mut endpoints: Vec<_> = addresses.collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    Some(DatagramPort { number: u16::try_from(port.number).ok()?, name: port.name.clone(), endpoints })
}

fn port(port: &Port) -> Option<ServicePort> {
    ServicePort::new(u16::try_from(port.number).ok()?, &port.name, port.protocol)
}
