//! The HTTP connection manager (`envoy.extensions.filters.network.http_connection_manager.v3`).

pub(crate) mod wire;

use std::time::Duration;

use ipnet::IpNet;

use crate::access_log::AccessLog;
use crate::http2::Http2Options;
use crate::route::RouteConfiguration;

/// How HTTP is spoken on a filter chain.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConnectionManager {
    /// Prefix of its counters.
    pub stat_prefix: String,
    /// Which versions of HTTP are spoken.
    pub codec: Codec,
    /// Settings of HTTP/2.
    pub http2: Http2Options,
    /// Where its routes come from.
    pub routes: RouteSource,
    /// The HTTP filters, in order, the router last and left out.
    pub filters: Vec<HttpFilter>,
    /// The peer's address is the client's (`use_remote_address`): we are an edge.
    pub use_remote_address: bool,
    /// How many proxies in front of us may be believed (`xff_num_trusted_hops`).
    pub xff_num_trusted_hops: u32,
    /// Addresses that count as internal.
    pub internal_addresses: Vec<IpNet>,
    /// What happens to `x-forwarded-client-cert`.
    pub forward_client_cert: ForwardClientCert,
    /// Value of `server` in responses.
    pub server_name: String,
    /// When `server` is written.
    pub server_header: ServerHeader,
    /// Make an `x-request-id` where there is none (`generate_request_id`).
    pub generate_request_id: bool,
    /// Keep the client's `x-request-id` even at the edge (`preserve_external_request_id`).
    pub preserve_external_request_id: bool,
    /// Tracing is configured: the upstream is told the name of the operation.
    pub tracing: bool,
    /// Send `x-request-id` back to the client (`always_set_request_id_in_response`).
    pub always_set_request_id_in_response: bool,
    /// Append the listener's port as `x-forwarded-port`.
    pub append_x_forwarded_port: bool,
    /// Leave `x-forwarded-for` as it came.
    pub skip_xff_append: bool,
    /// Forward `100-continue` from the upstream instead of answering it ourselves.
    pub proxy_100_continue: bool,
    /// Accept HTTP/1.0.
    pub accept_http_10: bool,
    /// How paths are normalised before anything looks at them.
    pub path_normalization: PathNormalization,
    /// What happens to header names with an underscore.
    pub headers_with_underscores: HeadersWithUnderscores,
    /// Upgrades that are let through, lower case; istiod sends `websocket`.
    pub upgrades: Vec<String>,
    /// Bound on the time a stream may be silent; `None` for none.
    pub stream_idle_timeout: Option<Duration>,
    /// Bound on the time a whole request may take to arrive.
    pub request_timeout: Option<Duration>,
    /// Bound on the time a request's headers may take to arrive.
    pub request_headers_timeout: Option<Duration>,
    /// Close connections without a request for this long; `None` for never. Envoy's default is 1 h.
    pub idle_timeout: Option<Duration>,
    /// Drain connections older than this.
    pub max_connection_duration: Option<Duration>,
    /// Bound on the life of one stream.
    pub max_stream_duration: Option<Duration>,
    /// Requests before a connection is closed; `None` for any number.
    pub max_requests_per_connection: Option<u32>,
    /// Bytes of a request's headers, KiB (`max_request_headers_kb`, 60).
    pub max_request_headers_kb: u32,
    /// Number of request headers (100).
    pub max_headers_count: u32,
    /// Logs of requests.
    pub access_log: Vec<AccessLog>,
}

/// `codec_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// What ALPN chose; without it HTTP/2 if the connection begins with its preface, else HTTP/1.
    Auto,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// Where an HTTP connection manager's routes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteSource {
    /// RDS over ADS, by name.
    Rds(String),
    /// In the listener itself.
    Inline(Box<RouteConfiguration>),
}

/// A filter that has something to do. Filters that need no action here are left out (see `docs/support.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFilter {
    /// `istio.alpn`: which ALPN protocols an upstream TLS connection offers, by the downstream protocol.
    AlpnOverride(AlpnOverride),
    /// `istio.metadata_exchange`: keeps `x-envoy-peer-metadata*` from crossing the edge.
    MetadataExchange,
    /// `envoy.filters.http.rbac` with rules that allow nothing.
    DenyAll,
    /// A filter whose configuration is a resource of its own (`config_discovery`).
    Discovered(Box<DiscoveredFilter>),
}

/// `HttpFilter.config_discovery` (`envoy.config.core.v3.ExtensionConfigSource`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredFilter {
    /// Name of the [`ExtensionConfig`].
    pub name: String,
    /// Full names of the messages that its configuration may be (`type_urls`).
    pub types: Vec<String>,
    /// What serves where there is no configuration (`default_config`).
    pub default: Option<TypedFilter>,
    /// For how long the listener waits for the first configuration (`initial_fetch_timeout`); `None` if it does not
    /// (`apply_default_config_without_warming`).
    pub warming: Option<Duration>,
}

impl DiscoveredFilter {
    /// What serves while `known` is the newest configuration; `None` if nothing does, and requests are answered with 500.
    #[must_use]
    pub fn serving<'a>(&'a self, known: Option<&'a TypedFilter>) -> Option<&'a TypedFilter> {
        known.filter(|known| self.types.contains(&known.type_name)).or(self.default.as_ref())
    }
}

/// A filter by its `typed_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedFilter {
    /// Full name of the message.
    pub type_name: String,
    /// What it does; `None` if it needs no action here.
    pub filter: Option<HttpFilter>,
}

/// The configuration of a filter as a resource of its own (ECDS, `envoy.config.core.v3.TypedExtensionConfig`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionConfig {
    /// Resource name.
    pub name: String,
    /// What it says.
    pub config: TypedFilter,
    /// It holds a secret and must not be written down.
    pub is_confidential: bool,
}

/// `istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig`, by upstream protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlpnOverride {
    /// Offered for HTTP/1.0.
    pub http10: Vec<String>,
    /// Offered for HTTP/1.1.
    pub http11: Vec<String>,
    /// Offered for HTTP/2.
    pub http2: Vec<String>,
}

/// `forward_client_cert_details` with `set_current_client_cert_details`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardClientCert {
    /// What happens to the header.
    pub mode: ForwardClientCertMode,
    /// Write the subject.
    pub subject: bool,
    /// Write the whole certificate, URL-encoded PEM.
    pub cert: bool,
    /// Write the whole chain.
    pub chain: bool,
    /// Write the DNS names.
    pub dns: bool,
    /// Write the URI names.
    pub uri: bool,
}

/// `ForwardClientCertDetails`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardClientCertMode {
    /// Remove it.
    Sanitize,
    /// Keep it on a mutual TLS connection, else remove it.
    ForwardOnly,
    /// Append to it on a mutual TLS connection, else remove it.
    AppendForward,
    /// Replace it on a mutual TLS connection, else remove it.
    SanitizeSet,
    /// Keep it always.
    AlwaysForwardOnly,
}

/// `server_header_transformation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerHeader {
    /// Always ours.
    Overwrite,
    /// Ours if the upstream sent none.
    AppendIfAbsent,
    /// The upstream's, if any.
    PassThrough,
}

/// `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNormalization {
    /// RFC 3986 normalisation.
    pub normalize: bool,
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// What `%2F` and `%5C` mean.
    pub escaped_slashes: EscapedSlashes,
}

/// `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// Leave them.
    KeepUnchanged,
    /// 400.
    Reject,
    /// 307 to the unescaped path.
    UnescapeAndRedirect,
    /// Unescape and go on.
    UnescapeAndForward,
}

/// `headers_with_underscores_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersWithUnderscores {
    /// Let them pass.
    Allow,
    /// 400.
    Reject,
    /// Remove them.
    Drop,
}
