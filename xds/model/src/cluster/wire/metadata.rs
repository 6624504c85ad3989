//! Conversion of Istio's facts about a cluster, and of the filters it puts into every cluster.

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;

use crate::cluster::{IstioMetadata, IstioService};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::wire::metadata::{Namespace, is_true, namespaces, objects, text};

pub(crate) const UPSTREAM_FILTERS: ExtensionTable = ExtensionTable {
    kind: "network filter of a cluster",
    rows: &[Extension::no_op(
        "envoy.tcp.metadataexchange.config.MetadataExchange",
        "peers exchange metadata for statistics only; its ALPN protocol is not offered",
    )],
};

pub(super) fn convert(wire: &core::Metadata, context: &mut Context<'_>) -> Result<IstioMetadata, Refusal> {
    let Some(istio) = namespaces(wire, context)?.get("istio").map(|istio| &istio.fields) else {
        return Ok(IstioMetadata::default());
    };
    Ok(IstioMetadata {
        services: objects(istio, "services").into_iter().map(service).collect(),
        alpn_override_disabled: text(istio, "alpn_override").is_some_and(|value| value == "false"),
        external: is_true(istio, "external"),
        subset: text(istio, "subset"),
        config: text(istio, "config"),
    })
}

fn service(object: &Namespace) -> IstioService {
    let text = |key| text(object, key).unwrap_or_default();
    IstioService { host: text("host"), name: text("name"), namespace: text("namespace") }
}

/// Refuses filters that would do something.
pub(super) fn check_filters(wire: &[cluster::Filter], context: &mut Context<'_>) -> Result<(), Refusal> {
    context.each("filters", wire, |wire, context| {
        fates! { context, wire => cluster::Filter {
            [elsewhere "for people; filters are told apart by type"] name;
            [implemented] typed_config;
            [refused "filters are not fetched one by one"] config_discovery;
        } }
        context.required("typed_config", typed_config, |any, context| context.extension(&UPSTREAM_FILTERS, any))
    })?;
    Ok(())
}
