//! Tracing as istiod sets it without a provider: headers are passed on, nothing is reported.

use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing;
use xds_api::envoy::r#type::metadata::v3::metadata_key::PathSegment;
use xds_api::envoy::r#type::metadata::v3::metadata_key::path_segment::Segment;
use xds_api::envoy::r#type::metadata::v3::metadata_kind::{Kind, Request};
use xds_api::envoy::r#type::metadata::v3::{MetadataKey, MetadataKind};
use xds_api::envoy::r#type::tracing::v3::CustomTag;
use xds_api::envoy::r#type::tracing::v3::custom_tag::{Literal, Metadata, Type};
use xds_api::envoy::r#type::v3::Percent;

use crate::mesh::Mesh;
use crate::mesh::services::CLUSTER_ID;

/// Share of requests that are sampled, Istio's default.
const RANDOM_SAMPLING_PERCENT: f64 = 1.0;

pub(super) fn tracing(mesh: &Mesh) -> Tracing {
    let percent = |value| Some(Percent { value });
    Tracing {
        client_sampling: percent(100.0),
        random_sampling: percent(RANDOM_SAMPLING_PERCENT),
        overall_sampling: percent(100.0),
        custom_tags: vec![
            dry_run("allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
            dry_run("allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
            dry_run("deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
            dry_run("deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
            literal("istio.canonical_revision", "latest"),
            literal("istio.canonical_service", "unknown"),
            literal("istio.cluster_id", CLUSTER_ID),
            literal("istio.mesh_id", "unknown"),
            literal("istio.namespace", &mesh.namespace),
        ],
        ..Tracing::default()
    }
}

fn literal(tag: &str, value: &str) -> CustomTag {
    CustomTag { tag: tag.to_owned(), r#type: Some(Type::Literal(Literal { value: value.to_owned() })) }
}

/// What a policy on trial would have decided, as the RBAC filter leaves it in the request's metadata.
fn dry_run(tag: &str, key: &str) -> CustomTag {
    let segment = PathSegment { segment: Some(Segment::Key(key.to_owned())) };
    let metadata = Metadata {
        kind: Some(MetadataKind { kind: Some(Kind::Request(Request {})) }),
        metadata_key: Some(MetadataKey { key: "envoy.filters.http.rbac".into(), path: vec![segment] }),
        ..Metadata::default()
    };
    CustomTag { tag: format!("istio.authorization.dry_run.{tag}"), r#type: Some(Type::Metadata(metadata)) }
}
