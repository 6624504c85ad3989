use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{
    Balancer, CircuitBreaker, Cluster, Consecutive, Discovery, DnsFamily, IstioService, RetryBudget, SlowStart,
    TransportSocket, UpstreamProtocol,
};
use crate::endpoint::EndpointAddress;
use crate::examples::{any, cluster, dns_cluster, parse, typed_struct, with};
use crate::fate::Report;
use crate::http2::Http2Options;
use crate::tls::SecretServer;

fn convert(value: &Value) -> Result<Cluster, String> {
    Cluster::from_wire(&parse(value), &mut Report::default()).map_err(|refusal| refusal.to_string())
}

#[test]
fn a_cluster_of_istiod() {
    let mut report = Report::default();
    let converted = Cluster::from_wire(&parse(&cluster()), &mut report).unwrap();
    assert_eq!(converted.discovery, Discovery::Eds("outbound|80||shop.default.svc.cluster.local".to_owned()));
    assert_eq!(converted.balancer, Balancer::LeastRequest { choices: 2 });
    assert_eq!(converted.panic_threshold, 0);
    assert_eq!(converted.connect_timeout, Duration::from_secs(10));
    assert_eq!(converted.protocol, UpstreamProtocol::Http2);
    let options = Http2Options { max_concurrent_streams: 1_073_741_824, ..Http2Options::UPSTREAM };
    assert_eq!(converted.http2, options);
    assert_eq!(converted.idle_timeout, Some(Duration::from_secs(30)));
    assert_eq!(converted.max_requests_per_connection, Some(9));
    assert_eq!(converted.tcp_keepalive.and_then(|keepalive| keepalive.time), Some(Duration::from_secs(300)));
    assert_eq!(converted.limits, CircuitBreaker { max_pending_requests: 7, ..CircuitBreaker::UNLIMITED });
    assert!(converted.istio.alpn_override_disabled && !converted.istio.external);
    let shop = IstioService {
        host: "shop.default.svc.cluster.local".to_owned(),
        name: "shop".to_owned(),
        namespace: "default".to_owned(),
    };
    assert_eq!(converted.istio.services, [shop]);
    let outlier = converted.outlier_detection.unwrap();
    assert_eq!(outlier.consecutive_5xx, Consecutive { failures: 5, enforcing: 100 });
    assert_eq!(outlier.consecutive_gateway_failure.enforcing, 0);
}

#[test]
fn transport_follows_the_metadata_of_endpoints() {
    let converted = convert(&cluster()).unwrap();
    let [istio, disabled] = converted.transport.matches.as_slice() else { panic!("not two") };
    assert_eq!((istio.name.as_str(), disabled.name.as_str()), ("tlsMode-istio", "tlsMode-disabled"));
    assert_eq!(istio.criteria, [("tlsMode".to_owned(), "istio".to_owned())]);
    assert!(disabled.criteria.is_empty() && disabled.socket == TransportSocket::RawBuffer);
    assert_eq!(converted.transport.default, TransportSocket::RawBuffer);
    let TransportSocket::Tls(tls) = &istio.socket else { panic!("no TLS") };
    assert_eq!(tls.sni.as_deref(), Some("outbound_.80_._.shop.default.svc.cluster.local"));
    assert_eq!(tls.alpn, ["istio"], "istio-peer-exchange obliges to more than TLS");
    assert!(tls.auto_sni && tls.auto_san_validation);
    let crate::tls::CertificateSource::Secret(secret) = &tls.certificates[0] else { panic!("no secret") };
    assert_eq!((secret.name.as_str(), secret.server), ("default", SecretServer::Agent));
    assert_eq!(tls.validation.as_ref().unwrap().subject_alt_names.len(), 1);
}

#[test]
fn a_cluster_resolved_by_dns() {
    let converted = convert(&dns_cluster()).unwrap();
    let Discovery::StrictDns(dns) = &converted.discovery else { panic!("not DNS") };
    assert_eq!((dns.family, dns.refresh_rate, dns.respect_ttl), (DnsFamily::V4Only, Duration::from_secs(60), true));
    let address = &dns.endpoints.localities[0].endpoints[0].address;
    assert_eq!(address, &EndpointAddress::Name("api.example.com".to_owned(), 443));
    let TransportSocket::Tls(tls) = &converted.transport.default else { panic!("no TLS") };
    assert_eq!(tls.validation, None, "empty rules accept any certificate");
    assert!(matches!(
        convert(&with(dns_cluster(), "/type", json!("LOGICAL_DNS"))).unwrap().discovery,
        Discovery::LogicalDns(_)
    ));
}

#[test]
fn defaults_are_those_of_envoy() {
    let converted = convert(&json!({"name": "BlackHoleCluster", "type": "STATIC"})).unwrap();
    let Discovery::Static(assignment) = &converted.discovery else { panic!("not static") };
    assert!(assignment.localities.is_empty());
    assert_eq!(converted.balancer, Balancer::RoundRobin);
    assert_eq!((converted.panic_threshold, converted.connect_timeout), (50, Duration::from_secs(5)));
    assert_eq!(
        (converted.protocol, converted.idle_timeout),
        (UpstreamProtocol::Http1, Some(Duration::from_secs(3600)))
    );
    let limits = CircuitBreaker {
        max_connections: 1024,
        max_pending_requests: 1024,
        max_requests: 1024,
        max_retries: 3,
        retry_budget: None,
    };
    assert_eq!(converted.limits, limits);
}

#[test]
fn retries_may_have_a_budget() {
    let budget = |budget: Value| {
        let changed = with(cluster(), "/circuit_breakers/thresholds/0/retry_budget", budget);
        convert(&changed).unwrap().limits.retry_budget.unwrap()
    };
    assert_eq!(budget(json!({})), RetryBudget { percent: 20.0, min_retry_concurrency: 3 });
    let both = json!({"budget_percent": {"value": 12.5}, "min_retry_concurrency": 0, "budget_interval": "1s"});
    assert_eq!(budget(both), RetryBudget { percent: 12.5, min_retry_concurrency: 0 });
}

fn protocol(options: Value) -> Value {
    let options = any("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", options);
    with(
        cluster(),
        "/typed_extension_protocol_options",
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}),
    )
}

#[test]
fn protocols() {
    let cases = [
        (json!({"explicit_http_config": {"http_protocol_options": {}}}), UpstreamProtocol::Http1),
        (json!({"use_downstream_protocol_config": {"http2_protocol_options": {}}}), UpstreamProtocol::UseDownstream),
        (json!({"common_http_protocol_options": {"idle_timeout": "0s"}}), UpstreamProtocol::Http1),
    ];
    for (options, expected) in cases {
        assert_eq!(convert(&protocol(options)).unwrap().protocol, expected);
    }
    let unlimited = protocol(json!({"common_http_protocol_options": {"idle_timeout": "0s"}}));
    assert_eq!(convert(&unlimited).unwrap().idle_timeout, None);
    let streams = json!({"http2_protocol_options": {"max_concurrent_streams": 0}});
    let refused = convert(&protocol(json!({"use_downstream_protocol_config": streams}))).unwrap_err();
    let path = r#"["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].use_downstream_protocol_config.http2_protocol_options.max_concurrent_streams"#;
    assert!(refused.contains(path), "{refused}");
}

#[test]
fn a_choice_by_alpn_needs_tls() {
    let auto = protocol(json!({"auto_config": {"http2_protocol_options": {"max_concurrent_streams": 7}}}));
    assert!(convert(&auto).unwrap_err().contains("auto_config needs TLS"), "the example has sockets without TLS");
    let tls = auto["transport_socket_matches"][1]["transport_socket"].clone();
    let auto = with(with(auto, "/transport_socket_matches", json!([])), "/transport_socket", tls);
    let converted = convert(&auto).unwrap();
    assert_eq!((converted.protocol, converted.http2.max_concurrent_streams), (UpstreamProtocol::Auto, 7));
    let http3 = protocol(json!({"auto_config": {"http3_protocol_options": {}}}));
    assert!(convert(&http3).unwrap_err().contains("auto_config.http3_protocol_options: "));
}

#[test]
fn limits_of_other_priorities_have_no_effect() {
    let thresholds = json!([{"priority": "HIGH", "max_requests": 1}, {"max_requests": 2}]);
    assert_eq!(convert(&with(cluster(), "/circuit_breakers/thresholds", thresholds)).unwrap().limits.max_requests, 2);
}

#[test]
fn what_balances() {
    let converted = |changes: &[(&str, Value)]| {
        let changed = changes.iter().fold(cluster(), |value, (pointer, change)| with(value, pointer, change.clone()));
        let cluster = convert(&changed).unwrap();
        (cluster.balancer, cluster.slow_start)
    };
    let by_policy = |policy: &str| converted(&[("/lb_policy", json!(policy))]).0;
    assert_eq!(by_policy("RING_HASH"), Balancer::RingHash { minimum_size: 1024, maximum_size: 8_388_608 });
    assert_eq!(by_policy("MAGLEV"), Balancer::Maglev { table_size: 65537 });
    let ring = [("/lb_policy", json!("RING_HASH")), ("/ring_hash_lb_config", json!({"minimum_ring_size": 9}))];
    assert_eq!(converted(&ring).0, Balancer::RingHash { minimum_size: 9, maximum_size: 8_388_608 });
    let other = [("/lb_policy", json!("MAGLEV")), ("/ring_hash_lb_config", json!({"minimum_ring_size": 9}))];
    assert_eq!(converted(&other).0, Balancer::Maglev { table_size: 65537 });
    let warm_up = json!({"slow_start_config": {"slow_start_window": "40s", "min_weight_percent": {"value": 12.5},
        "aggression": {"default_value": 2, "runtime_key": "("}}});
    let (balancer, slow_start) =
        converted(&[("/lb_policy", json!("ROUND_ROBIN")), ("/round_robin_lb_config", warm_up)]);
    assert_eq!(balancer, Balancer::RoundRobin);
    assert_eq!(slow_start, Some(SlowStart { window: Duration::from_secs(40), aggression: 2.0, minimum: 0.125 }));
    let defaults = json!({"slow_start_config": {"slow_start_window": "40s", "aggression": {"default_value": -1}}});
    let (balancer, slow_start) = converted(&[("/lb_policy", json!(1)), ("/least_request_lb_config", defaults)]);
    assert_eq!(balancer, Balancer::LeastRequest { choices: 2 });
    assert_eq!(slow_start, Some(SlowStart { window: Duration::from_secs(40), aggression: 1.0, minimum: 0.1 }));
    let none = json!({"slow_start_config": {}});
    assert_eq!(converted(&[("/lb_policy", json!(1)), ("/least_request_lb_config", none)]).1, None);
}

#[test]
fn refusals_name_the_field() {
    let socket = |message: &str| json!({"name": "x", "typed_config": any(message, json!({}))});
    let proxy = socket("envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport");
    let internal = socket("envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport");
    let filter = json!([{"name": "x", "typed_config": typed_struct("made.up.Filter", json!({}))}]);
    let cases = [
        ("/lb_policy", json!("CLUSTER_PROVIDED"), "lb_policy: CLUSTER_PROVIDED"),
        ("/maglev_lb_config", json!({"table_size": 65536}), "maglev_lb_config.table_size: 65536 is not a prime"),
        (
            "/maglev_lb_config",
            json!({"table_size": 5_000_077}),
            "maglev_lb_config.table_size: 5000077 is more than 5000011",
        ),
        (
            "/ring_hash_lb_config",
            json!({"minimum_ring_size": 9, "maximum_ring_size": 8}),
            "ring_hash_lb_config.minimum_ring_size: is more than maximum_ring_size",
        ),
        (
            "/ring_hash_lb_config",
            json!({"maximum_ring_size": 8_388_609}),
            "ring_hash_lb_config.maximum_ring_size: 8388609 is more than 8388608",
        ),
        (
            "/ring_hash_lb_config",
            json!({"hash_function": "MURMUR_HASH_2"}),
            "ring_hash_lb_config.hash_function: MURMUR",
        ),
        (
            "/common_lb_config/consistent_hashing_lb_config",
            json!({"use_hostname_for_hashing": true}),
            "common_lb_config.consistent_hashing_lb_config.use_hostname_for_hashing: ",
        ),
        (
            "/round_robin_lb_config",
            json!({"slow_start_config": {"min_weight_percent": {"value": 101}}}),
            "round_robin_lb_config.slow_start_config.min_weight_percent.value: 101 is not",
        ),
        ("/type", json!("ORIGINAL_DST"), "type: ORIGINAL_DST"),
        ("/type", json!(99), "type: 99 is not a known value"),
        (
            "/cluster_type",
            json!({"name": "envoy.clusters.dynamic_forward_proxy"}),
            "cluster_type: clusters of type \"envoy.clusters.dynamic_forward_proxy\"",
        ),
        (
            "/transport_socket",
            proxy,
            "transport_socket.typed_config: transport socket of a cluster envoy.extensions.transport_sockets.proxy_protocol",
        ),
        ("/transport_socket", internal, "transport_socket.typed_config: HBONE"),
        ("/filters", filter, "filters[0].typed_config: network filter of a cluster \"made.up.Filter\" is not known"),
        ("/eds_cluster_config", json!({}), "eds_cluster_config.eds_config: is missing"),
        (
            "/eds_cluster_config",
            json!({"eds_config": {"path_config_source": {"path": "/x"}}}),
            "eds_cluster_config.eds_config.path_config_source: ",
        ),
        ("/connect_timeout", json!("0s"), "connect_timeout: must be more than 0"),
        ("/health_checks", json!([{}]), "health_checks: "),
        (
            "/common_lb_config/healthy_panic_threshold",
            json!({"value": 101}),
            "common_lb_config.healthy_panic_threshold.value: 101 is not",
        ),
        (
            "/circuit_breakers/thresholds/0/retry_budget",
            json!({"budget_percent": {"value": 101}}),
            "circuit_breakers.thresholds[0].retry_budget.budget_percent: 101 is not a percentage",
        ),
        ("/least_request_lb_config", json!({"choice_count": 1}), "least_request_lb_config.choice_count: "),
        ("/transport_socket_matches/1/match", json!({"a": 1}), "transport_socket_matches[1].match: "),
        ("/load_balancing_policy", json!({"policies": [{}]}), "load_balancing_policy: "),
        ("/http2_protocol_options", json!({}), "http2_protocol_options: deprecated"),
    ];
    for (pointer, change, expected) in cases {
        let mut value = cluster();
        if pointer == "/cluster_type" {
            value.as_object_mut().unwrap().remove("type");
        }
        let refusal = convert(&with(value, pointer, change)).unwrap_err();
        assert!(
            refusal.starts_with(&format!("outbound|80||shop.default.svc.cluster.local: {expected}")),
            "{pointer}: {refusal}"
        );
    }
    let two = json!([{"lb_endpoints": []}]);
    let refusal = convert(&with(with(dns_cluster(), "/type", json!("LOGICAL_DNS")), "/load_assignment/endpoints", two));
    assert!(refusal.unwrap_err().contains("load_assignment: LOGICAL_DNS needs exactly one endpoint"));
}
