//! Models as istiod's resources become them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use xds_model::access_log::{AccessLog, AccessLogSink, LogFormat};
use xds_model::cluster::{
    Balancer, CircuitBreaker, Cluster, Discovery, IstioMetadata, Transport, TransportSocket, UpstreamProtocol,
};
use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};
use xds_model::format::Format;
use xds_model::listener::{FilterChain, FilterChainMatch, Listener, TcpProxy, TerminalFilter};
use xds_model::route::{RouteHeaders, WeightedCluster};
use xds_model::secret::{CertificateAuthorities, Secret, SecretContent};
use xds_model::tls::{
    AuthoritySource, CertificateSource, DownstreamTls, SecretReference, SecretServer, TlsParameters, Validation,
};

use super::Issued;

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
        filter_chains,
        default_filter_chain: None,
        access_log: Vec::new(),
    }
}

/// A chain for all connections that sends them to a cluster.
pub(crate) fn tcp_chain(cluster: &str) -> FilterChain {
    weighted(&[(cluster, 1)])
}

/// A chain for all connections that shares them out.
pub(crate) fn weighted(clusters: &[(&str, u32)]) -> FilterChain {
    let clusters = clusters.iter().map(|(name, weight)| WeightedCluster {
        name: (*name).to_owned(),
        weight: *weight,
        headers: RouteHeaders::default(),
        host_rewrite: None,
    });
    FilterChain {
        name: String::new(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: Some(Duration::from_secs(15)),
        terminal: TerminalFilter::Tcp(Box::new(TcpProxy {
            stat_prefix: "test".to_owned(),
            clusters: clusters.collect(),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_downstream_connection_duration: None,
            access_log: Vec::new(),
        })),
    }
}

/// A chain for TLS connections to these names, passed through.
pub(crate) fn passthrough(server_names: &[&str], cluster: &str) -> FilterChain {
    let mut chain = tcp_chain(cluster);
    chain.matches.server_names = server_names.iter().map(|name| (*name).to_owned()).collect();
    chain
}

/// TLS with the certificate `certificate`, a secret.
pub(crate) fn server_tls(certificate: &str) -> DownstreamTls {
    DownstreamTls {
        certificates: vec![CertificateSource::Secret(reference(certificate))],
        validation: None,
        require_client_certificate: false,
        parameters: TlsParameters::default(),
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }
}

/// Clients' certificates must be signed by `authority`, a secret.
pub(crate) fn trust(authority: &str) -> Validation {
    Validation { authorities: Some(AuthoritySource::Secret(reference(authority))), ..Validation::default() }
}

/// Authorities as a secret.
pub(crate) fn secret(name: &str, authorities: String) -> Secret {
    let certificates = authorities.into_bytes().into();
    let content = SecretContent::Authorities(CertificateAuthorities { certificates, crl: Default::default() });
    Secret { name: name.to_owned(), content }
}

/// A certificate as a secret.
pub(crate) fn certificate_secret(name: &str, issued: &Issued) -> Secret {
    Secret { name: name.to_owned(), content: SecretContent::Certificate(issued.as_secret()) }
}

/// Endpoints at addresses, in the clear.
pub(crate) fn cluster(name: &str, addresses: &[SocketAddr]) -> Cluster {
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
    let assignment =
        ClusterLoadAssignment { cluster_name: name.to_owned(), localities: vec![group], overprovisioning_factor: 140 };
    Cluster {
        name: name.to_owned(),
        discovery: Discovery::Static(assignment),
        balancer: Balancer::RoundRobin,
        panic_threshold: 0,
        connect_timeout: Duration::from_secs(10),
        protocol: UpstreamProtocol::Http1,
        idle_timeout: None,
        max_requests_per_connection: None,
        tcp_keepalive: None,
        limits: CircuitBreaker::UNLIMITED,
        transport: Transport { matches: Vec::new(), default: TransportSocket::RawBuffer },
        istio: IstioMetadata::default(),
    }
}

/// A text log into a file.
pub(crate) fn log_to(path: &Path, format: &str) -> AccessLog {
    AccessLog {
        sink: AccessLogSink::File {
            path: path.to_str().unwrap().to_owned(),
            format: LogFormat::Text(Format::parse(&format!("{format}\n")).unwrap()),
        },
        filter: None,
    }
}

fn reference(name: &str) -> SecretReference {
    SecretReference { name: name.to_owned(), server: SecretServer::Ads }
}
