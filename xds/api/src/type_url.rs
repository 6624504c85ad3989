//! The type URLs of what travels over ADS, and of the extensions that are told apart by them.
//!
//! Every generated message also knows its own (`prost::Name::type_url`); these are the ones to match on.

macro_rules! type_urls {
    ($($(#[$documentation:meta])* $name:ident = $message:literal;)*) => {
        $($(#[$documentation])* pub const $name: &str = concat!("type.googleapis.com/", $message);)*

        /// Every constant of this module with its name, for tests and for lists of what is known.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

type_urls! {
    // Resources
    /// CDS.
    CLUSTER = "envoy.config.cluster.v3.Cluster";
    /// EDS.
    ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment";
    /// LDS.
    LISTENER = "envoy.config.listener.v3.Listener";
    /// RDS.
    ROUTE = "envoy.config.route.v3.RouteConfiguration";
    /// SDS.
    SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret";
    /// ECDS.
    EXTENSION = "envoy.config.core.v3.TypedExtensionConfig";
    /// Istio's WDS: a workload or a service.
    ADDRESS = "istio.workload.Address";
    /// Istio's WDS: workloads alone.
    WORKLOAD = "istio.workload.Workload";
    /// Istio's L4 policies.
    AUTHORIZATION = "istio.security.Authorization";

    // Listener filters
    /// `envoy.filters.listener.http_inspector`.
    HTTP_INSPECTOR = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
    /// `envoy.filters.listener.original_dst`.
    ORIGINAL_DST = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
    /// `envoy.filters.listener.proxy_protocol`.
    PROXY_PROTOCOL = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
    /// `envoy.filters.listener.tls_inspector`.
    TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";

    // Network filters
    /// `envoy.filters.network.ext_authz`.
    NETWORK_EXT_AUTHZ = "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz";
    /// `envoy.filters.network.http_connection_manager`.
    HTTP_CONNECTION_MANAGER =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    /// `envoy.filters.network.rbac`.
    NETWORK_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC";
    /// `envoy.filters.network.set_filter_state`.
    NETWORK_SET_FILTER_STATE = "envoy.extensions.filters.network.set_filter_state.v3.Config";
    /// `envoy.filters.network.tcp_proxy`.
    TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

    // HTTP filters
    /// `istio.alpn`.
    ALPN = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig";
    /// `envoy.filters.http.cors`.
    CORS = "envoy.extensions.filters.http.cors.v3.Cors";
    /// CORS per route.
    CORS_POLICY = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
    /// `envoy.filters.http.ext_authz`.
    HTTP_EXT_AUTHZ = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
    /// External authorization per route.
    HTTP_EXT_AUTHZ_PER_ROUTE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
    /// `envoy.filters.http.fault`, and its form per route.
    FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault";
    /// `envoy.filters.http.grpc_stats`.
    GRPC_STATS = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";
    /// `envoy.filters.http.grpc_web`.
    GRPC_WEB = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";
    /// `envoy.filters.http.jwt_authn`.
    JWT_AUTHN = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
    /// `envoy.filters.http.local_ratelimit`, and its form per route.
    LOCAL_RATE_LIMIT = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
    /// `envoy.filters.http.ratelimit`.
    RATE_LIMIT = "envoy.extensions.filters.http.ratelimit.v3.RateLimit";
    /// Rate limiting per route.
    RATE_LIMIT_PER_ROUTE = "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute";
    /// `envoy.filters.http.rbac`.
    HTTP_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC";
    /// RBAC per route.
    HTTP_RBAC_PER_ROUTE = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
    /// `envoy.filters.http.router`.
    ROUTER = "envoy.extensions.filters.http.router.v3.Router";
    /// `envoy.filters.http.stateful_session`.
    STATEFUL_SESSION = "envoy.extensions.filters.http.stateful_session.v3.StatefulSession";
    /// Stateful sessions per route.
    STATEFUL_SESSION_PER_ROUTE = "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute";
    /// Sessions kept in a cookie.
    STATEFUL_SESSION_COOKIE = "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState";
    /// Sessions kept in a header.
    STATEFUL_SESSION_HEADER = "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState";
    /// `istio.stats`, as a network and as an HTTP filter.
    ISTIO_STATS = "stats.PluginConfig";

    // Connection manager and routes
    /// HTTP/1 header names with the case they came in.
    PRESERVE_CASE =
        "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";
    /// `x-request-id` as a UUID.
    UUID_REQUEST_ID = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";
    /// Path templates (`{*}`, `{**}`) in matches.
    URI_TEMPLATE_MATCH = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
    /// Path templates in rewrites.
    URI_TEMPLATE_REWRITE = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";
    /// Retries avoid the hosts already tried.
    PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
    /// Retries avoid the priorities already tried.
    PREVIOUS_PRIORITIES = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";

    // Clusters
    /// `typed_extension_protocol_options` of HTTP clusters.
    HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    /// Resolver of names in bootstraps and clusters.
    CARES_DNS_RESOLVER =
        "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";

    // Transport sockets
    /// TLS towards clients.
    DOWNSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    /// TLS towards upstreams.
    UPSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    /// Plain TCP.
    RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
    /// PROXY protocol written to upstreams.
    UPSTREAM_PROXY_PROTOCOL =
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport";
    /// Towards a listener inside the process.
    INTERNAL_UPSTREAM =
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport";
    /// QUIC towards clients.
    QUIC_DOWNSTREAM = "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport";

    // Access logs and tracing
    /// Access log to a file.
    FILE_ACCESS_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
    /// Access log of requests to a gRPC service.
    HTTP_GRPC_ACCESS_LOG = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig";
    /// Access log of connections to a gRPC service.
    TCP_GRPC_ACCESS_LOG = "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig";
    /// Access log to an OpenTelemetry collector.
    OPEN_TELEMETRY_ACCESS_LOG =
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig";
    /// Access log to standard output.
    STDOUT_ACCESS_LOG = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
    /// Access log to standard error.
    STDERR_ACCESS_LOG = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";
    /// Access log filter by a CEL expression.
    CEL_ACCESS_LOG_FILTER = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter";
    /// `%METADATA(...)%` in log formats.
    METADATA_FORMATTER = "envoy.extensions.formatter.metadata.v3.Metadata";
    /// `%REQ_WITHOUT_QUERY(...)%` in log formats.
    REQ_WITHOUT_QUERY_FORMATTER = "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery";
    /// Zipkin spans.
    ZIPKIN = "envoy.config.trace.v3.ZipkinConfig";
    /// OpenTelemetry spans.
    OPEN_TELEMETRY_TRACER = "envoy.config.trace.v3.OpenTelemetryConfig";

    // Configuration whose message is not public, as JSON
    /// The spelling Istio uses.
    UDPA_TYPED_STRUCT = "udpa.type.v1.TypedStruct";
    /// The newer spelling.
    XDS_TYPED_STRUCT = "xds.type.v3.TypedStruct";
}
