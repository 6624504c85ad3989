//! What the workers are given: compiled configuration, immutable, shared by reference count.
//!
//! Control compiles resources of the model into these and publishes each one by name (see [`super::publish`]). A worker never
//! looks at the model's names or parses anything while it serves a request.

use std::sync::Arc;

use balance::Endpoints;
use route::{FilterChainTable, RouteTable};
use xds_model::cluster::Cluster;
use xds_model::http::{HttpConnectionManager, HttpFilter};
use xds_model::listener::{Listener, TcpProxy};

use crate::listener::socket::ListeningSockets;
use crate::telemetry::access_log::AccessLogger;
use crate::tls::{ClientTls, ServerTls};

/// One listener, ready to serve.
#[derive(Debug)]
pub struct ListenerSnapshot {
    /// As the control plane said.
    pub model: Arc<Listener>,
    /// Bound by control; a worker takes its own.
    pub sockets: Arc<ListeningSockets>,
    /// Which chain takes a connection.
    pub matcher: Arc<FilterChainTable>,
    /// The chains, in the order of `matcher`'s indices; the default chain, if any, comes last.
    pub chains: Arc<[Arc<ChainSnapshot>]>,
    /// Logs of connections that no chain takes.
    pub access_log: Arc<[AccessLogger]>,
}

/// One filter chain.
#[derive(Debug)]
pub struct ChainSnapshot {
    /// Transport.
    pub transport: ChainTransport,
    /// What happens to the bytes.
    pub application: Application,
}

/// How a chain's connections are secured.
#[derive(Debug, Clone)]
pub enum ChainTransport {
    /// Not at all.
    Raw,
    /// By TLS.
    Tls(Arc<ServerTls>),
    /// By TLS, but a secret has not arrived: connections of this chain are closed, as Envoy does.
    Waiting(Arc<str>),
}

/// The terminal filter of a chain.
#[derive(Debug)]
pub enum Application {
    /// HTTP.
    Http(Arc<HttpSnapshot>),
    /// Opaque bytes.
    Tcp(Arc<TcpSnapshot>),
}

/// An HTTP connection manager.
#[derive(Debug)]
pub struct HttpSnapshot {
    /// Name of the filter chain, for logs.
    pub chain: Box<str>,
    /// As the control plane said.
    pub model: HttpConnectionManager,
    /// The filters of `model` with the configurations that were discovered; [`HttpFilter::Discovered`] is one without any.
    pub filters: Vec<HttpFilter>,
    /// Where requests are routed.
    pub routes: Routes,
    /// Logs of requests.
    pub access_log: Arc<[AccessLogger]>,
}

/// Where an HTTP connection manager's route table comes from.
#[derive(Debug, Clone)]
pub enum Routes {
    /// A published table, looked up by name for every request, so that a new table counts at once.
    Named(Arc<str>),
    /// Part of the listener.
    Inline(Arc<RouteTable>),
}

/// A TCP proxy.
#[derive(Debug)]
pub struct TcpSnapshot {
    /// Name of the filter chain, for logs.
    pub chain: Box<str>,
    /// As the control plane said.
    pub model: TcpProxy,
    /// Logs of connections.
    pub access_log: Arc<[AccessLogger]>,
}

/// One cluster that something refers to.
#[derive(Debug)]
pub struct ClusterSnapshot {
    /// As the control plane said.
    pub model: Arc<Cluster>,
    /// Its endpoints; `None` until they are known (EDS, DNS): requests wait, as for a warming cluster in Envoy.
    pub endpoints: Option<Arc<Endpoints>>,
    /// How endpoints are reached: one for each entry of `model.transport.matches`, then the default.
    pub transports: Vec<ClientTransport>,
}

/// How one kind of endpoint is reached.
#[derive(Debug, Clone)]
pub enum ClientTransport {
    /// Without security.
    Raw,
    /// By TLS.
    Tls(Arc<ClientTls>),
    /// By TLS, but a secret has not arrived: connecting fails.
    Waiting(Arc<str>),
}
