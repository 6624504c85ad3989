//! Listeners and their filter chains (`envoy.config.listener.v3`).

mod overlap;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::access_log::AccessLog;
use crate::http::{DiscoveredFilter, HttpConnectionManager, HttpFilter};
use crate::route::WeightedCluster;
use crate::tls::DownstreamTls;

pub use overlap::{Overlap, first_overlap};

/// A port to listen on, and what to do with its connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Resource name, `<address>_<port>` from istiod.
    pub name: String,
    /// Where to bind.
    pub address: SocketAddr,
    /// The PROXY protocol header (v1 or v2) is required on every connection.
    pub proxy_protocol: bool,
    /// The TLS ClientHello is inspected before a filter chain is chosen.
    pub tls_inspector: bool,
    /// How long the listener filters may take before the connection is closed; `None` for no limit. Envoy's default is 15 s.
    pub listener_filters_timeout: Option<Duration>,
    /// Its connections do not count towards the limit of all listeners together (`ignore_global_conn_limit`).
    pub ignore_global_connection_limit: bool,
    /// Neither that limit nor overload actions concern its connections.
    pub bypass_overload_manager: bool,
    /// The chains to choose from; the most specific match wins. No two overlap ([`first_overlap`]).
    pub filter_chains: Vec<FilterChain>,
    /// The chain for connections that match none of `filter_chains`.
    pub default_filter_chain: Option<FilterChain>,
    /// Logs of connections that no filter chain took.
    pub access_log: Vec<AccessLog>,
    /// It lets clients of the mesh call services of other edges, which are told who calls. The control plane sends none.
    pub entrance: Option<Entrance>,
}

/// What is behind a listener that an edge has for services of other edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// A port of a service. A server name must be the one by which istiod lets clients ask for it.
    Service {
        /// Its host, lower case.
        host: String,
        /// The port.
        port: u16,
    },
    /// Tunnels (HBONE), each of which says where it leads.
    Hbone,
}

impl Listener {
    /// The HTTP filters of all chains whose configurations are resources of their own.
    pub fn discovered_filters(&self) -> impl Iterator<Item = &DiscoveredFilter> {
        let chains = self.filter_chains.iter().chain(&self.default_filter_chain);
        let filters = chains.flat_map(|chain| match &chain.terminal {
            TerminalFilter::Http(manager) => manager.filters.as_slice(),
            TerminalFilter::Tcp(_) => &[],
        });
        filters.filter_map(|filter| match filter {
            HttpFilter::Discovered(filter) => Some(&**filter),
            _ => None,
        })
    }
}

/// One way to treat a connection: transport, then exactly one terminal network filter.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterChain {
    /// Name, often empty.
    pub name: String,
    /// Which connections it takes.
    pub matches: FilterChainMatch,
    /// TLS termination; `None` for clear text or pass-through.
    pub tls: Option<DownstreamTls>,
    /// Bound on the TLS handshake (`transport_socket_connect_timeout`).
    pub transport_socket_connect_timeout: Option<Duration>,
    /// What happens to the bytes.
    pub terminal: TerminalFilter,
}

/// Conditions of a chain; an empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterChainMatch {
    /// Destination port.
    pub destination_port: Option<u16>,
    /// Destination address ranges.
    pub destination_ranges: Vec<IpNet>,
    /// Server names from the ClientHello, lower case: exact, or `*.suffix`.
    pub server_names: Vec<String>,
    /// `tls` or `raw_buffer`; `None` for either.
    pub transport_protocol: Option<TransportProtocol>,
    /// Protocols of the ClientHello's ALPN extension; any of them matches.
    pub application_protocols: Vec<String>,
    /// Source address ranges.
    pub source_ranges: Vec<IpNet>,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportProtocol {
    /// A TLS ClientHello.
    Tls,
    /// Anything else.
    RawBuffer,
}

/// The last network filter of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum TerminalFilter {
    /// HTTP.
    Http(Box<HttpConnectionManager>),
    /// Opaque bytes.
    Tcp(Box<TcpProxy>),
}

/// `envoy.filters.network.tcp_proxy`.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpProxy {
    /// Prefix of its counters.
    pub stat_prefix: String,
    /// Where to connect, by weight; never empty. A single cluster has weight 1.
    pub clusters: Vec<WeightedCluster>,
    /// Close after this long without a byte; `None` for never. Envoy's default is 1 h.
    pub idle_timeout: Option<Duration>,
    /// Close after this long in any case.
    pub max_downstream_connection_duration: Option<Duration>,
    /// Where the cluster balances by hash, connections are hashed by the address of the client; else by nothing, at random.
    pub hashes_source: bool,
    /// Logs of connections.
    pub access_log: Vec<AccessLog>,
}
