use bytes::Bytes;
use prost::{Message, Name};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use xds_api::envoy::config::cluster::v3::Cluster;
use xds_api::envoy::config::core::v3::TypedExtensionConfig;
use xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::envoy::config::listener::v3::Listener;
use xds_api::envoy::config::route::v3::RouteConfiguration;
use xds_api::envoy::extensions::transport_sockets::tls::v3::Secret;

use crate::examples::{self, parse};
use crate::fate::Report;
use crate::resource::decode;

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

    let (type_url, bytes) = encoded::<TypedExtensionConfig>(&serde_json::json!({
        "name": "default.my-wasm",
        "typed_config": examples::any("envoy.extensions.filters.http.router.v3.Router", serde_json::json!({})),
    }));
    let refusal = decode(&type_url, &Bytes::from(bytes), &mut Report::default()).unwrap_err();
    assert_eq!((refusal.resource.as_str(), refusal.field.as_str()), ("default.my-wasm", "typed_config"));
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
