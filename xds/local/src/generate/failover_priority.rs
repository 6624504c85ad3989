//! `failoverPriority`: endpoints whose labels agree with the gateway's come first (istiod, `networking/core/loadbalancer`).

use std::collections::BTreeMap;

use crate::mesh::GatewayPlace;
use crate::mesh::service::Endpoint;
use crate::mesh::services::CLUSTER_ID;

const NETWORK: &str = "topology.istio.io/network";
const CLUSTER: &str = "topology.istio.io/cluster";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUB_ZONE: &str = "topology.istio.io/subzone";

/// The endpoints by their rank: how far from the end of `labels` the first one stands in which they differ from the gateway.
/// A label may be given a value, `name=value`, which stands in for the gateway's own.
pub(super) fn ranked<'a>(
    endpoints: Vec<&'a Endpoint>,
    labels: &[String],
    gateway: &GatewayPlace,
) -> BTreeMap<u32, Vec<&'a Endpoint>> {
    let wanted: Vec<(&str, &str)> = labels
        .iter()
        .map(|label| label.split_once('=').unwrap_or_else(|| (label, value(label, &gateway.labels, &gateway.locality))))
        .collect();
    let mut ranks: BTreeMap<u32, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        ranks.entry(rank(endpoint, &wanted)).or_default().push(endpoint);
    }
    ranks
}

/// Another network puts an endpoint behind all of this one, whatever else it has; there the other labels count as well.
fn rank(endpoint: &Endpoint, wanted: &[(&str, &str)]) -> u32 {
    let mut behind_network = 0;
    for (at, (label, wanted_value)) in wanted.iter().enumerate() {
        if value(label, &endpoint.labels, &endpoint.locality) == *wanted_value {
            continue;
        }
        if at == 0 && *label == NETWORK {
            behind_network = wanted.len();
            continue;
        }
        return count(wanted.len() - at + behind_network);
    }
    count(behind_network)
}

fn count(labels: usize) -> u32 {
    u32::try_from(labels).unwrap_or(u32::MAX)
}

/// What a label says, those included that istiod adds; empty for none.
fn value<'a>(label: &str, labels: &'a BTreeMap<String, String>, locality: &'a str) -> &'a str {
    let mut parts = locality.splitn(3, '/');
    let of_place = match label {
        REGION => parts.next(),
        ZONE => parts.nth(1),
        SUB_ZONE => parts.nth(2),
        CLUSTER => Some(CLUSTER_ID),
        _ => None,
    };
    let of_place = of_place.filter(|part| !part.is_empty());
    of_place.or_else(|| labels.get(label).map(String::as_str)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::protocol::Protocol;
    use crate::mesh::service::{Health, Port};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn endpoint(address: &str, locality: &str, labels: &[(&str, &str)]) -> Endpoint {
        Endpoint {
            address: address.to_owned(),
            port: 80,
            service_port: Port { name: "http".to_owned(), number: 80, protocol: Protocol::Http },
            labels: map(labels),
            locality: locality.to_owned(),
            weight: 1,
            identity: String::new(),
            takes_mutual_tls: false,
            workload: String::new(),
            namespace: String::new(),
            health: Health::Unknown,
        }
    }

    /// Addresses by rank.
    fn ranks(endpoints: &[Endpoint], labels: &[&str]) -> Vec<(u32, String)> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let gateway = GatewayPlace { locality: "r1/z1".to_owned(), labels: map(&[("version", "v1")]) };
        let addresses = |endpoints: Vec<&Endpoint>| {
            endpoints.iter().map(|endpoint| endpoint.address.as_str()).collect::<Vec<_>>().join(" ")
        };
        let ranked = ranked(endpoints.iter().collect(), &labels, &gateway);
        ranked.into_iter().map(|(rank, endpoints)| (rank, addresses(endpoints))).collect()
    }

    #[test]
    fn the_first_label_that_differs_decides() {
        let endpoints = [
            endpoint("near", "r1/z1", &[("version", "v1")]),
            endpoint("other-version", "r1/z1", &[("version", "v2")]),
            endpoint("other-zone", "r1/z2", &[("version", "v1")]),
            endpoint("nowhere", "", &[]),
        ];
        let expected = [(0, "near"), (1, "other-version"), (2, "other-zone"), (3, "nowhere")];
        assert_eq!(ranks(&endpoints, &[REGION, ZONE, "version"]), expected.map(|(rank, name)| (rank, name.to_owned())));
        assert_eq!(ranks(&endpoints, &[]).len(), 1, "nothing to compare");
        assert_eq!(ranks(&endpoints, &["absent"]).len(), 1, "neither has it");
    }

    #[test]
    fn a_label_may_be_given_a_value() {
        let endpoints = [endpoint("b", "", &[("edge", "b")]), endpoint("c", "", &[("edge", "c")])];
        assert_eq!(ranks(&endpoints, &["edge=c"]), [(0, "c".to_owned()), (1, "b".to_owned())]);
    }

    #[test]
    fn another_network_comes_behind_everything() {
        let endpoints = [
            endpoint("far", "r9", &[]),
            endpoint("other-network", "r1/z1", &[(NETWORK, "two")]),
            endpoint("farthest", "r9", &[(NETWORK, "two")]),
        ];
        let expected = [(1, "far"), (2, "other-network"), (3, "farthest")];
        assert_eq!(ranks(&endpoints, &[NETWORK, REGION]), expected.map(|(rank, name)| (rank, name.to_owned())));
    }
}
