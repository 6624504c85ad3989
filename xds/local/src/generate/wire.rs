//! Parts that many messages have.

use std::collections::BTreeMap;
use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use xds_api::Any;
use xds_api::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use xds_api::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, Metadata, SocketAddress, TransportSocket, address,
    socket_address, transport_socket,
};
use xds_api::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher};
use xds_api::udpa::r#type::v1::TypedStruct;

use crate::object::metadata::Metadata as ObjectMetadata;

/// Under this key Istio keeps its facts in metadata.
pub(super) const ISTIO: &str = "istio";

/// A duration on the wire; what is too long for it is the longest.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().unwrap_or(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 })
}

/// This stream, with a bound on the wait for the first answer.
pub(super) fn ads(initial_fetch_timeout: Option<Duration>) -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: initial_fetch_timeout.map(duration),
        resource_api_version: ApiVersion::V3 as i32,
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    }
}

/// An IP address or DNS name with a port.
pub(super) fn socket_address(address: &str, port: u32) -> Address {
    let address = SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(address)) }
}

pub(super) fn exact(text: &str) -> StringMatcher {
    string_matcher(string_matcher::MatchPattern::Exact(text.to_owned()))
}

pub(super) fn string_matcher(pattern: string_matcher::MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

pub(super) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.to_owned(), ..RegexMatcher::default() }
}

/// A pattern for exactly this text.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

pub(super) fn transport_socket(name: &str, config: Any) -> TransportSocket {
    TransportSocket { name: name.to_owned(), config_type: Some(transport_socket::ConfigType::TypedConfig(config)) }
}

/// Configuration of an extension whose message is not public, as Istio wraps it.
pub(super) fn typed_struct(message: &str, value: Struct) -> Any {
    let type_url = format!("type.googleapis.com/{message}");
    Any::pack(&TypedStruct { type_url, value: Some(value) })
}

pub(super) fn structure<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

pub(super) fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

pub(super) fn boolean(value: bool) -> Value {
    Value { kind: Some(Kind::BoolValue(value)) }
}

pub(super) fn object(value: Struct) -> Value {
    Value { kind: Some(Kind::StructValue(value)) }
}

pub(super) fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

/// Metadata with Istio's facts.
pub(super) fn istio_metadata(fields: BTreeMap<String, Value>) -> Metadata {
    let filter_metadata = BTreeMap::from([(ISTIO.to_owned(), Struct { fields })]);
    Metadata { filter_metadata, ..Metadata::default() }
}

/// The path of the object that something comes from.
pub(super) fn config_path(kind: &str, metadata: &ObjectMetadata) -> Value {
    text(&format!("/apis/networking.istio.io/v1/namespaces/{}/{kind}/{}", metadata.namespace, metadata.name))
}

/// Name of the cluster of a service's port and subset.
pub(super) fn cluster_name(port: u32, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The same as a server name that gateways between networks understand.
pub(super) fn cluster_sni(port: u32, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

/// A host and port, an IPv6 address in brackets.
pub(super) fn host_port(host: &str, port: u32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
