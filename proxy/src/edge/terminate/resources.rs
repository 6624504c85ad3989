//! Entrances as resources: what the control plane would send if it knew of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::{Port, Protocol};
use xds_client::Resource;
use xds_model::cluster::{
    Balancer, CircuitBreaker, Cluster, Discovery, IstioMetadata, Transport, TransportSocket, UpstreamProtocol,
};
use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};
use xds_model::http::{
    Codec, EscapedSlashes, ForwardClientCert, ForwardClientCertMode, HeadersWithUnderscores, HttpConnectionManager,
    PathNormalization, RouteSource, ServerHeader,
};
use xds_model::http2::Http2Options;
use xds_model::listener::{Entrance, FilterChain, FilterChainMatch, Listener, TcpProxy, TerminalFilter};
use xds_model::matcher::{StringMatcher, StringPattern};
use xds_model::route::{
    ConnectMode, Forward, PathMatch, Route, RouteAction, RouteConfiguration, RouteHeaders, RouteMatch, VirtualHost,
    WeightedCluster,
};
use xds_model::tls::{
    AuthoritySource, CertificateSource, DownstreamTls, SanKind, SanMatcher, TlsParameters, Validation,
};

use super::super::import::Import;
use super::config::Terminate;

/// Where Istio speaks HBONE.
const HBONE_PORT: u16 = 15008;
/// As istiod has it for gateways: time for a ClientHello, and for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// The tunnel to the other edge may have to be opened first.
const CONNECT: Duration = Duration::from_secs(20);
/// Envoy's default for connections of TCP.
const IDLE: Duration = Duration::from_secs(3600);
/// Of counters: `tcp.overlay.*`, `http.overlay.*`.
const STAT_PREFIX: &str = "overlay";

/// What all entrances have in common.
pub(in crate::edge) struct Settings<'a> {
    pub(in crate::edge) terminate: &'a Terminate,
    /// Of clients.
    pub(in crate::edge) trust_domain: &'a str,
}

/// The entrances for what is imported.
pub(super) fn resources(imports: &[Import], settings: &Settings<'_>) -> Vec<Resource> {
    let mut resources = Vec::new();
    let mut tunnels: BTreeMap<Ipv4Addr, Vec<Arc<VirtualHost>>> = BTreeMap::new();
    for import in imports {
        let endpoints: BTreeSet<_> = import.endpoints.iter().map(|one| (one.address, one.edge.as_str())).collect();
        for (address, edge) in endpoints {
            for (port, target) in &import.ports {
                let cluster = format!("overlay|{}|{edge}|{}", port.number, import.host);
                let reached_at = SocketAddr::new(address.into(), *target);
                tunnels.entry(address).or_default().push(Arc::new(virtual_host(reached_at, &cluster)));
                let entrance = Entrance::Service { host: import.host.to_ascii_lowercase(), port: port.number };
                let terminal = TerminalFilter::Tcp(Box::new(tcp_proxy(&cluster)));
                let tls = tls(settings, protocols(port));
                resources.push(Resource::Listener(Arc::new(listener(reached_at, entrance, tls, terminal))));
                resources.push(Resource::Cluster(Arc::new(to_edge(cluster, reached_at))));
            }
        }
    }
    for (address, virtual_hosts) in tunnels {
        let reached_at = SocketAddr::new(address.into(), HBONE_PORT);
        let table = format!("overlay|{address}");
        let terminal = TerminalFilter::Http(Box::new(connection_manager(table.clone())));
        let tls = tls(settings, &["h2"]);
        resources.push(Resource::Listener(Arc::new(listener(reached_at, Entrance::Hbone, tls, terminal))));
        resources.push(Resource::Route(Arc::new(RouteConfiguration {
            name: table,
            virtual_hosts,
            ignore_port_in_host_matching: false,
            headers: RouteHeaders::default(),
        })));
    }
    resources
}

/// What clients may agree on by ALPN. Their bytes go on as they are, so that it is what the service speaks.
fn protocols(port: &Port) -> &'static [&'static str] {
    match port.protocol {
        Protocol::Http => &["http/1.1"],
        Protocol::Http2 | Protocol::Grpc => &["h2"],
        Protocol::Tls | Protocol::Tcp | Protocol::Udp => &[],
    }
}

fn listener(address: SocketAddr, entrance: Entrance, tls: DownstreamTls, terminal: TerminalFilter) -> Listener {
    let chain = FilterChain {
        name: String::new(),
        matches: FilterChainMatch::default(),
        tls: Some(tls),
        transport_socket_connect_timeout: Some(HANDSHAKE),
        terminal,
    };
    Listener {
        name: format!("overlay|{address}"),
        address,
        proxy_protocol: false,
        tls_inspector: true,
        listener_filters_timeout: Some(HANDSHAKE),
        ignore_global_connection_limit: false,
        bypass_overload_manager: false,
        filter_chains: vec![chain],
        default_filter_chain: None,
        access_log: Vec::new(),
        entrance: Some(entrance),
    }
}

/// The certificate of a client must be one of our mesh.
fn tls(settings: &Settings<'_>, alpn: &[&str]) -> DownstreamTls {
    let (certificate, authorities) = settings.terminate.secrets();
    let of_mesh = StringPattern::Prefix(format!("spiffe://{}/", settings.trust_domain));
    let validation = Validation {
        authorities: Some(AuthoritySource::Secret(authorities)),
        subject_alt_names: vec![SanMatcher {
            kind: Some(SanKind::Uri),
            value: StringMatcher { pattern: of_mesh, ignore_case: false },
        }],
        ..Validation::default()
    };
    DownstreamTls {
        certificates: vec![CertificateSource::Secret(certificate)],
        validation: Some(validation),
        require_client_certificate: true,
        parameters: TlsParameters::default(),
        alpn: alpn.iter().map(|&protocol| protocol.to_owned()).collect(),
    }
}

fn tcp_proxy(cluster: &str) -> TcpProxy {
    TcpProxy {
        stat_prefix: STAT_PREFIX.to_owned(),
        clusters: vec![target(cluster)],
        idle_timeout: Some(IDLE),
        max_downstream_connection_duration: None,
        hashes_source: false,
        access_log: Vec::new(),
    }
}

fn target(cluster: &str) -> WeightedCluster {
    WeightedCluster { name: cluster.to_owned(), weight: 1, headers: RouteHeaders::default(), host_rewrite: None }
}

/// The way to an edge: an endpoint whose address stands for it.
fn to_edge(name: String, address: SocketAddr) -> Cluster {
    let endpoint = Endpoint {
        address: EndpointAddress::Socket(address),
        additional_addresses: Vec::new(),
        weight: 1,
        health: Health::Healthy,
        transport_match: Vec::new(),
        workload: None,
    };
    let group = LocalityEndpoints { locality: Locality::default(), priority: 0, weight: 1, endpoints: vec![endpoint] };
    let assignment =
        ClusterLoadAssignment { cluster_name: name.clone(), localities: vec![group], overprovisioning_factor: 140 };
    Cluster {
        name,
        discovery: Discovery::Static(assignment),
        balancer: Balancer::RoundRobin,
        slow_start: None,
        panic_threshold: 0,
        weighs_localities: false,
        outlier_detection: None,
        connect_timeout: CONNECT,
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

/// Takes CONNECT to an address and port that stand for a port of a service.
fn virtual_host(address: SocketAddr, cluster: &str) -> VirtualHost {
    let forward = Forward {
        clusters: vec![target(cluster)],
        cluster_not_found_status: 503,
        timeout: None,
        idle_timeout: None,
        grpc_timeout: None,
        max_stream_duration: None,
        retry: None,
        path_rewrite: None,
        host_rewrite: None,
        append_x_forwarded_host: false,
        connect: ConnectMode::Terminated,
        hash_policies: Vec::new(),
    };
    let matches = RouteMatch { path: PathMatch::Connect, case_sensitive: true, headers: Vec::new(), query: Vec::new() };
    let route = Route {
        name: String::new(),
        matches,
        action: RouteAction::Forward(Box::new(forward)),
        headers: RouteHeaders::default(),
        decorator_operation: None,
        istio_config: None,
    };
    VirtualHost {
        name: cluster.to_owned(),
        domains: vec![address.to_string()],
        routes: vec![route],
        require_tls: false,
        include_request_attempt_count: false,
        retry: None,
        headers: RouteHeaders::default(),
    }
}

/// HTTP/2 alone. What it says of headers and paths concerns nobody: nothing but CONNECT is taken, and its head goes no further.
fn connection_manager(table: String) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: STAT_PREFIX.to_owned(),
        codec: Codec::Http2,
        http2: Http2Options::DOWNSTREAM,
        routes: RouteSource::Rds(table),
        filters: Vec::new(),
        use_remote_address: true,
        xff_num_trusted_hops: 0,
        internal_addresses: Vec::new(),
        forward_client_cert: ForwardClientCert {
            mode: ForwardClientCertMode::Sanitize,
            subject: false,
            cert: false,
            chain: false,
            dns: false,
            uri: false,
        },
        server_name: "selvedge".to_owned(),
        server_header: ServerHeader::Overwrite,
        generate_request_id: false,
        preserve_external_request_id: false,
        tracing: false,
        always_set_request_id_in_response: false,
        append_x_forwarded_port: false,
        skip_xff_append: false,
        proxy_100_continue: false,
        accept_http_10: false,
        path_normalization: PathNormalization {
            normalize: false,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::KeepUnchanged,
        },
        headers_with_underscores: HeadersWithUnderscores::Allow,
        upgrades: Vec::new(),
        stream_idle_timeout: Some(IDLE),
        request_timeout: None,
        request_headers_timeout: None,
        idle_timeout: Some(IDLE),
        max_connection_duration: None,
        max_stream_duration: None,
        max_requests_per_connection: None,
        max_request_headers_kb: 60,
        max_headers_count: 100,
        access_log: Vec::new(),
    }
}
