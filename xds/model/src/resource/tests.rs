use bytes::Bytes;
use prost::{Message, Name};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use xds_api::envoy::config::cluster::v3::Cluster;
use xds_api::envoy::config::core::v3::TypedExtensionConfig;
use xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::envoy::config::listener::v3::Listener;
use xds_api::envoy::config::route::v3::RouteConfiguration;
use xds_api::envoy::extensions::transport_sockets::tls::v3::Secret;

use crate::error::Refusal;
use crate::examples::{self, parse};
use crate::fate::Report;
use crate::http::{ExtensionConfig, HttpFilter, TypedFilter};
use crate::resource::{Resource, decode};

/// Mutated encodings that are tried of each resource.
const MUTATIONS: u32 = 10_000;

fn encoded<M: Message + Name + Default>(value: &Value) -> (String, Vec<u8>) {
    (M::type_url(), parse::<M>(value).encode_to_vec())
}

fn all() -> Vec<(String, Vec<u8>)> {
    vec![
        encoded::<Listener>(&examples::listener()),
        encoded::<Listener>(&examples::tcp_listener()),
        encoded::<RouteConfiguration>(&examples::routes()),
        encoded::<Cluster>(&examples::cluster()),
        encoded::<Cluster>(&examples::dns_cluster()),
        encoded::<ClusterLoadAssignment>(&examples::endpoints()),
        encoded::<Secret>(&examples::certificate_secret()),
        encoded::<Secret>(&examples::authorities_secret()),
        encoded::<TypedExtensionConfig>(&examples::extension()),
    ]
}

#[test]
fn what_istiod_sends_is_accepted() {
    for (type_url, bytes) in all() {
        let mut report = Report::default();
        let resource = decode(&type_url, &Bytes::from(bytes), &mut report);
        assert!(resource.is_ok_and(|resource| !resource.name().is_empty()), "{type_url}");
    }
}

#[test]
fn malformed_bytes_of_every_type_are_refused() {
    let names = [
        Listener::type_url(),
        RouteConfiguration::type_url(),
        Cluster::type_url(),
        ClusterLoadAssignment::type_url(),
        Secret::type_url(),
        TypedExtensionConfig::type_url(),
    ];
    for type_url in names {
        let refusal = decode(&type_url, &Bytes::from_static(b"\x0a\xff"), &mut Report::default()).unwrap_err();
        assert!(refusal.reason.starts_with("malformed envoy."), "{refusal}");
    }
}

#[test]
fn what_is_no_resource_is_refused() {
    let refusal = decode("type.googleapis.com/x.Y", &Bytes::new(), &mut Report::default()).unwrap_err();
    assert!(refusal.reason.contains("x.Y"), "{refusal}");
}

fn extension(value: &Value) -> (Result<ExtensionConfig, Refusal>, Report) {
    let mut report = Report::default();
    let (type_url, bytes) = encoded::<TypedExtensionConfig>(value);
    let decoded = decode(&type_url, &Bytes::from(bytes), &mut report).map(|resource| match resource {
        Resource::ExtensionConfig(extension) => *extension,
        other => panic!("{other:?}"),
    });
    (decoded, report)
}

#[test]
fn a_filter_as_a_resource_is_converted_as_in_a_listener() {
    let (decoded, report) = extension(&examples::extension());
    let config = TypedFilter {
        type_name: "envoy.extensions.filters.http.rbac.v3.RBAC".to_owned(),
        filter: Some(HttpFilter::DenyAll),
    };
    let expected = ExtensionConfig { name: "edge.guard".to_owned(), config, is_confidential: false };
    assert_eq!((decoded, report.refusals), (Ok(expected), Vec::new()));
    for filter in ["envoy.extensions.filters.http.router.v3.Router", "envoy.extensions.filters.http.lua.v3.Lua"] {
        let refused = json!({"name": "edge.guard", "typed_config": examples::any(filter, json!({}))});
        let refusal = extension(&refused).0.unwrap_err();
        assert_eq!((refusal.resource.as_str(), refusal.field.as_str()), ("edge.guard", "typed_config"));
    }
    let refusal = extension(&examples::with(examples::extension(), "/name", json!(""))).0.unwrap_err();
    assert_eq!(refusal.field, "name");
}

/// As Istio's agent, where it cannot fetch a module.
#[test]
fn what_a_module_leaves_behind_follows_from_its_failure_policy() {
    let wasm = |config: Value| {
        let settings = json!({"config": config});
        json!({"name": "w", "typed_config": examples::any("envoy.extensions.filters.http.wasm.v3.Wasm", settings)})
    };
    let cases = [
        (json!({}), true),
        (json!({"fail_open": true}), false),
        (json!({"fail_open": true, "failure_policy": "FAIL_CLOSED"}), true),
        (json!({"failure_policy": "FAIL_RELOAD"}), true),
        (json!({"failure_policy": "FAIL_OPEN"}), false),
    ];
    for (config, denies) in cases {
        let (decoded, report) = extension(&wasm(config));
        assert_eq!(decoded.unwrap().config.filter, denies.then_some(HttpFilter::DenyAll));
        let [refusal] = report.refusals.as_slice() else { panic!("{report:?}") };
        assert_eq!((refusal.resource.as_str(), refusal.field.as_str()), ("w", "typed_config"));
        let expected = if denies { "requests are denied" } else { "requests pass without it" };
        assert!(refusal.reason.contains("wasm.v3.Wasm") && refusal.reason.contains(expected), "{refusal}");
    }
    let environment = |name: &str| json!({"failure_policy": "FAIL_OPEN", "vm_config": {"environment_variables": {"key_values": {name: "x"}}}});
    assert!(extension(&wasm(environment("ISTIO_META_WASM_IMAGE_PULL_SECRET"))).0.unwrap().is_confidential);
    assert!(!extension(&wasm(environment("ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"))).0.unwrap().is_confidential);
}

#[test]
fn empty_resources_are_refused() {
    for (type_url, _) in all() {
        let refused = decode(&type_url, &Bytes::new(), &mut Report::default()).is_err();
        let may_be_empty = type_url == RouteConfiguration::type_url() || type_url == ClusterLoadAssignment::type_url();
        assert_eq!(refused, !may_be_empty, "{type_url}");
    }
}

#[test]
fn mutated_bytes_never_panic() {
    for (seed, (type_url, bytes)) in (0..).zip(all()) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut accepted = 0;
        for _ in 0..MUTATIONS {
            let mutated = Bytes::from(mutate(bytes.clone(), &mut random));
            accepted += u32::from(decode(&type_url, &mutated, &mut Report::default()).is_ok());
        }
        // Some mutations must get past the decoder, or the conversions were not tried at all.
        assert!(accepted > MUTATIONS / 100, "{type_url}: {accepted}");
    }
}

/// Changes, inserts, removes or repeats some bytes.
fn mutate(mut bytes: Vec<u8>, random: &mut SmallRng) -> Vec<u8> {
    for _ in 0..random.random_range(1..4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..5) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes.insert(at, random.random()),
            3 => drop(bytes.remove(at)),
            _ => {
                let end = (at + random.random_range(0..32)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
    bytes
}
