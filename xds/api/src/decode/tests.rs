use bytes::Bytes;
use prost::Message;

use super::{decode, is};
use crate::Any;
use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::listener::v3::Listener;
use crate::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};

#[test]
fn what_was_packed_is_decoded() {
    let listener = Listener { name: "0.0.0.0_8080".into(), ..Default::default() };
    let any = Any::pack(&listener);
    assert_eq!(any.type_url, "type.googleapis.com/envoy.config.listener.v3.Listener");
    assert_eq!(decode::<Listener>(&any).unwrap(), listener);
}

#[test]
fn the_prefix_of_a_type_url_has_no_meaning() {
    let listener = Listener { name: "x".into(), ..Default::default() };
    for type_url in ["envoy.config.listener.v3.Listener", "a.b/c/envoy.config.listener.v3.Listener"] {
        let any = Any { type_url: type_url.into(), ..Any::pack(&listener) };
        assert_eq!(decode::<Listener>(&any).unwrap(), listener);
    }
}

#[test]
fn another_type_is_refused_by_name() {
    let any = Any::pack(&Cluster::default());
    assert!(!is::<Listener>(&any));
    let error = decode::<Listener>(&any).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\" where envoy.config.listener.v3.Listener belongs"
    );
}

#[test]
fn a_malformed_value_is_refused_by_name() {
    let any = Any { value: Bytes::from_static(&[0x0a, 0xff]), ..Any::pack(&Listener::default()) };
    let error = decode::<Listener>(&any).unwrap_err();
    assert!(error.to_string().starts_with("malformed type.googleapis.com/envoy.config.listener.v3.Listener: "));
}

#[test]
fn decoding_shares_the_buffer_of_the_response() {
    let resource = Resource { name: "x".into(), resource: Some(Any::pack(&listener_of(4096))), ..Default::default() };
    let response = DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
    let wire = Bytes::from(response.encode_to_vec());

    let decoded = DeltaDiscoveryResponse::decode(wire.clone()).unwrap();
    let value = &decoded.resources[0].resource.as_ref().unwrap().value;

    let whole = wire.as_ptr_range();
    assert!(whole.contains(&value.as_ptr()), "the resource was copied out of the response");
}

fn listener_of(size: usize) -> Listener {
    Listener { name: "x".repeat(size), ..Default::default() }
}
