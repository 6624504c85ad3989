//! The HTTP connection manager with the settings that istiod gives every gateway.

use std::time::Duration;

use xds_api::Any;
use xds_api::envoy::config::core::v3::Http1ProtocolOptions;
use xds_api::envoy::config::listener::v3::Filter;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier, SetCurrentClientCertDetails, UpgradeConfig,
};
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds, RequestIdExtension,
};
use xds_api::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;

use super::wire::{ads, duration};
use super::{access_log, filter_chain, http_filter, tracing};
use crate::mesh::Mesh;

/// `server` in responses.
const SERVER_NAME: &str = "istio-envoy";

/// The filter of a chain that speaks HTTP. `stat_prefix` is the name of an HTTPS server; without one the listener's name counts.
pub(super) fn filter(mesh: &Mesh, stat_prefix: &str, route_name: &str, listener: &str) -> Filter {
    let stat_prefix = if stat_prefix.is_empty() { format!("outbound_{listener};") } else { stat_prefix.to_owned() };
    let routes = Rds { config_source: Some(ads(Some(Duration::ZERO))), route_config_name: route_name.to_owned() };
    let manager = HttpConnectionManager {
        stat_prefix,
        route_specifier: Some(RouteSpecifier::Rds(routes)),
        http_filters: http_filter::all(),
        access_log: access_log::logs(mesh),
        tracing: Some(tracing::tracing(mesh)),
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        server_name: SERVER_NAME.into(),
        stream_idle_timeout: Some(duration(Duration::ZERO)),
        use_remote_address: Some(true),
        forward_client_cert_details: ForwardClientCertDetails::SanitizeSet as i32,
        set_current_client_cert_details: Some(SetCurrentClientCertDetails {
            subject: Some(true),
            cert: true,
            dns: true,
            uri: true,
            ..SetCurrentClientCertDetails::default()
        }),
        proxy_100_continue: true,
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".into(), ..UpgradeConfig::default() }],
        normalize_path: Some(true),
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged as i32,
        request_id_extension: Some(request_id()),
        ..HttpConnectionManager::default()
    };
    filter_chain::filter("envoy.filters.network.http_connection_manager", Any::pack(&manager))
}

fn request_id() -> RequestIdExtension {
    let config =
        UuidRequestIdConfig { use_request_id_for_trace_sampling: Some(true), ..UuidRequestIdConfig::default() };
    RequestIdExtension { typed_config: Some(Any::pack(&config)) }
}
