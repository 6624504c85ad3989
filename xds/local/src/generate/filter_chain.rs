//! Filter chains: what a listener does with the connections of some server names.

use std::collections::BTreeSet;

use xds_api::Any;
use xds_api::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch, filter};
use xds_api::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds_api::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, WeightedCluster, weighted_cluster,
};
use xds_api::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;

use super::listener::HANDSHAKE_TIMEOUT;
use super::wire::{boolean, duration, structure, text, transport_socket, typed_struct};
use super::{access_log, connection_manager, hash, route, server_tls};
use crate::attachment::shares_host;
use crate::mesh::Mesh;
use crate::mesh::ports::{BoundServer, Port};
use crate::mesh::protocol::Protocol;
use crate::object::gateway::ServerTlsMode;
use crate::object::virtual_service::{Origin, StreamMatch, StreamRoute, VirtualService};
use crate::problem::Problems;

/// A filter chain before it is put into a listener.
pub(super) struct Chain {
    /// Server names; none, or `*`, for all.
    pub(super) sni_hosts: Vec<String>,
    pub(super) tls: Option<DownstreamTlsContext>,
    filters: Vec<Filter>,
}

impl Chain {
    pub(super) fn into_wire(self) -> FilterChain {
        let mut server_names = self.sni_hosts;
        server_names.sort();
        let takes_all = server_names.is_empty() || server_names.iter().any(|name| name == "*");
        let socket = self.tls.map(|tls| transport_socket("envoy.transport_sockets.tls", Any::pack(&tls)));
        FilterChain {
            filter_chain_match: (!takes_all).then(|| FilterChainMatch { server_names, ..FilterChainMatch::default() }),
            filters: self.filters,
            transport_socket: socket,
            transport_socket_connect_timeout: Some(duration(HANDSHAKE_TIMEOUT)),
            ..FilterChain::default()
        }
    }
}

/// The chains of a port. `claimed` are the server names, each with its address, that other chains of the port number have.
pub(super) fn chains(
    mesh: &Mesh,
    port: &Port,
    listener: &str,
    claimed: &mut BTreeSet<(String, String)>,
    problems: &Problems,
) -> Vec<Chain> {
    if Protocol::parse(&port.key.protocol).is_http() {
        let filters = vec![connection_manager::filter(mesh, "", &port.route_name, listener)];
        return vec![Chain { sni_hosts: Vec::new(), tls: None, filters }];
    }
    let mut chains = Vec::new();
    for bound in &port.servers {
        if bound.server.is_terminated_https() {
            let filters = vec![connection_manager::filter(mesh, &bound.server.name, &bound.route_name, listener)];
            chains.push(Chain { sni_hosts: bound.sni_hosts(), tls: server_tls::context(&bound.server), filters });
        } else if is_passthrough(bound) {
            chains.extend(passthrough_chains(mesh, bound, claimed, problems));
        } else {
            chains.extend(stream_chain(mesh, bound, problems));
        }
    }
    chains
}

fn is_passthrough(bound: &BoundServer) -> bool {
    bound.server.tls.as_ref().is_some_and(|tls| tls.mode.is_passthrough())
}

/// One chain for each TLS condition of each virtual service.
fn passthrough_chains(
    mesh: &Mesh,
    bound: &BoundServer,
    claimed: &mut BTreeSet<(String, String)>,
    problems: &Problems,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for service in mesh.virtual_services.of(&bound.gateway).iter().filter(|service| shares_host(bound, service)) {
        for (route, condition) in service.tls.iter().flat_map(|route| route.matches.iter().map(move |one| (route, one)))
        {
            if route.route.is_empty() || !applies(condition, bound) {
                continue;
            }
            let names: Vec<_> =
                condition.sni_hosts.iter().map(|name| (name.clone(), bound.server.bind.clone())).collect();
            if let Some((name, _)) = names.iter().find(|name| claimed.contains(*name)) {
                let message = format!("another route has the server name {name} on port {}", bound.server.port);
                problems.warning(&service.metadata.place, message);
                continue;
            }
            claimed.extend(names);
            let filters = stream_filters(mesh, bound, service, route, problems);
            chains.push(Chain { sni_hosts: condition.sni_hosts.clone(), tls: None, filters });
        }
    }
    chains
}

/// The chain of a server for TCP, or for TLS that ends here; none if no route fits.
fn stream_chain(mesh: &Mesh, bound: &BoundServer, problems: &Problems) -> Option<Chain> {
    let services = mesh.virtual_services.of(&bound.gateway).iter().filter(|service| shares_host(bound, service));
    let mut routes = services.flat_map(|service| stream_route(bound, service).map(|route| (service, route)));
    let Some((service, route)) = routes.next() else {
        problems.warning(&bound.server.place, "no route of a VirtualService leads from this server: it is left out");
        return None;
    };
    let sni_hosts = if bound.server.tls.is_some() { bound.sni_hosts() } else { Vec::new() };
    let filters = stream_filters(mesh, bound, service, route, problems);
    Some(Chain { sni_hosts, tls: server_tls::context(&bound.server), filters })
}

fn stream_route<'a>(bound: &BoundServer, service: &'a VirtualService) -> Option<&'a StreamRoute> {
    let fits = |route: &&StreamRoute| {
        let any = route.matches.is_empty() || route.matches.iter().any(|condition| applies(condition, bound));
        any && !route.route.is_empty()
    };
    let of_tls_route = service.tls.iter().filter(|_| service.origin == Origin::TlsRoute);
    service.tcp.iter().chain(of_tls_route).find(fits)
}

fn applies(condition: &StreamMatch, bound: &BoundServer) -> bool {
    let port = condition.port.is_none_or(|port| port == bound.server.port);
    port && (condition.gateways.is_empty() || condition.gateways.contains(&bound.gateway))
}

fn stream_filters(
    mesh: &Mesh,
    bound: &BoundServer,
    service: &VirtualService,
    route: &StreamRoute,
    problems: &Problems,
) -> Vec<Filter> {
    let cluster = |destination| route::destination_cluster(mesh, service, destination, bound.server.port, problems);
    let (stat_prefix, specifier) = match route.route.as_slice() {
        [only] => {
            let name = cluster(&only.destination);
            (name.clone(), ClusterSpecifier::Cluster(name))
        }
        several => {
            let clusters = several.iter().filter(|target| target.weight > 0).map(|target| {
                let name = cluster(&target.destination);
                weighted_cluster::ClusterWeight { name, weight: target.weight, ..Default::default() }
            });
            let prefix = format!("{}.{}", service.metadata.name, service.metadata.namespace);
            (prefix, ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect() }))
        }
    };
    // Of several destinations the rule of the first counts, without its subset.
    let rule = route.route.first().and_then(|target| mesh.destination_rule(&target.destination.host));
    let pool = rule.and_then(|rule| rule.policy.as_ref()?.connection_pool.as_ref());
    let subset = match route.route.as_slice() {
        [only] => only.destination.subset.as_str(),
        _ => "",
    };
    let proxy = TcpProxy {
        stat_prefix,
        cluster_specifier: Some(specifier),
        access_log: access_log::logs(mesh),
        hash_policy: rule.map(|rule| hash::of_connections(rule, subset)).unwrap_or_default(),
        idle_timeout: pool.and_then(|pool| pool.tcp_idle_timeout).map(duration),
        max_downstream_connection_duration: pool.and_then(|pool| pool.max_connection_duration).map(duration),
        ..TcpProxy::default()
    };
    let is_mesh_tls = bound.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::IstioMutual);
    let mut filters: Vec<_> = is_mesh_tls.then(metadata_exchange).into_iter().collect();
    filters.push(filter("envoy.filters.network.tcp_proxy", Any::pack(&proxy)));
    filters
}

/// `istio.metadata_exchange` of raw connections.
fn metadata_exchange() -> Filter {
    filter("istio.metadata_exchange", metadata_exchange_config())
}

/// What both ends of a raw connection need to tell each other about themselves.
pub(super) fn metadata_exchange_config() -> Any {
    let fields = [("enable_discovery", boolean(true)), ("protocol", text("istio-peer-exchange"))];
    typed_struct("envoy.tcp.metadataexchange.config.MetadataExchange", structure(fields))
}

pub(super) fn filter(name: &str, config: Any) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(config)) }
}
