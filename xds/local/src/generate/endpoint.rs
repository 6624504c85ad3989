//! Endpoints of a cluster, by locality.

use std::collections::BTreeMap;
use std::net::IpAddr;

use prost_types::Struct;
use xds_api::envoy::config::core::v3::{HealthStatus, Metadata};
use xds_api::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use xds_api::envoy::config::endpoint::v3::{Endpoint as WireEndpoint, LbEndpoint, LocalityLbEndpoints};

use super::cluster::Target;
use super::wire::{ISTIO, socket_address, structure, text};
use super::{failover_priority, locality};
use crate::mesh::service::{Endpoint, Health};
use crate::mesh::services::CLUSTER_ID;
use crate::object::destination_rule::{ClientTlsMode, TrafficPolicy};

/// Labels by which an endpoint says what service it is of, and in which version.
const NAME_LABELS: [&str; 3] = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const VERSION_LABELS: [&str; 3] = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// The endpoints of a cluster, grouped by locality and sorted.
pub(super) fn by_locality(target: &Target<'_>, policy: &TrafficPolicy) -> Vec<LocalityLbEndpoints> {
    let mutual_tls = policy.tls.as_ref().map(|tls| tls.mode == ClientTlsMode::IstioMutual);
    let sends_not_ready = policy.outlier_detection.as_ref().is_none_or(|outlier| outlier.min_health_percent == 0);
    let mut localities: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in target.service.endpoints.iter().filter(|endpoint| is_of(endpoint, target)) {
        if sends_not_ready || endpoint.health != Health::NotReady {
            localities.entry(&endpoint.locality).or_default().push(endpoint);
        }
    }
    let mut groups = Vec::new();
    for (locality, mut endpoints) in localities {
        endpoints.sort_by(|one, other| (&one.address, one.port).cmp(&(&other.address, other.port)));
        for (rank, endpoints) in failover_priority::ranked(endpoints, policy.failover_labels(), target.gateway) {
            let weight = endpoints.iter().fold(0_u32, |sum, endpoint| sum.saturating_add(endpoint.weight));
            groups.push(LocalityLbEndpoints {
                locality: Some(locality::parse(locality)),
                lb_endpoints: endpoints.into_iter().map(|endpoint| wire_endpoint(endpoint, mutual_tls)).collect(),
                load_balancing_weight: Some(weight),
                priority: rank,
                ..LocalityLbEndpoints::default()
            });
        }
    }
    locality::balance(&mut groups, policy, &locality::parse(&target.gateway.locality));
    groups
}

/// Endpoints that are found by name are told apart by the number of the service's port, the others by its name.
fn is_of(endpoint: &Endpoint, target: &Target<'_>) -> bool {
    let is_dns = target.service.resolution.is_dns();
    let port = if is_dns {
        endpoint.service_port.number == target.port.number
    } else {
        endpoint.service_port.name == target.port.name && endpoint.address.parse::<IpAddr>().is_ok()
    };
    let labels = target.subset.map(|subset| &subset.labels);
    port && labels.is_none_or(|labels| labels.iter().all(|(key, value)| endpoint.labels.get(key) == Some(value)))
}

/// `mutual_tls` is what the rule says about Istio's mutual TLS, if anything.
fn wire_endpoint(endpoint: &Endpoint, mutual_tls: Option<bool>) -> LbEndpoint {
    let health = match endpoint.health {
        Health::Unknown => HealthStatus::Unknown,
        Health::Ready => HealthStatus::Healthy,
        Health::NotReady => HealthStatus::Unhealthy,
    };
    let address =
        WireEndpoint { address: Some(socket_address(&endpoint.address, endpoint.port)), ..WireEndpoint::default() };
    LbEndpoint {
        health_status: health as i32,
        metadata: Some(metadata(endpoint, mutual_tls.unwrap_or(true))),
        load_balancing_weight: Some(endpoint.weight),
        host_identifier: Some(HostIdentifier::Endpoint(address)),
    }
}

fn metadata(endpoint: &Endpoint, may_use_mutual_tls: bool) -> Metadata {
    let mut filter_metadata: BTreeMap<String, Struct> =
        BTreeMap::from([(ISTIO.to_owned(), structure([("workload", text(&workload(endpoint)))]))]);
    if may_use_mutual_tls && endpoint.takes_mutual_tls {
        filter_metadata.insert("envoy.transport_socket_match".into(), structure([("tlsMode", text("istio"))]));
    }
    Metadata { filter_metadata, ..Metadata::default() }
}

/// Name, namespace, service, version and cluster of the workload, for telemetry; the version `latest` is left out.
fn workload(endpoint: &Endpoint) -> String {
    let label = |names: [&str; 3]| names.into_iter().find_map(|name| endpoint.labels.get(name));
    let service = label(NAME_LABELS).unwrap_or(&endpoint.workload);
    let version = label(VERSION_LABELS).map_or("", String::as_str);
    let version = if version == "latest" { "" } else { version };
    format!("{};{};{service};{version};{CLUSTER_ID}", endpoint.workload, endpoint.namespace)
}
