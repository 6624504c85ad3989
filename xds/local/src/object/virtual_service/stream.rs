//! Routes of `tls` and `tcp`.

use super::{Destination, destination, gateway_names};
use crate::load::field::Fields;

/// Where connections go.
#[derive(Clone, Debug)]
pub(crate) struct StreamRoute {
    /// Any of these; none means all connections.
    pub(crate) matches: Vec<StreamMatch>,
    pub(crate) route: Vec<WeightedDestination>,
}

/// Conditions on a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamMatch {
    /// Server names; only in `tls`.
    pub(crate) sni_hosts: Vec<String>,
    pub(crate) port: Option<u32>,
    /// `namespace/name`; none means all of the virtual service.
    pub(crate) gateways: Vec<String>,
}

/// A target and its share.
#[derive(Clone, Debug)]
pub(crate) struct WeightedDestination {
    pub(crate) destination: Destination,
    pub(crate) weight: u32,
}

pub(super) fn read_tls(fields: &mut Fields<'_>, namespace: &str) -> StreamRoute {
    let matches = fields.objects("match", |fields| {
        let sni_hosts = fields.strings("sniHosts");
        fields.require_elements("sniHosts");
        Some(StreamMatch { sni_hosts, ..stream_match(fields, namespace) })
    });
    fields.require_elements("match");
    StreamRoute { matches, route: destinations(fields, namespace) }
}

pub(super) fn read_tcp(fields: &mut Fields<'_>, namespace: &str) -> StreamRoute {
    let matches = fields.objects("match", |fields| Some(stream_match(fields, namespace)));
    StreamRoute { matches, route: destinations(fields, namespace) }
}

fn stream_match(fields: &mut Fields<'_>, namespace: &str) -> StreamMatch {
    // Conditions on the client are for sidecars; a gateway's listeners do not look at them.
    fields.ignore(&["sourceLabels", "sourceNamespace"]);
    fields.unsupported(&["destinationSubnets", "sourceSubnet"]);
    StreamMatch { sni_hosts: Vec::new(), port: fields.port("port"), gateways: gateway_names(fields, namespace) }
}

fn destinations(fields: &mut Fields<'_>, namespace: &str) -> Vec<WeightedDestination> {
    let destinations = fields.objects("route", |fields| {
        let target =
            fields.required("destination").and_then(|value| value.try_object(|fields| destination(fields, namespace)));
        let weight = fields.u32("weight").unwrap_or(0);
        Some(WeightedDestination { destination: target?, weight })
    });
    fields.require_elements("route");
    if destinations.len() > 1 && destinations.iter().all(|destination| destination.weight == 0) {
        fields.error("route: the weights must not all be 0");
    }
    destinations
}
