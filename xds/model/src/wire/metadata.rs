//! Metadata that Istio attaches to clusters, endpoints and routes.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;

/// The values of one namespace.
pub(crate) type Namespace = BTreeMap<String, Value>;

/// The namespaces of a message's metadata. What nobody looks for has no effect, as in Envoy.
pub(crate) fn namespaces<'w>(
    wire: &'w core::Metadata,
    context: &mut Context<'_>,
) -> Result<&'w BTreeMap<String, Struct>, Refusal> {
    fates! { context, wire => core::Metadata {
        [implemented "namespaces `istio` and `envoy.transport_socket_match`"] filter_metadata;
        [no_op "no filter reads it"] typed_filter_metadata;
    } }
    Ok(filter_metadata)
}

/// The text under `key`.
pub(crate) fn text(namespace: &Namespace, key: &str) -> Option<String> {
    match namespace.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whether `key` holds true.
pub(crate) fn is_true(namespace: &Namespace, key: &str) -> bool {
    matches!(namespace.get(key).and_then(|value| value.kind.as_ref()), Some(Kind::BoolValue(true)))
}

/// The objects of the list under `key`.
pub(crate) fn objects<'a>(namespace: &'a Namespace, key: &str) -> Vec<&'a Namespace> {
    let Some(Kind::ListValue(list)) = namespace.get(key).and_then(|value| value.kind.as_ref()) else {
        return Vec::new();
    };
    let object = |value: &'a Value| match value.kind.as_ref()? {
        Kind::StructValue(object) => Some(&object.fields),
        _ => None,
    };
    list.values.iter().filter_map(object).collect()
}

/// Every text of a namespace, sorted by key.
pub(crate) fn texts(namespace: &Namespace) -> Vec<(String, String)> {
    namespace.keys().filter_map(|key| Some((key.clone(), text(namespace, key)?))).collect()
}
