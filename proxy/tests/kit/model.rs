//! Models as istiod's resources become them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use xds_model::cluster::{
    Balancer, CircuitBreaker, Cluster, Discovery, IstioMetadata, Transport, TransportSocket, UpstreamProtocol,
};
use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};
use xds_model::http2::Http2Options;
use xds_model::listener::{FilterChain, FilterChainMatch, Listener, TerminalFilter};
use xds_model::route::{RouteHeaders, WeightedCluster};

/// A listener on a free port of an address of its own: sockets are known by the address that was asked for.
pub(crate) fn listener(name: &str, filter_chains: Vec<FilterChain>) -> Listener {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Listener {
        name: name.to_owned(),
        address: ([127, 77, high, low], 0).into(),
        proxy_protocol: false,
        tls_inspector: filter_chains.iter().any(|chain| chain.tls.is_some() || !chain.matches.server_names.is_empty()),
        listener_filters_timeout: Some(Duration::from_secs(15)),
        ignore_global_connection_limit: false,
        bypass_overload_manager: false,
        filter_chains,
        default_filter_chain: None,
        access_log: Vec::new(),
        entrance: None,
    }
}

/// A chain for all connections, in the clear.
pub(crate) fn filter_chain(terminal: TerminalFilter) -> FilterChain {
    FilterChain {
        name: String::new(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: Some(Duration::from_secs(15)),
        terminal,
    }
}

/// Clusters that share something by their weights.
pub(crate) fn weighted_clusters(clusters: &[(&str, u32)]) -> Vec<WeightedCluster> {
    let clusters = clusters.iter().map(|(name, weight)| WeightedCluster {
        name: (*name).to_owned(),
        weight: *weight,
        headers: RouteHeaders::default(),
        host_rewrite: None,
    });
    clusters.collect()
}

/// Endpoints in the clear.
pub(crate) fn assignment(cluster: &str, addresses: &[SocketAddr]) -> ClusterLoadAssignment {
    let endpoints = addresses.iter().map(|address| Endpoint {
        address: EndpointAddress::Socket(*address),
        additional_addresses: Vec::new(),
        weight: 1,
        health: Health::Healthy,
        transport_match: Vec::new(),
        workload: None,
    });
    let group =
        LocalityEndpoints { locality: Locality::default(), priority: 0, weight: 1, endpoints: endpoints.collect() };
    ClusterLoadAssignment { cluster_name: cluster.to_owned(), localities: vec![group], overprovisioning_factor: 140 }
}

/// A cluster with its endpoints, taken in turn.
pub(crate) fn cluster(name: &str, addresses: &[SocketAddr]) -> Cluster {
    discovered(name, Discovery::Static(assignment(name, addresses)))
}

/// A cluster whose endpoints are told apart from it.
pub(crate) fn eds_cluster(name: &str) -> Cluster {
    discovered(name, Discovery::Eds(name.to_owned()))
}

fn discovered(name: &str, discovery: Discovery) -> Cluster {
    Cluster {
        name: name.to_owned(),
        discovery,
        balancer: Balancer::RoundRobin,
        slow_start: None,
        panic_threshold: 0,
        outlier_detection: None,
        weighs_localities: false,
        connect_timeout: Duration::from_secs(10),
        protocol: UpstreamProtocol::Http1,
        http2: Http2Options::UPSTREAM,
        idle_timeout: None,
        max_requests_per_connection: None,
        tcp_keepalive: None,
        limits: CircuitBreaker::UNLIMITED,
        transport: Transport { matches: Vec::new(), default: TransportSocket::RawBuffer },
        istio: IstioMetadata::default(),
    }
}
