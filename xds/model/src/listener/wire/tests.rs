use std::time::Duration;

use serde_json::{Value, json};

use crate::access_log::{AccessLogFilter, AccessLogSink, Comparison, DEFAULT_TEXT_FORMAT, JsonValue, LogFormat};
use crate::examples::{any, listener, parse, tcp_listener, typed_struct, with};
use crate::fate::{NoOp, Report};
use crate::format::Format;
use crate::listener::{Listener, TcpProxy, TerminalFilter, TransportProtocol};

fn convert(value: &Value) -> Result<Listener, String> {
    Listener::from_wire(&parse(value), &mut Report::default()).map_err(|refusal| refusal.to_string())
}

fn tcp(listener: &Listener, chain: usize) -> &TcpProxy {
    match &listener.filter_chains[chain].terminal {
        TerminalFilter::Tcp(proxy) => proxy,
        TerminalFilter::Http(_) => panic!("not TCP"),
    }
}

#[test]
fn a_listener_of_istiod() {
    let mut report = Report::default();
    let converted = Listener::from_wire(&parse(&listener()), &mut report).unwrap();
    assert_eq!(converted.name, "0.0.0.0_8443");
    assert_eq!(converted.address.to_string(), "0.0.0.0:8443");
    assert!(converted.tls_inspector && !converted.proxy_protocol);
    assert_eq!(converted.listener_filters_timeout, Some(Duration::from_secs(15)));
    let chain = &converted.filter_chains[0];
    assert_eq!(chain.matches.server_names, ["shop.example.com", "*.example.org"]);
    assert_eq!(chain.transport_socket_connect_timeout, Some(Duration::from_secs(15)));
    assert!(chain.tls.as_ref().is_some_and(|tls| tls.require_client_certificate));
    assert!(matches!(chain.terminal, TerminalFilter::Http(_)));
    assert_eq!(converted.access_log[0].filter, Some(AccessLogFilter::ResponseFlags(vec!["NR".to_owned()])));

    let direction = NoOp { place: "envoy.config.listener.v3.Listener", name: "traffic_direction" };
    assert_eq!(report.no_ops.get(&direction), Some(&1));
    assert_eq!(report.no_ops.get(&NoOp { place: "HTTP filter", name: "stats.PluginConfig" }), Some(&1));
    assert!(report.no_ops.keys().all(|no_op| no_op.name != "stat_prefix"), "what is not set is not counted");
    assert!(report.refusals.is_empty());
}

#[test]
fn tcp_chains() {
    let converted = convert(&tcp_listener()).unwrap();
    assert!(converted.proxy_protocol && !converted.tls_inspector);
    let chain = &converted.filter_chains[0];
    assert_eq!(chain.matches.application_protocols, ["istio", "istio-peer-exchange"]);
    assert_eq!(chain.tls, None);
    assert_eq!(tcp(&converted, 0).clusters[0].name, "outbound_.80_._.shop.default.svc.cluster.local");
    assert_eq!(tcp(&converted, 0).idle_timeout, Some(Duration::from_secs(3600)));
    let weights: Vec<_> = tcp(&converted, 1).clusters.iter().map(|target| target.weight).collect();
    assert_eq!(weights, [1, 3]);
    assert_eq!(tcp(&converted, 1).idle_timeout, None);
    assert_eq!(tcp(&converted, 1).max_downstream_connection_duration, Some(Duration::from_secs(60)));
}

#[test]
fn conditions_of_a_chain() {
    let conditions = json!({"destination_port": 443, "transport_protocol": "raw_buffer",
        "prefix_ranges": [{"address_prefix": "10.1.2.3", "prefix_len": 8}],
        "source_prefix_ranges": [{"address_prefix": "fd00::", "prefix_len": 16}]});
    let converted = convert(&with(listener(), "/filter_chains/0/filter_chain_match", conditions)).unwrap();
    let matches = &converted.filter_chains[0].matches;
    assert_eq!(matches.destination_port, Some(443));
    assert_eq!(matches.transport_protocol, Some(TransportProtocol::RawBuffer));
    assert_eq!(matches.destination_ranges, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(matches.source_ranges, ["fd00::/16".parse().unwrap()]);
}

#[test]
fn refusals_name_the_field() {
    let chain = "/filter_chains/0";
    let filter =
        |message: &str| (format!("{chain}/filters/0"), json!({"name": "x", "typed_config": any(message, json!({}))}));
    let typed = "filter_chains[0].filters[0].typed_config";
    let (rbac_at, rbac) = filter("envoy.extensions.filters.network.rbac.v3.RBAC");
    let wrapped =
        json!({"name": "x", "typed_config": typed_struct("envoy.extensions.filters.network.rbac.v3.RBAC", json!({}))});
    let cases = [
        ("/use_original_dst".to_owned(), json!(true), "use_original_dst: ".to_owned()),
        ("/bind_to_port".to_owned(), json!(false), "bind_to_port: ".to_owned()),
        ("/internal_listener".to_owned(), json!({}), "internal_listener: ".to_owned()),
        ("/additional_addresses".to_owned(), json!([{}]), "additional_addresses: ".to_owned()),
        ("/listener_filters_timeout".to_owned(), json!("-1s"), "listener_filters_timeout: is negative".to_owned()),
        ("/address".to_owned(), json!({"pipe": {"path": "/x"}}), "address.pipe: ".to_owned()),
        (
            "/address".to_owned(),
            json!({"socket_address": {"address": "host", "port_value": 1}}),
            "address.socket_address.address: \"host\" is not an IP address".to_owned(),
        ),
        (
            "/address".to_owned(),
            json!({"socket_address": {"address": "::", "port_value": 70000}}),
            "address.socket_address.port_value: 70000 is not a port".to_owned(),
        ),
        (
            "/address".to_owned(),
            json!({"socket_address": {"protocol": "UDP", "address": "::", "port_value": 7}}),
            "address.socket_address.protocol: only TCP".to_owned(),
        ),
        (
            format!("{chain}/filter_chain_match"),
            json!({"source_type": "EXTERNAL"}),
            "filter_chains[0].filter_chain_match.source_type: ".to_owned(),
        ),
        (
            format!("{chain}/filter_chain_match"),
            json!({"server_names": ["a.*"]}),
            "filter_chains[0].filter_chain_match.server_names[0]: \"a.*\" is neither".to_owned(),
        ),
        (format!("{chain}/filters"), json!([]), "filter_chains[0].filters: the last one must be".to_owned()),
        (rbac_at.clone(), rbac, format!("{typed}: network filter envoy.extensions.filters.network.rbac.v3.RBAC: ")),
        (rbac_at, wrapped, format!("{typed}: network filter envoy.extensions.filters.network.rbac.v3.RBAC: ")),
        (
            "/listener_filters/0/typed_config".to_owned(),
            any("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", json!({})),
            "listener_filters[0].typed_config: listener filter".to_owned(),
        ),
        (
            "/access_log/0/filter".to_owned(),
            json!({"duration_filter": {}}),
            "access_log[0].filter.duration_filter: ".to_owned(),
        ),
    ];
    for (pointer, change, expected) in cases {
        let refusal = convert(&with(listener(), &pointer, change)).unwrap_err();
        assert!(refusal.starts_with(&format!("0.0.0.0_8443: {expected}")), "{pointer}: {refusal}");
    }
    assert_eq!(convert(&with(listener(), "/name", json!(""))).unwrap_err(), ": name: is empty");
    let proxy_protocol = any(
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        json!({"allow_requests_without_proxy_protocol": true}),
    );
    let refusal = convert(&with(tcp_listener(), "/listener_filters/0/typed_config", proxy_protocol)).unwrap_err();
    assert!(refusal.contains("allow_requests_without_proxy_protocol"), "{refusal}");
}

#[test]
fn chains_that_overlap_are_refused() {
    let chain = listener()["filter_chains"][0].clone();
    let mut other = chain.clone();
    other["filter_chain_match"]["server_names"] = json!(["other.example.com", "*.EXAMPLE.org"]);
    let refusal = convert(&with(listener(), "/filter_chains", json!([chain, other]))).unwrap_err();
    let expected = "filter_chains[1].filter_chain_match: filter_chains[0] would take the same connections";
    assert_eq!(refusal, format!("0.0.0.0_8443: {expected}"));
    other["filter_chain_match"]["server_names"] = json!(["other.example.com"]);
    assert!(convert(&with(listener(), "/filter_chains", json!([chain, other]))).is_ok());
}

#[test]
fn what_is_explicitly_off_is_accepted() {
    for field in ["use_original_dst", "transparent", "freebind"] {
        assert!(convert(&with(listener(), &format!("/{field}"), json!(false))).is_ok(), "{field}");
    }
    assert!(convert(&with(listener(), "/enable_reuse_port", json!(true))).is_ok());
}

fn log(listener: &Listener) -> (&str, &LogFormat) {
    let AccessLogSink::File { path, format } = &listener.access_log[0].sink;
    (path, format)
}

#[test]
fn access_logs() {
    let file = |settings| any("envoy.extensions.access_loggers.file.v3.FileAccessLog", settings);
    let at = "/access_log/0/typed_config";
    let default = convert(&listener()).unwrap();
    let (path, LogFormat::Text(format)) = log(&default) else { panic!("not text") };
    assert_eq!((path, format), ("/dev/stdout", &Format::parse(DEFAULT_TEXT_FORMAT).unwrap()));

    let json_log = file(json!({"path": "/log", "log_format": {"omit_empty_values": true,
        "json_format": {"code": "%RESPONSE_CODE%", "more": {"n": 1, "b": true, "none": null, "list": ["x"]}}}}));
    let converted = convert(&with(listener(), at, json_log)).unwrap();
    let (_, LogFormat::Json { fields, omit_empty_values: true }) = log(&converted) else { panic!("not JSON") };
    assert_eq!(fields[0].0, "code");
    let JsonValue::Object(more) = &fields[1].1 else { panic!("not an object") };
    let keys: Vec<_> = more.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "list", "n", "none"]);

    let stderr = any(
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
        json!({"log_format": {"text_format_source": {"inline_string": "%PROTOCOL%\n"}}}),
    );
    assert_eq!(log(&convert(&with(listener(), at, stderr)).unwrap()).0, "/dev/stderr");

    let filter = json!({"and_filter": {"filters": [
        {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 400}}}},
        {"or_filter": {"filters": []}}]}});
    let converted = convert(&with(listener(), "/access_log/0/filter", filter)).unwrap();
    let status = AccessLogFilter::Status { comparison: Comparison::GreaterOrEqual, value: 400 };
    assert_eq!(converted.access_log[0].filter, Some(AccessLogFilter::And(vec![status, AccessLogFilter::Or(vec![])])));

    let nested = file(json!({"path": "/log", "log_format": {"json_format": {"a": {"b": "%NOPE%"}}}}));
    let refusal = convert(&with(listener(), at, nested)).unwrap_err();
    let path = r#"access_log[0].typed_config.log_format.json_format.fields["a"].fields["b"]: operator %NOPE%"#;
    assert!(refusal.contains(path), "{refusal}");
}
