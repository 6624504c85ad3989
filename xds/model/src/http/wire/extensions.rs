//! Conversion of what is around the filters: upgrades, request ids, tracing, internal addresses.

use ipnet::IpNet;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use xds_api::envoy::extensions::request_id::uuid::v3 as uuid;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::wire::address;

pub(crate) const REQUEST_ID_EXTENSIONS: ExtensionTable = ExtensionTable {
    kind: "request id extension",
    rows: &[Extension::implemented("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig")],
};

/// The upgrades that are let through.
pub(super) fn upgrades(
    wire: &[http::http_connection_manager::UpgradeConfig],
    context: &mut Context<'_>,
) -> Result<Vec<String>, Refusal> {
    let upgrades = context.each("upgrade_configs", wire, |wire, context| {
        fates! { context, wire => http::http_connection_manager::UpgradeConfig {
            [implemented "any but CONNECT-UDP"] upgrade_type;
            [implemented] enabled;
            [refused "upgrades pass the same filters"] filters;
        } }
        let name = upgrade_type.to_ascii_lowercase();
        match name.as_str() {
            "" => Err(context.refusal("upgrade_type", "is empty")),
            "connect-udp" => Err(context.refusal("upgrade_type", "CONNECT-UDP is not supported yet")),
            _ => Ok((*enabled != Some(false)).then_some(name)),
        }
    })?;
    Ok(upgrades.into_iter().flatten().collect())
}

pub(super) fn internal_addresses(
    wire: &http::http_connection_manager::InternalAddressConfig,
    context: &mut Context<'_>,
) -> Result<Vec<IpNet>, Refusal> {
    fates! { context, wire => http::http_connection_manager::InternalAddressConfig {
        [implemented] cidr_ranges;
        [refused "nothing listens on Unix domain sockets"] unix_sockets;
    } }
    context.each("cidr_ranges", cidr_ranges, address::cidr)
}

pub(super) fn check_request_id(wire: &http::RequestIdExtension, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => http::RequestIdExtension { [implemented] typed_config; } }
    context.required("typed_config", typed_config, |any, context| {
        context.extension(&REQUEST_ID_EXTENSIONS, any)?;
        let wire: uuid::UuidRequestIdConfig = context.decode(any)?;
        fates! { context, &wire => uuid::UuidRequestIdConfig {
            [no_op "there are no spans"] pack_trace_reason, use_request_id_for_trace_sampling;
        } }
        Ok(())
    })
}

/// Tracing without a provider does nothing, and istiod sends it by default.
pub(super) fn check_tracing(
    wire: &http::http_connection_manager::Tracing,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    fates! { context, wire => http::http_connection_manager::Tracing {
        [no_op "there are no spans without a provider"] client_sampling, random_sampling, overall_sampling, verbose,
            max_path_tag_length, custom_tags, spawn_upstream_span, operation, upstream_operation, no_context_propagation;
        [refused "tracing is not supported yet"] provider;
    } }
    Ok(())
}
