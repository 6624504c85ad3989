//! Models of HTTP as istiod's resources become them.

use std::sync::Arc;
use std::time::Duration;

use xds_model::format::Format;
use xds_model::header::{HeaderAddition, HeaderAppend};
use xds_model::http::{
    Codec, EscapedSlashes, ForwardClientCert, ForwardClientCertMode, HeadersWithUnderscores, HttpConnectionManager,
    PathNormalization, RouteSource, ServerHeader,
};
use xds_model::http2::Http2Options;
use xds_model::listener::{Listener, TerminalFilter};
use xds_model::matcher::{HeaderCondition, HeaderMatcher, StringMatcher, StringPattern};
use xds_model::route::{
    ConnectMode, DirectResponse, Forward, PathMatch, Redirect, RetryOn, RetryPolicy, Route, RouteAction,
    RouteConfiguration, RouteHeaders, RouteMatch, VirtualHost,
};

use super::model::{self, filter_chain, weighted_clusters};

/// A listener for HTTP alone.
pub(crate) fn listener(manager: HttpConnectionManager) -> Listener {
    model::listener("http", vec![filter_chain(TerminalFilter::Http(Box::new(manager)))])
}

/// As istiod sets it up for a gateway.
pub(crate) fn manager() -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: "test".to_owned(),
        codec: Codec::Auto,
        http2: Http2Options::DOWNSTREAM,
        routes: RouteSource::Rds("table".to_owned()),
        filters: Vec::new(),
        use_remote_address: true,
        xff_num_trusted_hops: 0,
        internal_addresses: Vec::new(),
        forward_client_cert: ForwardClientCert {
            mode: ForwardClientCertMode::SanitizeSet,
            subject: true,
            cert: true,
            chain: false,
            dns: true,
            uri: true,
        },
        server_name: "istio-envoy".to_owned(),
        server_header: ServerHeader::Overwrite,
        generate_request_id: true,
        preserve_external_request_id: false,
        tracing: true,
        always_set_request_id_in_response: false,
        append_x_forwarded_port: false,
        skip_xff_append: false,
        proxy_100_continue: true,
        accept_http_10: false,
        path_normalization: PathNormalization {
            normalize: true,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::KeepUnchanged,
        },
        headers_with_underscores: HeadersWithUnderscores::Allow,
        upgrades: vec!["websocket".to_owned()],
        stream_idle_timeout: None,
        request_timeout: None,
        request_headers_timeout: None,
        idle_timeout: Some(Duration::from_secs(3600)),
        max_connection_duration: None,
        max_stream_duration: None,
        max_requests_per_connection: None,
        max_request_headers_kb: 60,
        max_headers_count: 100,
        access_log: Vec::new(),
    }
}

/// A table of one host, for every name.
pub(crate) fn table(routes: Vec<Route>) -> RouteConfiguration {
    RouteConfiguration {
        name: "table".to_owned(),
        virtual_hosts: vec![Arc::new(virtual_host("*", routes))],
        ignore_port_in_host_matching: true,
        headers: RouteHeaders::default(),
    }
}

pub(crate) fn virtual_host(domain: &str, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: domain.to_owned(),
        domains: vec![domain.to_owned()],
        routes,
        require_tls: false,
        include_request_attempt_count: true,
        retry: None,
        headers: RouteHeaders::default(),
    }
}

/// A route for paths that start like this.
pub(crate) fn prefix(path: &str, action: RouteAction) -> Route {
    Route {
        name: format!("route {path}"),
        matches: RouteMatch {
            path: PathMatch::Prefix(path.to_owned()),
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
        },
        action,
        headers: RouteHeaders::default(),
        decorator_operation: None,
        istio_config: None,
    }
}

/// Forwards to one cluster.
pub(crate) fn forward(cluster: &str) -> RouteAction {
    weighted(&[(cluster, 1)])
}

/// Forwards to clusters by their weights.
pub(crate) fn weighted(clusters: &[(&str, u32)]) -> RouteAction {
    RouteAction::Forward(Box::new(Forward {
        clusters: weighted_clusters(clusters),
        cluster_not_found_status: 503,
        timeout: None,
        idle_timeout: None,
        grpc_timeout: None,
        max_stream_duration: None,
        retry: None,
        path_rewrite: None,
        host_rewrite: None,
        append_x_forwarded_host: false,
        connect: ConnectMode::Inherited,
        hash_policies: Vec::new(),
    }))
}

pub(crate) fn direct(status: u16, body: &'static str) -> RouteAction {
    RouteAction::DirectResponse(DirectResponse { status, body: body.into() })
}

/// To https.
pub(crate) fn redirect(status: u16) -> Redirect {
    Redirect { scheme: Some("https".to_owned()), host: None, port: None, path: None, strip_query: false, status }
}

/// Two retries on other hosts, almost without a pause.
pub(crate) fn retry_policy(retry_on: RetryOn) -> RetryPolicy {
    RetryPolicy {
        num_retries: 2,
        retry_on,
        retriable_status_codes: vec![503],
        per_try_timeout: None,
        back_off_base: Duration::from_millis(1),
        back_off_max: Duration::from_millis(2),
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        leave_priorities_after: None,
    }
}

pub(crate) fn header_match(name: &str, value: &str) -> HeaderMatcher {
    let pattern = StringPattern::Exact(value.to_owned());
    HeaderMatcher {
        name: name.to_owned(),
        condition: HeaderCondition::Value(StringMatcher { pattern, ignore_case: false }),
        invert: false,
        treat_missing_as_empty: false,
    }
}

/// One header to write.
pub(crate) fn mutation(name: &str, value: &str, append: HeaderAppend) -> HeaderAddition {
    let value = Format::parse(value).unwrap();
    HeaderAddition { name: name.to_owned(), value, append, keep_empty_value: false }
}
