use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};

use super::{from_json, parse, to_json, to_redacted_json};
use crate::envoy::config::bootstrap::v3::Bootstrap;
use crate::envoy::config::core::v3::{DataSource, data_source::Specifier};
use crate::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use crate::envoy::extensions::transport_sockets::tls::v3::{Secret, TlsCertificate, secret};
use crate::{Any, type_url};

#[test]
fn what_is_written_is_read_back() {
    let document = json!({
        "node": {"id": "router~10.0.0.1~a.b~b.svc", "metadata": {"LABELS": {"app": "x"}, "N": [1.0, null, true]}},
        "static_resources": {"listeners": [{
            "name": "a",
            "listener_filters_timeout": "0.250s",
            "filter_chains": [{"filters": [{
                "name": "http",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "p",
                    "use_remote_address": true,
                    "http_filters": [{
                        "name": "router",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                            "start_child_span": true,
                        },
                    }],
                },
            }]}],
        }]},
        "stats_flush_interval": "5s",
    });
    let encoded = from_json("envoy.config.bootstrap.v3.Bootstrap", document.clone()).unwrap();
    assert_eq!(to_json("envoy.config.bootstrap.v3.Bootstrap", &encoded).unwrap(), document);

    let bootstrap: Bootstrap = parse(document).unwrap();
    assert_eq!(bootstrap.static_resources.unwrap().listeners[0].name, "a");
}

#[test]
fn camel_case_names_are_read_too() {
    let listener: Listener = parse(json!({"statPrefix": "p", "listenerFiltersTimeout": "1s"})).unwrap();
    assert_eq!(listener.stat_prefix, "p");
    assert_eq!(listener.listener_filters_timeout.unwrap().seconds, 1);
}

#[test]
fn an_error_says_where_it_is() {
    let chain = |filter: Value| json!({"filter_chains": [{"filters": [{"name": "ok"}, filter]}]});
    let typed = |config: Value| chain(json!({"typed_config": config}));
    let hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let cases = [
        (json!({"nme": 1}), "nme: envoy.config.listener.v3.Listener has no such field"),
        (
            chain(json!({"nam": ""})),
            "filter_chains[0].filters[1].nam: envoy.config.listener.v3.Filter has no such field",
        ),
        (json!({"filter_chains": {}}), "filter_chains: must be a list"),
        (json!({"filter_chains": [7]}), "filter_chains[0]: must be an object"),
        (
            typed(json!({"@type": "x/y.Z"})),
            "filter_chains[0].filters[1].typed_config.@type: no message type is called \"y.Z\"",
        ),
        (
            typed(json!({"stat_prefix": "x"})),
            "filter_chains[0].filters[1].typed_config: must have \"@type\", the type of the message in it",
        ),
        (
            typed(json!({"@type": hcm, "http_filters": [{"nam": ""}]})),
            "filter_chains[0].filters[1].typed_config.http_filters[0].nam: \
             envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter has no such field",
        ),
        (
            typed(json!({"@type": hcm, "route_config": {}, "rds": {}})),
            "filter_chains[0].filters[1].typed_config.route_config: cannot be given together with rds",
        ),
        (json!({"stat_prefix": "a", "statPrefix": "b"}), ": given twice"),
    ];
    for (document, expected) in cases {
        let error = from_json(type_url::LISTENER, document.clone()).unwrap_err();
        assert!(error.to_string().contains(expected), "{document}: {error}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_place() {
    let document = json!({"filter_chains": [{"transport_socket_connect_timeout": "soon"}]});
    let error = from_json(type_url::LISTENER, document).unwrap_err();
    assert_eq!(error.path(), "filter_chains[0].transport_socket_connect_timeout");
    let document = json!({"drain_type": "SOMETIMES"});
    assert_eq!(from_json(type_url::LISTENER, document).unwrap_err().path(), "drain_type");
}

#[test]
fn null_means_absent() {
    let document = json!({"name": null, "address": null, "filter_chains": null, "use_original_dst": null});
    assert_eq!(parse::<Listener>(document).unwrap(), Listener::default());
}

#[test]
fn endless_nesting_is_refused() {
    let mut permission = json!({"any": true});
    for _ in 0..500 {
        permission = json!({"not_rule": permission});
    }
    let error = from_json("envoy.config.rbac.v3.Permission", permission).unwrap_err();
    assert!(error.to_string().ends_with("nested deeper than 100"), "{error}");
}

#[test]
fn an_unknown_any_spoils_nothing_else() {
    let unknown = Any { type_url: "example.com/no.Such".into(), value: Bytes::from_static(b"\x01\x02") };
    let malformed = Any { type_url: type_url::ROUTER.into(), value: Bytes::from_static(b"\x0a\xff") };
    let known = Any::pack(&crate::stats::PluginConfig { debug: true, ..Default::default() });
    let written = to_json(type_url::LISTENER, &listener_with([unknown, malformed, known]).encode_to_vec()).unwrap();

    assert_eq!(written["name"], "kept");
    let config = |index: usize| &written["filter_chains"][0]["filters"][index]["typed_config"];
    assert_eq!(config(0), &json!({"@type": "example.com/no.Such", "value": "AQI="}));
    assert_eq!(config(1), &json!({"@type": type_url::ROUTER, "value": "Cv8="}));
    assert_eq!(config(2), &json!({"@type": type_url::ISTIO_STATS, "debug": true}));
}

#[test]
fn a_value_without_json_form_spoils_nothing_else() {
    let endless = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    let listener = Listener { name: "kept".into(), listener_filters_timeout: Some(endless), ..Default::default() };
    let written = to_json(type_url::LISTENER, &listener.encode_to_vec()).unwrap();
    assert_eq!(written["name"], "kept");
    assert_eq!(
        written["listener_filters_timeout"],
        json!({"@type": "google.protobuf.Duration", "value": "CP//////////fw=="})
    );
}

#[test]
fn a_typed_struct_is_written_as_it_was_sent() {
    let document = json!({
        "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
        "type_url": "type.googleapis.com/io.istio.http.peer_metadata.Config",
        "value": {"upstream_discovery": [{"istio_headers": {}}]},
    });
    let encoded = from_json("google.protobuf.Any", document.clone()).unwrap();
    assert_eq!(to_json("google.protobuf.Any", &encoded).unwrap(), document);
}

#[test]
fn secrets_are_redacted() {
    let inline = |text: &str| {
        Some(DataSource { specifier: Some(Specifier::InlineBytes(text.to_owned().into())), ..Default::default() })
    };
    let certificate = TlsCertificate {
        certificate_chain: inline("public"),
        private_key: inline("private"),
        password: Some(DataSource { specifier: Some(Specifier::Filename("/p".into())), ..Default::default() }),
        ..Default::default()
    };
    let secret = Secret { name: "s".into(), r#type: Some(secret::Type::TlsCertificate(certificate)) };
    let encoded = Any::pack(&secret).encode_to_vec();

    let shown = to_json("google.protobuf.Any", &encoded).unwrap();
    assert_eq!(shown["tls_certificate"]["private_key"]["inline_bytes"], "cHJpdmF0ZQ==");
    let redacted = to_redacted_json("google.protobuf.Any", &encoded).unwrap();
    assert_eq!(
        redacted["tls_certificate"],
        json!({
            "certificate_chain": {"inline_bytes": "cHVibGlj"},
            "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="},
            "password": {"filename": "[redacted]"},
        })
    );
}

#[test]
fn every_type_url_is_described() {
    for (constant, url) in type_url::ALL {
        assert!(to_json(url, &[]).is_ok(), "{constant} is {url}, which no definition has");
    }
}

fn listener_with<const COUNT: usize>(configs: [Any; COUNT]) -> Listener {
    let filter = |config| Filter { config_type: Some(filter::ConfigType::TypedConfig(config)), ..Default::default() };
    let filters = configs.into_iter().map(filter).collect();
    Listener {
        name: "kept".into(),
        filter_chains: vec![FilterChain { filters, ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn the_environment_of_a_module_is_not_shown() {
    let variables = json!({"key_values": {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "{\"auths\": \"hidden\"}"}});
    let module = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {"name": "edge.module", "vm_config": {"environment_variables": variables}},
    });
    let name = "envoy.config.core.v3.TypedExtensionConfig";
    let encoded = from_json(name, json!({"name": "module", "typed_config": module})).unwrap();
    let shown = to_redacted_json(name, &encoded).unwrap().to_string();
    assert!(shown.contains("edge.module") && shown.contains("[redacted]") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn an_any_without_a_type_has_no_fields() {
    let filter = Filter { name: "x".to_owned(), config_type: Some(filter::ConfigType::TypedConfig(Any::default())) };
    let written = to_json("envoy.config.listener.v3.Filter", &filter.encode_to_vec()).unwrap();
    assert_eq!(written, json!({"name": "x", "typed_config": {}}));
}
