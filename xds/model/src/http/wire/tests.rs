use std::time::Duration;

use serde_json::{Value, json};

use crate::context::Context;
use crate::examples::{any, connection_manager, parse, routes, typed_struct, with};
use crate::fate::Report;
use crate::http::{
    AlpnOverride, Codec, DiscoveredFilter, EscapedSlashes, ForwardClientCertMode, HeadersWithUnderscores,
    HttpConnectionManager, HttpFilter, RouteSource, ServerHeader, TypedFilter,
};
use crate::http2::Http2Options;

fn convert(value: &Value) -> Result<HttpConnectionManager, String> {
    let mut report = Report::default();
    HttpConnectionManager::convert(&parse(value), &mut Context::new("listener", &mut report))
        .map_err(|refusal| refusal.to_string())
}

#[test]
fn a_connection_manager_of_istiod() {
    let converted = convert(&connection_manager()).unwrap();
    assert_eq!(converted.routes, RouteSource::Rds("https.443.https.gateway.default".to_owned()));
    let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
    let alpn = AlpnOverride {
        http10: names(["istio-http/1.0", "istio", "http/1.0"]),
        http11: names(["istio-http/1.1", "istio", "http/1.1"]),
        http2: names(["istio-h2", "istio", "h2"]),
    };
    assert_eq!(converted.filters, [HttpFilter::MetadataExchange, HttpFilter::AlpnOverride(alpn)]);
    assert_eq!((converted.use_remote_address, converted.xff_num_trusted_hops), (true, 1));
    let cert = converted.forward_client_cert;
    assert_eq!(cert.mode, ForwardClientCertMode::SanitizeSet);
    assert_eq!([cert.subject, cert.cert, cert.chain, cert.dns, cert.uri], [true, true, false, true, true]);
    assert_eq!((converted.server_name.as_str(), converted.server_header), ("istio-envoy", ServerHeader::Overwrite));
    assert!(converted.path_normalization.normalize && !converted.path_normalization.merge_slashes);
    assert_eq!(converted.path_normalization.escaped_slashes, EscapedSlashes::KeepUnchanged);
    assert_eq!(converted.headers_with_underscores, HeadersWithUnderscores::Reject);
    assert_eq!(converted.upgrades, ["websocket"]);
    assert_eq!(converted.stream_idle_timeout, None);
    assert_eq!(converted.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!((converted.max_request_headers_kb, converted.max_headers_count), (60, 100));
    assert!(converted.proxy_100_continue && converted.generate_request_id && converted.access_log.is_empty());
}

#[test]
fn defaults_are_those_of_envoy() {
    let converted = convert(&json!({
        "stat_prefix": "x",
        "route_config": routes(),
        "http_filters": [
            {"name": "r", "typed_config": any("envoy.extensions.filters.http.router.v3.Router", json!({}))},
        ],
    }))
    .unwrap();
    assert!(matches!(converted.routes, RouteSource::Inline(table) if table.virtual_hosts.len() == 2));
    assert_eq!(converted.server_name, "envoy");
    assert_eq!(converted.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!((converted.request_timeout, converted.request_headers_timeout), (None, None));
    assert_eq!(converted.forward_client_cert.mode, ForwardClientCertMode::Sanitize);
    assert!(!converted.use_remote_address && !converted.path_normalization.normalize);
    assert!(converted.filters.is_empty());
}

#[test]
fn optional_settings() {
    let value = with(connection_manager(), "/http_protocol_options", json!({"accept_http_10": true}));
    let value =
        with(value, "/common_http_protocol_options", json!({"idle_timeout": "0s", "max_stream_duration": "9s"}));
    let value = with(
        value,
        "/internal_address_config",
        json!({"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}),
    );
    let value = with(
        value,
        "/upgrade_configs",
        json!([{"upgrade_type": "WebSocket"}, {"upgrade_type": "x", "enabled": false}, {"upgrade_type": "CONNECT"}]),
    );
    let value = with(value, "/path_with_escaped_slashes_action", json!("UNESCAPE_AND_FORWARD"));
    let converted = convert(&value).unwrap();
    assert!(converted.accept_http_10);
    assert_eq!(converted.idle_timeout, None);
    assert_eq!(converted.max_stream_duration, Some(Duration::from_secs(9)));
    assert_eq!(converted.internal_addresses, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(converted.upgrades, ["websocket", "connect"]);
    assert_eq!(converted.path_normalization.escaped_slashes, EscapedSlashes::UnescapeAndForward);
}

#[test]
fn versions_of_http() {
    let choices = [("AUTO", Codec::Auto), ("HTTP1", Codec::Http1), ("HTTP2", Codec::Http2)];
    for (name, codec) in choices {
        assert_eq!(convert(&with(connection_manager(), "/codec_type", json!(name))).unwrap().codec, codec);
    }
    assert_eq!(convert(&connection_manager()).unwrap().http2, Http2Options::DOWNSTREAM);
    let options = json!({"max_concurrent_streams": 7});
    let converted = convert(&with(connection_manager(), "/http2_protocol_options", options)).unwrap();
    assert_eq!(converted.http2, Http2Options { max_concurrent_streams: 7, ..Http2Options::DOWNSTREAM });
}

#[test]
fn filters_that_do_something_else_are_refused() {
    let refused = [
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        "envoy.extensions.filters.http.lua.v3.Lua",
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "made.up.Filter",
    ];
    for message in refused {
        let filter = json!({"name": "x", "typed_config": typed_struct(message, json!({}))});
        let refusal = convert(&with(connection_manager(), "/http_filters/1", filter)).unwrap_err();
        assert!(refusal.starts_with("listener: http_filters[1].typed_config: HTTP filter"), "{refusal}");
        assert!(refusal.contains(message), "{refusal}");
    }
}

#[test]
fn refusals_name_the_field() {
    let router = json!({"name": "r", "typed_config": any("envoy.extensions.filters.http.router.v3.Router", json!({}))});
    let fault = any("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({"upstream_cluster": "x"}));
    let cases = [
        ("/http_filters", json!([]), "http_filters: the last one must be the router"),
        ("/http_filters/0", router, "http_filters: a filter follows the router"),
        (
            "/http_filters/1/typed_config",
            fault,
            "http_filters[1].typed_config: HTTP filter envoy.extensions.filters.http.fault",
        ),
        ("/http_filters/0/is_optional", json!(true), "http_filters[0].is_optional: "),
        ("/http_filters/0/disabled", json!(true), "http_filters[0].disabled: "),
        ("/codec_type", json!("HTTP3"), "codec_type: "),
        (
            "/http2_protocol_options",
            json!({"max_concurrent_streams": 0}),
            "http2_protocol_options.max_concurrent_streams: ",
        ),
        ("/scoped_routes", json!({}), "scoped_routes: "),
        ("/rds", json!({"config_source": {"ads": {}}}), "rds.route_config_name: is empty"),
        ("/rds", json!({"route_config_name": "x"}), "rds.config_source: is missing"),
        ("/rds/config_source", json!({"path": "/x"}), "rds.config_source.path: "),
        ("/tracing/provider", json!({"name": "zipkin"}), "tracing.provider: "),
        ("/local_reply_config", json!({"mappers": [{}]}), "local_reply_config: "),
        ("/strip_any_host_port", json!(true), "strip_any_host_port: "),
        ("/via", json!("me"), "via: "),
        ("/original_ip_detection_extensions", json!([{}]), "original_ip_detection_extensions: "),
        ("/http_protocol_options/allow_chunked_length", json!(true), "http_protocol_options.allow_chunked_length: "),
        ("/set_current_client_cert_details/issuer", json!(true), "set_current_client_cert_details.issuer: "),
        ("/upgrade_configs/0/upgrade_type", json!("CONNECT-UDP"), "upgrade_configs[0].upgrade_type: "),
        ("/max_request_headers_kb", json!(9000), "max_request_headers_kb: must be between"),
        ("/internal_address_config", json!({"unix_sockets": true}), "internal_address_config.unix_sockets: "),
        ("/server_header_transformation", json!(77), "server_header_transformation: 77 is not a known value"),
    ];
    for (pointer, change, expected) in cases {
        let mut value = connection_manager();
        if pointer == "/scoped_routes" {
            value.as_object_mut().unwrap().remove("rds");
        }
        let refusal = convert(&with(value, pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("listener: {expected}")), "{pointer}: {refusal}");
    }
}

const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";

fn with_filter(filter: Value) -> Result<Vec<HttpFilter>, String> {
    convert(&with(connection_manager(), "/http_filters/1", filter)).map(|converted| converted.filters)
}

fn rbac(settings: Value) -> Value {
    json!({"name": "rbac", "typed_config": any(RBAC, settings)})
}

#[test]
fn rbac_without_policies_lets_everything_or_nothing_pass() {
    let unmatched = |action: &str| rbac(json!({"rules": {"action": action}, "rules_stat_prefix": "x"}));
    assert_eq!(with_filter(unmatched("ALLOW")).unwrap()[1], HttpFilter::DenyAll);
    for passes in [unmatched("DENY"), unmatched("LOG"), rbac(json!({}))] {
        assert!(!with_filter(passes).unwrap().contains(&HttpFilter::DenyAll));
    }
}

#[test]
fn what_rbac_cannot_do_is_refused_by_field() {
    let policy = json!({"permissions": [{"any": true}], "principals": [{"any": true}]});
    let cases = [
        (json!({"rules": {"policies": {"ns[a]-policy[b]": policy}}}), "rules.policies[\"ns[a]-policy[b]\"]: "),
        (json!({"rules": {"action": 9}}), "rules.action: 9"),
        (json!({"rules": {"audit_logging_options": {"audit_condition": "ON_DENY"}}}), "rules.audit_logging_options: "),
        (json!({"shadow_rules": {}}), "shadow_rules: "),
        (json!({"matcher": {}}), "matcher: "),
    ];
    for (settings, expected) in cases {
        let refusal = with_filter(rbac(settings)).unwrap_err();
        assert!(refusal.starts_with(&format!("listener: http_filters[1].typed_config.{expected}")), "{refusal}");
    }
}

fn discovery() -> Value {
    json!({
        "name": "guard",
        "config_discovery": {
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "type_urls": [
                "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            ],
        },
    })
}

fn discovered(filter: Value) -> DiscoveredFilter {
    match with_filter(filter).unwrap().swap_remove(1) {
        HttpFilter::Discovered(discovered) => *discovered,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_filter_by_discovery() {
    let plain = discovered(discovery());
    let types = ["envoy.extensions.filters.http.wasm.v3.Wasm", RBAC].map(str::to_owned).to_vec();
    assert_eq!(
        plain,
        DiscoveredFilter { name: "guard".to_owned(), types, default: None, warming: Some(Duration::from_secs(15)) }
    );
    let default = any(RBAC, json!({"rules": {}}));
    let denies = TypedFilter { type_name: RBAC.to_owned(), filter: Some(HttpFilter::DenyAll) };
    let with_default = with(discovery(), "/config_discovery/default_config", default);
    let eager = with(with_default.clone(), "/config_discovery/apply_default_config_without_warming", json!(true));
    assert_eq!(discovered(with_default), DiscoveredFilter { default: Some(denies.clone()), ..plain.clone() });
    assert_eq!(discovered(eager), DiscoveredFilter { default: Some(denies.clone()), warming: None, ..plain.clone() });

    let hasty = with(discovery(), "/config_discovery/config_source/initial_fetch_timeout", json!("1.5s"));
    let warming = Some(Duration::from_millis(1500));
    assert_eq!(discovered(hasty), DiscoveredFilter { warming, ..plain.clone() });

    let passes = TypedFilter { type_name: RBAC.to_owned(), filter: None };
    let other = TypedFilter { type_name: "another.Filter".to_owned(), filter: None };
    let defended = DiscoveredFilter { default: Some(denies.clone()), ..plain.clone() };
    assert_eq!(plain.serving(None), None);
    assert_eq!(plain.serving(Some(&other)), None);
    assert_eq!(plain.serving(Some(&passes)), Some(&passes));
    assert_eq!(defended.serving(Some(&passes)), Some(&passes));
    assert_eq!((defended.serving(None), defended.serving(Some(&other))), (Some(&denies), Some(&denies)));
}

#[test]
fn a_discovery_that_cannot_work_is_refused_by_field() {
    let router = any("envoy.extensions.filters.http.router.v3.Router", json!({}));
    let fault = any("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({}));
    let lua = any("envoy.extensions.filters.http.lua.v3.Lua", json!({}));
    let cases = [
        ("/name", json!(""), "name: is empty"),
        ("/config_discovery/config_source", json!({"path": "/x"}), "config_discovery.config_source.path: "),
        ("/config_discovery/type_urls", json!([]), "config_discovery.type_urls: is empty"),
        ("/config_discovery/default_config", router, "config_discovery.default_config: the router stands"),
        ("/config_discovery/default_config", fault, "config_discovery.default_config: is of none of the types"),
        ("/config_discovery/default_config", lua, "config_discovery.default_config: HTTP filter"),
        (
            "/config_discovery/apply_default_config_without_warming",
            json!(true),
            "config_discovery.apply_default_config_without_warming: there is no default_config",
        ),
    ];
    for (pointer, change, expected) in cases {
        let refusal = with_filter(with(discovery(), pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("listener: http_filters[1].{expected}")), "{refusal}");
    }
    assert!(
        convert(&with(connection_manager(), "/http_filters/6", discovery())).unwrap_err().contains("the last one"),
        "the router itself is not discovered"
    );
}
