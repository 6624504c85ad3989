//! Between the protocol's own types and the messages.

use std::sync::Arc;

use xds_api::envoy::config::core::v3::Node;
use xds_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use xds_api::google::rpc::Status;

use crate::delta::{Received, Request, Response};

/// `google.rpc.Code.INVALID_ARGUMENT`, which Envoy sends with every NACK.
const INVALID_ARGUMENT: i32 = 3;

pub(super) fn request(request: Request, node: &Node) -> DeltaDiscoveryRequest {
    let Request { type_url, with_node, subscribe, unsubscribe, initial_versions, nonce, error } = request;
    let names = |names: Vec<Arc<str>>| names.iter().map(ToString::to_string).collect();
    DeltaDiscoveryRequest {
        node: with_node.then(|| node.clone()),
        type_url: type_url.to_owned(),
        resource_names_subscribe: names(subscribe),
        resource_names_unsubscribe: names(unsubscribe),
        initial_resource_versions: initial_versions
            .iter()
            .map(|(name, version)| (name.to_string(), version.to_string()))
            .collect(),
        response_nonce: nonce,
        error_detail: error.map(|message| Status { code: INVALID_ARGUMENT, message, ..Status::default() }),
        ..DeltaDiscoveryRequest::default()
    }
}

/// A resource without a body gets an empty one. It is refused for its name, which is not in there.
pub(super) fn response(response: DeltaDiscoveryResponse) -> Response {
    let DeltaDiscoveryResponse { type_url, nonce, resources, removed_resources, .. } = response;
    let no_version: Arc<str> = Arc::from("");
    let resources = resources
        .into_iter()
        .map(|resource| Received {
            name: resource.name.into(),
            version: if resource.version.is_empty() { no_version.clone() } else { resource.version.into() },
            body: resource.resource.map(|any| any.value).unwrap_or_default(),
        })
        .collect();
    Response { type_url, nonce, resources, removed: removed_resources }
}
