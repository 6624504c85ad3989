//! Clusters: one for each port of each service, and for each subset of it, with the endpoints of those that are found by EDS.

use std::collections::BTreeMap;
use std::time::Duration;

use prost_types::Value;
use xds_api::Any;
use xds_api::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, EdsClusterConfig,
};
use xds_api::envoy::config::cluster::v3::{Cluster, Filter};
use xds_api::envoy::config::core::v3::TypedExtensionConfig;
use xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;

use super::filter_chain::metadata_exchange_config;
use super::traffic_policy::{self, CONNECT_TIMEOUT};
use super::wire::{ads, boolean, cluster_name, config_path, duration, istio_metadata, list, object, structure, text};
use super::{Resource, endpoint};
use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Port, Resolution, Service};
use crate::mesh::{GatewayPlace, Mesh};
use crate::object::destination_rule::{ClientTlsMode, DestinationRule, Subset, TrafficPolicy};

/// Time between look-ups of a name whose record says nothing (mesh default).
const DNS_REFRESH: Duration = Duration::from_secs(60);
/// Spread of look-ups (`PILOT_DNS_JITTER_DURATION`).
const DNS_JITTER: Duration = Duration::from_millis(100);
/// Queries over one socket (`PILOT_DNS_CARES_UDP_MAX_QUERIES`).
const DNS_QUERIES_PER_SOCKET: u32 = 100;

pub(super) fn resources(mesh: &Mesh) -> Vec<Resource> {
    let mut resources = vec![black_hole()];
    for service in mesh.services.iter().filter(|service| service.alias_of.is_empty()) {
        let rule = mesh.destination_rules.of(service);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let subsets = rule.into_iter().flat_map(|rule| rule.subsets.iter().map(Some));
            for subset in std::iter::once(None).chain(subsets) {
                resources.extend(Target { service, port, rule, subset, gateway: &mesh.gateway }.resources());
            }
        }
    }
    resources
}

/// Where requests go that must go nowhere.
fn black_hole() -> Resource {
    let name = "BlackHoleCluster";
    let cluster = Cluster {
        name: name.into(),
        alt_stat_name: format!("{name};"),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        ..Cluster::default()
    };
    Resource::new(name, &cluster)
}

/// What a cluster is made for.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) service: &'a Service,
    pub(super) port: &'a Port,
    pub(super) rule: Option<&'a DestinationRule>,
    pub(super) subset: Option<&'a Subset>,
    pub(super) gateway: &'a GatewayPlace,
}

impl Target<'_> {
    pub(super) fn subset_name(&self) -> &str {
        self.subset.map_or("", |subset| &subset.name)
    }

    /// The policy of the subset over that of the service. A policy for the port stands in for the one around it.
    pub(super) fn policy(&self) -> TrafficPolicy {
        let at_port = |policy: &TrafficPolicy| policy.ports.get(&self.port.number).cloned();
        let base = self.rule.and_then(|rule| rule.policy.as_ref());
        let base = base.map(|policy| at_port(policy).unwrap_or_else(|| policy.clone()));
        let Some(own) = self.subset.and_then(|subset| subset.policy.as_ref()) else { return base.unwrap_or_default() };
        match (at_port(own), base) {
            (Some(own), _) => own,
            (None, None) => own.clone(),
            (None, Some(base)) => TrafficPolicy {
                load_balancer: own.load_balancer.clone().or(base.load_balancer),
                connection_pool: own.connection_pool.clone().or(base.connection_pool),
                outlier_detection: own.outlier_detection.clone().or(base.outlier_detection),
                tls: own.tls.clone().or(base.tls),
                retry_budget: own.retry_budget.clone().or(base.retry_budget),
                ports: BTreeMap::new(),
            },
        }
    }

    fn resources(&self) -> Vec<Resource> {
        let name = cluster_name(self.port.number, self.subset_name(), &self.service.hostname);
        let policy = self.policy();
        let mut cluster = Cluster { name: name.clone(), alt_stat_name: format!("{name};"), ..Cluster::default() };
        traffic_policy::apply(&mut cluster, self, &policy);
        cluster.filters.push(Filter {
            name: "istio.metadata_exchange".into(),
            typed_config: Some(metadata_exchange_config()),
            ..Filter::default()
        });
        cluster.metadata = Some(istio_metadata(self.metadata(&policy)));
        let assignment = ClusterLoadAssignment {
            cluster_name: name.clone(),
            endpoints: endpoint::by_locality(self, &policy),
            ..ClusterLoadAssignment::default()
        };
        if !self.service.resolution.is_dns() {
            find_by_eds(&mut cluster);
            return vec![Resource::new(&name, &cluster), Resource::new(&name, &assignment)];
        }
        if assignment.endpoints.is_empty() {
            return Vec::new();
        }
        find_by_dns(&mut cluster, self.service.resolution, assignment);
        vec![Resource::new(&name, &cluster)]
    }

    fn metadata(&self, policy: &TrafficPolicy) -> BTreeMap<String, Value> {
        let service = [
            ("host", text(&self.service.hostname)),
            ("name", text(&self.service.name)),
            ("namespace", text(&self.service.namespace)),
        ];
        let mut fields = BTreeMap::from([("services".to_owned(), list(vec![object(structure(service))]))]);
        if self.service.mesh_external && self.subset.is_none() {
            fields.insert("external".into(), boolean(true));
        }
        if let Some(rule) = self.rule {
            fields.insert("config".into(), config_path("destination-rule", &rule.metadata));
        }
        if let Some(subset) = self.subset {
            fields.insert("subset".into(), text(&subset.name));
        }
        let originates =
            policy.tls.as_ref().is_some_and(|tls| matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual));
        if originates {
            fields.insert("alpn_override".into(), text("false"));
        }
        fields
    }
}

fn find_by_eds(cluster: &mut Cluster) {
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32));
    cluster.eds_cluster_config =
        Some(EdsClusterConfig { eds_config: Some(ads(Some(Duration::ZERO))), service_name: cluster.name.clone() });
}

fn find_by_dns(cluster: &mut Cluster, resolution: Resolution, assignment: ClusterLoadAssignment) {
    let kind = match resolution {
        Resolution::DnsRoundRobin => DiscoveryType::LogicalDns,
        _ => DiscoveryType::StrictDns,
    };
    let resolver =
        CaresDnsResolverConfig { udp_max_queries: Some(DNS_QUERIES_PER_SOCKET), ..CaresDnsResolverConfig::default() };
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
    cluster.load_assignment = Some(assignment);
    cluster.dns_lookup_family = DnsLookupFamily::V4Only as i32;
    cluster.typed_dns_resolver_config = Some(TypedExtensionConfig {
        name: "envoy.network.dns_resolver.cares".into(),
        typed_config: Some(Any::pack(&resolver)),
    });
    cluster.dns_refresh_rate = Some(duration(DNS_REFRESH));
    cluster.dns_jitter = Some(duration(DNS_JITTER));
    cluster.respect_dns_ttl = true;
}
