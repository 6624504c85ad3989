//! Resources as istiod sends them to a gateway, as JSON that tests can change.

use prost::{Message, Name};
use serde_json::{Value, json};

/// The message that `value` is the JSON form of.
pub(crate) fn parse<M: Message + Name + Default>(value: &Value) -> M {
    xds_api::json::parse(value.clone()).unwrap_or_else(|error| panic!("{}: {error}", M::full_name()))
}

/// `value` with `change` in place of what `pointer` (RFC 6901) names; the last part may be new.
pub(crate) fn with(mut value: Value, pointer: &str, change: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    match value.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}")) {
        Value::Array(items) if last == "-" => items.push(change),
        Value::Array(items) => items[last.parse::<usize>().expect("an index")] = change,
        Value::Object(fields) => drop(fields.insert(last.to_owned(), change)),
        other => panic!("{parent} is {other}"),
    }
    value
}

/// `{"@type": …}` with the fields of `settings`.
pub(crate) fn any(message: &str, settings: Value) -> Value {
    with(settings, "/@type", format!("type.googleapis.com/{message}").into())
}

/// A setting of a filter whose message is not public.
pub(crate) fn typed_struct(message: &str, settings: Value) -> Value {
    let type_url = format!("type.googleapis.com/{message}");
    any("udpa.type.v1.TypedStruct", json!({"type_url": type_url, "value": settings}))
}

/// A listener with one HTTPS server.
pub(crate) fn listener() -> Value {
    json!({
        "name": "0.0.0.0_8443",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8443}},
        "traffic_direction": "OUTBOUND",
        "max_connections_to_accept_per_socket_event": 1,
        "listener_filters": [{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": any("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
                json!({"initial_read_buffer_size": 512})),
        }],
        "filter_chains": [{
            "filter_chain_match": {"server_names": ["Shop.example.com", "*.example.org"]},
            "transport_socket_connect_timeout": "15s",
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", downstream_tls()),
            },
            "filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": any(
                    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    connection_manager())},
            ],
        }],
        "access_log": [{
            "name": "envoy.access_loggers.file",
            "filter": {"response_flag_filter": {"flags": ["NR"]}},
            "typed_config": any("envoy.extensions.access_loggers.file.v3.FileAccessLog", json!({"path": "/dev/stdout"})),
        }],
    })
}

/// TLS of a server with a certificate from istiod that asks for one of the client.
pub(crate) fn downstream_tls() -> Value {
    json!({
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": "kubernetes://shop-tls", "sds_config": {"ads": {}, "resource_api_version": "V3"}},
            ],
            "combined_validation_context": {
                "default_validation_context": {"match_subject_alt_names": [{"exact": "spiffe://cluster.local/ns/a/sa/b"}]},
                "validation_context_sds_secret_config":
                    {"name": "kubernetes://shop-tls-cacert", "sds_config": {"ads": {}, "resource_api_version": "V3"}},
            },
        },
        "require_client_certificate": true,
    })
}

/// The connection manager of a gateway with default settings.
pub(crate) fn connection_manager() -> Value {
    json!({
        "codec_type": "AUTO",
        "stat_prefix": "outbound_0.0.0.0_8443;",
        "rds": {"route_config_name": "https.443.https.gateway.default",
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}},
        "use_remote_address": true,
        "xff_num_trusted_hops": 1,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
        "server_name": "istio-envoy",
        "http_protocol_options": {},
        "proxy_100_continue": true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": "0s",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "tracing": {"client_sampling": {"value": 100}, "overall_sampling": {"value": 100}, "random_sampling": {"value": 1},
            "spawn_upstream_span": true},
        "request_id_extension": {"typed_config": any("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            json!({"use_request_id_for_trace_sampling": true}))},
        "http_filters": http_filters(),
    })
}

fn http_filters() -> Value {
    json!([
        {"name": "istio.metadata_exchange", "typed_config": typed_struct("io.istio.http.peer_metadata.Config",
            json!({"upstream_discovery": [{"istio_headers": {}}], "upstream_propagation": [{"istio_headers": {}}]}))},
        {"name": "envoy.filters.http.grpc_stats", "typed_config": any(
            "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
            json!({"emit_filter_state": true, "stats_for_all_methods": false}))},
        {"name": "istio.alpn", "typed_config": any("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
            json!({"alpn_override": [
                {"alpn_override": ["istio-http/1.0", "istio", "http/1.0"]},
                {"upstream_protocol": "HTTP11", "alpn_override": ["istio-http/1.1", "istio", "http/1.1"]},
                {"upstream_protocol": "HTTP2", "alpn_override": ["istio-h2", "istio", "h2"]},
            ]}))},
        {"name": "envoy.filters.http.fault",
            "typed_config": any("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({}))},
        {"name": "envoy.filters.http.cors", "typed_config": any("envoy.extensions.filters.http.cors.v3.Cors", json!({}))},
        {"name": "istio.stats", "typed_config": any("stats.PluginConfig", json!({"disable_host_header_fallback": true}))},
        {"name": "envoy.filters.http.router",
            "typed_config": any("envoy.extensions.filters.http.router.v3.Router", json!({}))},
    ])
}

/// A filter that denies every request, as a resource of its own.
pub(crate) fn extension() -> Value {
    let rbac = json!({"rules": {}, "rules_stat_prefix": "wasm-default-deny"});
    json!({"name": "edge.guard", "typed_config": any("envoy.extensions.filters.http.rbac.v3.RBAC", rbac)})
}

/// A listener with TLS pass-through and clear TCP.
pub(crate) fn tcp_listener() -> Value {
    let tcp_proxy = |settings| any("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", settings);
    json!({
        "name": "0.0.0.0_15443",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15443}},
        "listener_filters": [
            {"name": "envoy.filters.listener.proxy_protocol", "typed_config": any(
                "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", json!({}))},
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": ["outbound_.80_._.shop.default.svc.cluster.local"],
                    "application_protocols": ["istio", "istio-peer-exchange"]},
                "filters": [
                    {"name": "istio.stats", "typed_config": any("stats.PluginConfig", json!({}))},
                    {"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp_proxy(json!({
                        "stat_prefix": "outbound_.80", "cluster": "outbound_.80_._.shop.default.svc.cluster.local"}))},
                ],
            },
            {
                "filters": [
                    {"name": "istio.metadata_exchange", "typed_config": typed_struct(
                        "envoy.tcp.metadataexchange.config.MetadataExchange",
                        json!({"protocol": "istio-peer-exchange", "enable_discovery": true}))},
                    {"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp_proxy(json!({
                        "stat_prefix": "db.default", "idle_timeout": "0s", "hash_policy": [{"source_ip": {}}],
                        "max_downstream_connection_duration": "60s",
                        "weighted_clusters": {"clusters": [{"name": "one", "weight": 1}, {"name": "two", "weight": 3}]}}))},
                ],
            },
        ],
    })
}

/// A route table.
pub(crate) fn routes() -> Value {
    json!({
        "name": "http.8080",
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
        "virtual_hosts": [
            {
                "name": "shop.example.com:8080",
                "domains": ["Shop.example.com", "*.shop.example.com"],
                "include_request_attempt_count": true,
                "routes": [forward(), redirect(), direct_response()],
            },
            {"name": "blackhole:8080", "domains": ["*"], "require_tls": "ALL"},
        ],
    })
}

/// A route with everything istiod writes into it.
pub(crate) fn forward() -> Value {
    json!({
        "name": "weighted",
        "match": {
            "prefix": "/cart",
            "case_sensitive": true,
            "headers": [
                {"name": ":method", "string_match": {"exact": "GET"}},
                {"name": "X-Old", "exact_match": "yes", "invert_match": true},
                {"name": "x-number", "range_match": {"start": 1, "end": 10}},
                {"name": "x-regex", "string_match": {"safe_regex": {"regex": "a+"}}},
            ],
            "query_parameters": [{"name": "v", "string_match": {"prefix": "1"}}, {"name": "debug", "present_match": true}],
        },
        "metadata": {"filter_metadata": {"istio": {"config": "/apis/networking.istio.io/v1/namespaces/a/virtual-service/b"}}},
        "decorator": {"operation": "shop.default.svc.cluster.local:80/cart*"},
        "request_headers_to_add": [
            {"header": {"key": "X-Client", "value": "%DOWNSTREAM_REMOTE_ADDRESS% 100%%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
        "response_headers_to_remove": ["X-Secret"],
        "route": {
            "weighted_clusters": {"clusters": [
                {"name": "outbound|80|v1|shop.default.svc.cluster.local", "weight": 90},
                {"name": "outbound|80|v2|shop.default.svc.cluster.local", "weight": 10, "host_rewrite_literal": "v2",
                    "request_headers_to_add": [{"header": {"key": "x-version", "value": "2"}}]},
            ]},
            "timeout": "0s",
            "max_grpc_timeout": "0s",
            "hash_policy": [{"header": {"header_name": "x-user"}}],
            "prefix_rewrite": "/",
            "append_x_forwarded_host": true,
            "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                "num_retries": 2,
                "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": any(
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", json!({}))}],
                "host_selection_retry_max_attempts": 5,
                "retry_priority": {"name": "envoy.retry_priorities.previous_priorities", "typed_config": any(
                    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                    json!({"update_frequency": 2}))},
                "retriable_status_codes": [503],
            },
        },
    })
}

fn redirect() -> Value {
    json!({
        "match": {"path": "/old"},
        "redirect": {"host_redirect": "new.example.com", "path_redirect": "/new", "scheme_redirect": "https",
            "port_redirect": 8443, "response_code": "PERMANENT_REDIRECT"},
    })
}

fn direct_response() -> Value {
    json!({
        "match": {"path_separated_prefix": "/teapot"},
        "direct_response": {"status": 418, "body": {"inline_string": "short and stout"}},
    })
}

/// A cluster of a service in the mesh, with auto mTLS and everything istiod writes into it.
pub(crate) fn cluster() -> Value {
    json!({
        "name": "outbound|80||shop.default.svc.cluster.local",
        "alt_stat_name": "outbound|80||shop.default.svc.cluster.local;",
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": "outbound|80||shop.default.svc.cluster.local",
            "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {}},
        "circuit_breakers": {"thresholds": [{"max_connections": 4_294_967_295u32, "max_pending_requests": 7,
            "max_requests": 4_294_967_295u32, "max_retries": 4_294_967_295u32, "track_remaining": true}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            json!({"explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 1_073_741_824}},
                "common_http_protocol_options": {"idle_timeout": "30s", "max_requests_per_connection": 9},
                "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true}}))},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
        "outlier_detection": {"consecutive_5xx": 5},
        "filters": [{"name": "istio.metadata_exchange", "typed_config": typed_struct(
            "envoy.tcp.metadataexchange.config.MetadataExchange", json!({"protocol": "istio-peer-exchange"}))}],
        "metadata": {"filter_metadata": {"istio": {
            "alpn_override": "false",
            "default_original_port": 80,
            "services": [{"host": "shop.default.svc.cluster.local", "name": "shop", "namespace": "default"}],
        }}},
        "transport_socket_matches": [
            {"name": "hbone", "match": {"tunnel": "http"}, "transport_socket": {
                "name": "envoy.transport_sockets.internal_upstream", "typed_config": any(
                    "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport", json!({}))}},
            {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": {
                "name": "envoy.transport_sockets.tls", "typed_config": any(
                    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", upstream_tls())}},
            {"name": "tlsMode-disabled", "match": {}, "transport_socket": {
                "name": "envoy.transport_sockets.raw_buffer", "typed_config": any(
                    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", json!({}))}},
        ],
    })
}

/// TLS towards the mesh.
pub(crate) fn upstream_tls() -> Value {
    let agent = json!({"api_config_source": {"api_type": "GRPC", "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}, "initial_fetch_timeout": "0s"});
    json!({
        "sni": "outbound_.80_._.shop.default.svc.cluster.local",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["istio-peer-exchange", "istio"],
            "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": agent}],
            "combined_validation_context": {
                "default_validation_context": {"match_subject_alt_names": [{"exact": "spiffe://cluster.local/ns/default/sa/shop"}]},
                "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": agent},
            },
        },
    })
}

/// Endpoints with every kind of address.
pub(crate) fn endpoints() -> Value {
    let endpoint = |address| json!({"endpoint": {"address": address}});
    json!({
        "cluster_name": "outbound|80||shop.default.svc.cluster.local",
        "endpoints": [{
            "locality": {"region": "eu", "zone": "eu-1", "sub_zone": "a"},
            "load_balancing_weight": 3,
            "priority": 1,
            "lb_endpoints": [
                {
                    "endpoint": {
                        "address": {"socket_address": {"address": "10.0.0.1", "port_value": 8080}},
                        "additional_addresses": [{"address": {"socket_address": {"address": "fd00::1", "port_value": 8080}}}],
                    },
                    "health_status": "DRAINING",
                    "load_balancing_weight": 3,
                    "metadata": {"filter_metadata": {
                        "envoy.transport_socket_match": {"tlsMode": "istio"},
                        "istio": {"workload": "shop;default;shop;v1;Kubernetes"},
                    }},
                },
                endpoint(json!({"pipe": {"path": "/run/shop.sock"}})),
                endpoint(json!({"envoy_internal_address": {"server_listener_name": "connect_originate", "endpoint_id": "10.0.0.2:80"}})),
                endpoint(json!({"socket_address": {"address": "shop.example.com", "port_value": 80}})),
                {
                    "endpoint": {"address": {"socket_address": {"address": "10.0.0.3", "port_value": 80}}},
                    "metadata": {"filter_metadata": {"envoy.transport_socket_match": {"tunnel": "http"}}},
                },
            ],
        }],
    })
}

/// A cluster resolved by DNS.
pub(crate) fn dns_cluster() -> Value {
    json!({
        "name": "outbound|443||api.example.com",
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": "60s",
        "dns_jitter": "0.100s",
        "respect_dns_ttl": true,
        "typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": any(
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", json!({"udp_max_queries": 100}))},
        "load_assignment": {"cluster_name": "outbound|443||api.example.com", "endpoints": [{
            "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "api.example.com", "port_value": 443}}}}],
        }]},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": any(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            json!({"sni": "api.example.com", "common_tls_context": {"validation_context": {}}}))},
    })
}

/// A certificate with its key.
pub(crate) fn certificate_secret() -> Value {
    json!({
        "name": "kubernetes://shop-tls",
        "tls_certificate": {
            "certificate_chain": {"inline_bytes": "Y2VydGlmaWNhdGU="},
            "private_key": {"inline_bytes": "a2V5"},
            "ocsp_staple": {"inline_bytes": "c3RhcGxl"},
        },
    })
}

/// Certificate authorities.
pub(crate) fn authorities_secret() -> Value {
    json!({
        "name": "kubernetes://shop-tls-cacert",
        "validation_context": {"trusted_ca": {"inline_bytes": "cm9vdA=="}, "crl": {"inline_bytes": "Y3Js"}},
    })
}
