//! Clusters: named groups of endpoints and how to reach them (`envoy.config.cluster.v3`).

mod outlier;
pub(crate) mod wire;

use std::time::Duration;

pub use self::outlier::{Consecutive, OutlierDetection};
use crate::endpoint::ClusterLoadAssignment;
use crate::http2::Http2Options;
use crate::tls::UpstreamTls;

/// A destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Resource name, `outbound|<port>|<subset>|<host>` from istiod.
    pub name: String,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// How an endpoint is picked.
    pub balancer: Balancer,
    /// How endpoints that are new are spared; `None` if they are not. Not where the hash of a request decides, or chance.
    pub slow_start: Option<SlowStart>,
    /// Below this share of healthy hosts (percent) health is ignored; 0 switches that off. Envoy's default is 50.
    pub panic_threshold: u8,
    /// Localities of a priority share by their own weights first, endpoints within each.
    pub weighs_localities: bool,
    /// Which endpoints are left out for a while; `None` for none.
    pub outlier_detection: Option<OutlierDetection>,
    /// Bound on a TCP connect; Envoy's default is 5 s, istiod sends 10 s.
    pub connect_timeout: Duration,
    /// What HTTP version is spoken to it.
    pub protocol: UpstreamProtocol,
    /// Settings of HTTP/2, where that is spoken.
    pub http2: Http2Options,
    /// Close an upstream connection unused for this long; `None` for never. Envoy's default is 1 h.
    pub idle_timeout: Option<Duration>,
    /// Requests per upstream connection; `None` for any number.
    pub max_requests_per_connection: Option<u32>,
    /// TCP keep-alive probes.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Circuit breaker of the default priority.
    pub limits: CircuitBreaker,
    /// How connections are secured.
    pub transport: Transport,
    /// Istio's facts about it.
    pub istio: IstioMetadata,
}

/// Where endpoints come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Discovery {
    /// EDS over ADS, under this name.
    Eds(String),
    /// In the cluster itself.
    Static(ClusterLoadAssignment),
    /// DNS names in the cluster itself; every address is an endpoint.
    StrictDns(Dns),
    /// As before; only the first address is used, for new connections.
    LogicalDns(Dns),
}

/// A cluster resolved by DNS.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// Names and ports, with their weights and localities.
    pub endpoints: ClusterLoadAssignment,
    /// Which address families are asked for.
    pub family: DnsFamily,
    /// Time between look-ups, unless the record's TTL says otherwise.
    pub refresh_rate: Duration,
    /// Whether the record's TTL counts.
    pub respect_ttl: bool,
}

/// `DnsLookupFamily`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFamily {
    /// IPv6 if there is any, else IPv4.
    Auto,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
    /// IPv4 if there is any, else IPv6.
    V4Preferred,
    /// Both.
    All,
}

/// `lb_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// The less busy of `choices` random endpoints.
    LeastRequest {
        /// How many are looked at; 2 by default.
        choices: u32,
    },
    /// In turn, by weight.
    RoundRobin,
    /// Any; weights of endpoints do not count, as in Envoy.
    Random,
    /// By the hash of the request: the endpoint whose point comes next on a ring (`RING_HASH`).
    RingHash {
        /// Points on the ring, at least; 1024 by default.
        minimum_size: u64,
        /// Points on the ring, at most; 8388608 by default.
        maximum_size: u64,
    },
    /// By the hash of the request: the endpoint of a place in a table (`MAGLEV`).
    Maglev {
        /// Places of the table, a prime; 65537 by default.
        table_size: u64,
    },
}

impl Balancer {
    /// Whether the hash of a request decides.
    pub fn is_by_hash(self) -> bool {
        matches!(self, Self::RingHash { .. } | Self::Maglev { .. })
    }
}

/// New endpoints get their full share only after a while (`SlowStartConfig`): of their weight they have the share of `window` that
/// has passed, to the power of 1 / `aggression`, and at least `minimum`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowStart {
    /// How long an endpoint counts as new.
    pub window: Duration,
    /// How the share grows: 1 evenly, more faster at first.
    pub aggression: f64,
    /// The least share of its weight that an endpoint has, of 1.
    pub minimum: f64,
}

/// `HttpProtocolOptions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// What the client speaks.
    UseDownstream,
    /// What ALPN chooses; all of the cluster's connections are secured by TLS.
    Auto,
}

/// `core.v3.TcpKeepalive`; absent values are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Unanswered probes before the connection is dead.
    pub probes: Option<u32>,
    /// Silence before the first probe.
    pub time: Option<Duration>,
    /// Between probes.
    pub interval: Option<Duration>,
}

/// `CircuitBreakers.Thresholds`, counted over the whole process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// Connections.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending_requests: u32,
    /// Requests under way.
    pub max_requests: u32,
    /// Retries under way.
    pub max_retries: u32,
    /// In place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
}

/// `CircuitBreakers.Thresholds.RetryBudget`: so many retries as requests allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries under way, in percent of the requests under way.
    pub percent: f64,
    /// So many are allowed however few requests there are.
    pub min_retry_concurrency: u32,
}

impl CircuitBreaker {
    /// What istiod sends when nobody asked for a limit.
    pub const UNLIMITED: Self = Self {
        max_connections: u32::MAX,
        max_pending_requests: u32::MAX,
        max_requests: u32::MAX,
        max_retries: u32::MAX,
        retry_budget: None,
    };
}

/// `transport_socket` and `transport_socket_matches`.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// Tried in order against the endpoint's metadata.
    pub matches: Vec<TransportMatch>,
    /// Used when none of them fits.
    pub default: TransportSocket,
}

/// One way to reach endpoints with certain metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportMatch {
    /// Name, `tlsMode-istio` or `tlsMode-disabled` from istiod.
    pub name: String,
    /// Keys and values that the endpoint's `envoy.transport_socket_match` metadata must hold, sorted; empty fits all.
    pub criteria: Vec<(String, String)>,
    /// How.
    pub socket: TransportSocket,
}

/// How bytes reach an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum TransportSocket {
    /// As they are.
    RawBuffer,
    /// Over TLS.
    Tls(Box<UpstreamTls>),
}

/// Cluster metadata under `istio`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IstioMetadata {
    /// The services it stands for.
    pub services: Vec<IstioService>,
    /// `alpn_override: "false"` switches `istio.alpn` off for it.
    pub alpn_override_disabled: bool,
    /// Outside the mesh.
    pub external: bool,
    /// DestinationRule subset.
    pub subset: Option<String>,
    /// Path of the DestinationRule.
    pub config: Option<String>,
}

/// One entry of `istio.services`.
#[derive(Clone, Debug, PartialEq)]
pub struct IstioService {
    /// Host name.
    pub host: String,
    /// Short name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}
