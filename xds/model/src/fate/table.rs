//! The fates of all fields and extensions, and `docs/support.md`, which is written from them.

use std::fmt::Write;

use xds_api::envoy::config::accesslog::v3 as accesslog;
use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::config::endpoint::v3 as endpoint;
use xds_api::envoy::config::listener::v3 as listener;
use xds_api::envoy::config::rbac::v3 as rbac;
use xds_api::envoy::config::route::v3 as route;
use xds_api::envoy::extensions::access_loggers::{file::v3 as file, stream::v3 as stream};
use xds_api::envoy::extensions::filters::http::{
    rbac::v3 as rbac_filter, router::v3 as router, wasm::v3 as wasm_filter,
};
use xds_api::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol;
use xds_api::envoy::extensions::filters::listener::tls_inspector::v3 as tls_inspector;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use xds_api::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
use xds_api::envoy::extensions::request_id::uuid::v3 as uuid;
use xds_api::envoy::extensions::retry::priority::previous_priorities::v3 as previous_priorities;
use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;
use xds_api::envoy::extensions::upstreams::http::v3 as upstreams;
use xds_api::envoy::extensions::wasm::v3 as wasm;
use xds_api::envoy::r#type::matcher::v3 as matcher;
use xds_api::envoy::r#type::v3 as types;
use xds_api::istio::envoy::config::filter::http::alpn::v2alpha1 as alpn;

use crate::fate::{Anywhere, Downstream, Extension, Fate, Fates, Field, InSecret, Place, Upstream};

/// A message and the fates of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageFates {
    /// Full name.
    pub message: &'static str,
    /// Where it is used, if that makes a difference; else empty.
    pub place: &'static str,
    /// The fields, oneofs resolved into their members.
    pub fields: &'static [Field],
}

/// The extensions that can stand in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionTable {
    /// What they are called, such as "HTTP filter".
    pub kind: &'static str,
    /// The extensions; all others are refused.
    pub rows: &'static [Extension],
}

/// Every message that is converted, resource by resource.
pub fn table() -> Vec<MessageFates> {
    [listeners(), routes(), clusters(), endpoints(), secrets(), extension_configs(), shared()].concat()
}

/// Every place for extensions.
pub fn extensions() -> Vec<ExtensionTable> {
    vec![
        crate::listener::wire::LISTENER_FILTERS,
        crate::listener::wire::NETWORK_FILTERS,
        crate::listener::wire::TRANSPORT_SOCKETS,
        crate::http::wire::HTTP_FILTERS,
        crate::http::wire::REQUEST_ID_EXTENSIONS,
        crate::access_log::wire::ACCESS_LOGGERS,
        crate::access_log::wire::FORMATTERS,
        crate::route::wire::HOST_PREDICATES,
        crate::route::wire::PRIORITIES,
        crate::cluster::wire::PROTOCOL_OPTIONS,
        crate::cluster::wire::TRANSPORT_SOCKETS,
        crate::cluster::wire::UPSTREAM_FILTERS,
        crate::cluster::wire::DNS_RESOLVERS,
    ]
}

/// The tables as a document.
pub fn support_markdown() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n## Extensions\n\nWhat is not listed is refused.\n");
    for table in extensions() {
        let rows = table.rows.iter().map(|row| (row.message, row.fate, note(row)));
        section(&mut text, table.kind, rows);
    }
    text.push_str("\n## Fields\n");
    for message in table() {
        let title = match message.place {
            "" => message.message.to_owned(),
            place => format!("{} ({place})", message.message),
        };
        section(&mut text, &title, message.fields.iter().map(|field| (field.name, field.fate, field.note.to_owned())));
    }
    text
}

const HEAD: &str = "\
# What is supported

This file is generated from the code that converts resources (`cargo xtask support`). Every field and every extension has one of
three fates:

* **implemented**: it does what Envoy's documentation says, within the limits given here;
* **no-op**: it is accepted and has no effect; it is counted when it is set;
* **refused**: a resource that sets it is rejected, with its name and the path of the field. A route is refused alone (it answers
  500), and so is an endpoint (it is left out); the rest of their resource is used.

Messages that are not listed are inside fields that are no-ops or refused.
";

fn section(text: &mut String, title: &str, rows: impl Iterator<Item = (&'static str, Fate, String)>) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\n### {title}\n\n| | fate | |\n|---|---|---|\n");
    for (name, fate, note) in rows {
        let fate = match fate {
            Fate::Implemented => "implemented",
            Fate::NoOp => "no-op",
            Fate::Refused => "refused",
        };
        let _ = writeln!(text, "| `{name}` | {fate} | {note} |");
    }
}

fn note(row: &Extension) -> String {
    if row.only_empty { format!("only without settings: {}", row.note) } else { row.note.to_owned() }
}

fn row<M: Fates<P>, P: Place>() -> MessageFates {
    MessageFates { message: M::message(), place: P::NAME, fields: M::FIELDS }
}

/// A list of messages whose place makes no difference.
macro_rules! rows {
    ($($message:ty),* $(,)?) => { vec![$(row::<$message, Anywhere>()),*] };
}

fn listeners() -> Vec<MessageFates> {
    let mut rows = rows![
        listener::Listener,
        listener::ListenerFilter,
        proxy_protocol::ProxyProtocol,
        tls_inspector::TlsInspector,
        listener::FilterChain,
        listener::FilterChainMatch,
        listener::Filter,
        tcp_proxy::TcpProxy,
        types::HashPolicy,
        tcp_proxy::tcp_proxy::WeightedCluster,
        tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight,
        tls::DownstreamTlsContext,
        http::HttpConnectionManager,
        http::Rds,
        http::HttpFilter,
        http::RequestIdExtension,
        http::http_connection_manager::InternalAddressConfig,
        http::http_connection_manager::SetCurrentClientCertDetails,
        http::http_connection_manager::Tracing,
        http::http_connection_manager::UpgradeConfig,
        uuid::UuidRequestIdConfig,
        alpn::FilterConfig,
        alpn::filter_config::AlpnOverride,
        router::Router,
        rbac_filter::Rbac,
        rbac::Rbac,
        core::ExtensionConfigSource,
    ];
    rows.push(row::<core::HttpProtocolOptions, Downstream>());
    rows.push(row::<core::Http2ProtocolOptions, Downstream>());
    rows.extend(rows![
        accesslog::AccessLog,
        accesslog::AccessLogFilter,
        accesslog::StatusCodeFilter,
        accesslog::ComparisonFilter,
        accesslog::AndFilter,
        accesslog::OrFilter,
        accesslog::ResponseFlagFilter,
        file::FileAccessLog,
        stream::StdoutAccessLog,
        stream::StderrAccessLog,
        core::SubstitutionFormatString,
    ]);
    rows
}

fn routes() -> Vec<MessageFates> {
    rows![
        route::RouteConfiguration,
        route::VirtualHost,
        route::Route,
        route::Decorator,
        route::RouteMatch,
        route::HeaderMatcher,
        route::QueryParameterMatcher,
        route::RouteAction,
        route::route_action::HashPolicy,
        route::route_action::hash_policy::Header,
        route::route_action::hash_policy::Cookie,
        route::route_action::hash_policy::CookieAttribute,
        route::route_action::hash_policy::ConnectionProperties,
        route::route_action::hash_policy::QueryParameter,
        route::route_action::MaxStreamDuration,
        route::route_action::UpgradeConfig,
        route::route_action::upgrade_config::ConnectConfig,
        route::WeightedCluster,
        route::weighted_cluster::ClusterWeight,
        route::RetryPolicy,
        route::retry_policy::RetryBackOff,
        route::retry_policy::RetryHostPredicate,
        route::retry_policy::RetryPriority,
        previous_priorities::PreviousPrioritiesConfig,
        route::RedirectAction,
        route::DirectResponseAction,
        core::HeaderValueOption,
        core::HeaderValue,
    ]
}

fn clusters() -> Vec<MessageFates> {
    let mut rows = rows![
        cluster::Cluster,
        cluster::cluster::EdsClusterConfig,
        cluster::cluster::CommonLbConfig,
        cluster::cluster::LeastRequestLbConfig,
        cluster::OutlierDetection,
        cluster::cluster::RoundRobinLbConfig,
        cluster::cluster::SlowStartConfig,
        core::RuntimeDouble,
        cluster::cluster::RingHashLbConfig,
        cluster::cluster::MaglevLbConfig,
        cluster::cluster::common_lb_config::ConsistentHashingLbConfig,
        cluster::cluster::TransportSocketMatch,
        cluster::CircuitBreakers,
        cluster::circuit_breakers::Thresholds,
        cluster::circuit_breakers::thresholds::RetryBudget,
        cluster::Filter,
        cluster::UpstreamConnectionOptions,
        core::TcpKeepalive,
        upstreams::HttpProtocolOptions,
        upstreams::http_protocol_options::ExplicitHttpConfig,
        upstreams::http_protocol_options::UseDownstreamHttpConfig,
        upstreams::http_protocol_options::AutoHttpConfig,
        core::UpstreamHttpProtocolOptions,
        tls::UpstreamTlsContext,
    ];
    rows.push(row::<core::HttpProtocolOptions, Upstream>());
    rows.push(row::<core::Http2ProtocolOptions, Upstream>());
    rows
}

fn endpoints() -> Vec<MessageFates> {
    rows![
        endpoint::ClusterLoadAssignment,
        endpoint::cluster_load_assignment::Policy,
        endpoint::LocalityLbEndpoints,
        endpoint::LbEndpoint,
        endpoint::Endpoint,
        endpoint::endpoint::AdditionalAddress,
        core::Locality,
    ]
}

fn secrets() -> Vec<MessageFates> {
    let mut rows = rows![tls::Secret];
    rows.push(row::<tls::CertificateValidationContext, InSecret>());
    rows
}

/// What an [`ExtensionConfig`](crate::http::ExtensionConfig) alone can be.
fn extension_configs() -> Vec<MessageFates> {
    rows![wasm_filter::Wasm, wasm::PluginConfig]
}

fn shared() -> Vec<MessageFates> {
    rows![
        tls::CommonTlsContext,
        tls::common_tls_context::CombinedCertificateValidationContext,
        tls::CertificateValidationContext,
        tls::SubjectAltNameMatcher,
        tls::TlsCertificate,
        tls::TlsParameters,
        tls::SdsSecretConfig,
        core::Http1ProtocolOptions,
        core::KeepaliveSettings,
        core::Address,
        core::SocketAddress,
        core::Pipe,
        core::CidrRange,
        core::ConfigSource,
        core::ApiConfigSource,
        core::GrpcService,
        core::grpc_service::EnvoyGrpc,
        core::DataSource,
        core::Metadata,
        core::TransportSocket,
        core::TypedExtensionConfig,
        core::RuntimeUInt32,
        matcher::StringMatcher,
        matcher::RegexMatcher,
        matcher::RegexMatchAndSubstitute,
        types::Int64Range,
        types::Percent,
    ]
}
