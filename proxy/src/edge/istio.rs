//! What edges have, in Istio's words: names of clusters, protocols of ports, and a service of other edges as a ServiceEntry.

use overlay::catalogue::{Port, Protocol};
use serde_json::{Value, json};

use super::import::ImportedEndpoint;
use super::labels::EDGE_LABEL;

/// A port as clients know it, and the one that stands for it at the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryPort {
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) target: u16,
}

impl EntryPort {
    /// As another edge offers it.
    pub(super) fn of(port: &Port, target: u16) -> Self {
        Self { number: port.number, name: port.name.clone(), protocol: protocol_name(port.protocol).to_owned(), target }
    }
}

/// The cluster of a port of a service, without a subset.
pub(super) fn cluster_name(port: u16, host: &str) -> String {
    format!("outbound|{port}||{host}")
}

/// The protocol of a port by its name; bytes, if it is another one.
pub(super) fn protocol(name: &str) -> Protocol {
    match name {
        "HTTP" => Protocol::Http,
        "HTTP2" => Protocol::Http2,
        "GRPC" => Protocol::Grpc,
        "TLS" => Protocol::Tls,
        _ => Protocol::Tcp,
    }
}

/// Its name.
pub(super) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Http2 => "HTTP2",
        Protocol::Grpc => "GRPC",
        Protocol::Tls => "TLS",
        Protocol::Tcp | Protocol::Udp => "TCP",
    }
}

/// The specification of a ServiceEntry whose endpoints are edges.
pub(super) fn entry(host: &str, ports: &[EntryPort], endpoints: Vec<Value>) -> Value {
    let port = |EntryPort { number, name, protocol, target }: &EntryPort| json!({ "number": number, "name": name, "protocol": protocol, "targetPort": target });
    json!({
        "hosts": [host],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": ports.iter().map(port).collect::<Vec<_>>(),
        "endpoints": endpoints,
    })
}

/// An edge as an endpoint of it.
pub(super) fn endpoint(endpoint: &ImportedEndpoint) -> Value {
    let mut value = json!({
        "address": endpoint.address.to_string(),
        "weight": endpoint.weight,
        "labels": { EDGE_LABEL: endpoint.edge },
    });
    if !endpoint.locality.is_empty() {
        value["locality"] = json!(endpoint.locality);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_what_they_were_when_they_come_back() {
        for known in [Protocol::Http, Protocol::Http2, Protocol::Grpc, Protocol::Tls, Protocol::Tcp] {
            assert_eq!(protocol(protocol_name(known)), known);
        }
        assert_eq!((protocol("MONGO"), protocol_name(Protocol::Udp)), (Protocol::Tcp, "TCP"));
    }
}
