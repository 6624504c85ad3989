//! Conversion of HTTP filters.

use xds_api::Any;
use xds_api::envoy::extensions::filters::http::{rbac::v3 as rbac_filter, router::v3 as router};
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;
use xds_api::istio::envoy::config::filter::http::alpn::v2alpha1 as istio_alpn;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::http::HttpFilter;
use crate::http::wire::{alpn, discovery, rbac};

pub(crate) const HTTP_FILTERS: ExtensionTable = ExtensionTable {
    kind: "HTTP filter",
    rows: &[
        Extension::implemented("envoy.extensions.filters.http.router.v3.Router").with_note("the last one"),
        Extension::implemented("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
        Extension::implemented("io.istio.http.peer_metadata.Config")
            .with_note("its headers are kept from crossing the edge; nothing is discovered"),
        Extension::no_op("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", "statistics of gRPC come later"),
        Extension::no_op("stats.PluginConfig", "Istio's statistics come with telemetry"),
        Extension::no_op_if_empty("envoy.extensions.filters.http.fault.v3.HTTPFault", PER_ROUTE),
        Extension::no_op_if_empty("envoy.extensions.filters.http.cors.v3.Cors", PER_ROUTE),
        Extension::implemented("envoy.extensions.filters.http.rbac.v3.RBAC").with_note("without policies"),
        Extension::refused("envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", AUTHENTICATION),
        Extension::refused("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "authorization is not supported yet"),
        Extension::refused("envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor", "not supported yet"),
        Extension::refused("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", "gRPC-Web is not supported yet"),
        Extension::refused(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
            "sessions are not supported yet",
        ),
        Extension::refused(
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "rate limits are not supported yet",
        ),
        Extension::refused("envoy.extensions.filters.http.ratelimit.v3.RateLimit", "rate limits are not supported yet"),
        Extension::refused("envoy.extensions.filters.http.lua.v3.Lua", "Lua is not supported"),
        Extension::refused(
            "envoy.extensions.filters.http.wasm.v3.Wasm",
            "WebAssembly is not supported; over ECDS its failure policy decides whether requests pass without it or are denied",
        ),
    ],
};
const PER_ROUTE: &str = "routes switch it on, and those that do are refused one by one";
const AUTHENTICATION: &str = "authentication of requests is not supported yet";

/// What a filter comes to.
pub(super) enum Converted {
    Nothing,
    Filter(HttpFilter),
    Router,
}

/// The filters that do something, in order. The router must be the last.
pub(super) fn convert(wire: &[http::HttpFilter], context: &mut Context<'_>) -> Result<Vec<HttpFilter>, Refusal> {
    let mut converted = context.each("http_filters", wire, filter)?;
    if !matches!(converted.pop(), Some(Converted::Router)) {
        return Err(context.refusal("http_filters", "the last one must be the router"));
    }
    let mut filters = Vec::new();
    for filter in converted {
        match filter {
            Converted::Nothing => {}
            Converted::Filter(filter) => filters.push(filter),
            Converted::Router => return Err(context.refusal("http_filters", "a filter follows the router")),
        }
    }
    Ok(filters)
}

fn filter(wire: &http::HttpFilter, context: &mut Context<'_>) -> Result<Converted, Refusal> {
    fates! { context, wire => http::HttpFilter {
            [elsewhere "of the configuration, if that is discovered; else for people: filters are told apart by type"] name;
            [refused "every filter counts"] is_optional;
            [refused "filters are not switched by routes"] disabled;
        }
        oneof config_type {
            [implemented] typed_config, config_discovery;
        }
    }
    use http::http_filter::ConfigType;
    match config_type {
        Some(ConfigType::TypedConfig(any)) => context.within("typed_config", |context| typed_config(any, context)),
        Some(ConfigType::ConfigDiscovery(_)) if wire.name.is_empty() => Err(context.refusal("name", "is empty")),
        Some(ConfigType::ConfigDiscovery(source)) => {
            let filter =
                context.within("config_discovery", |context| discovery::filter(&wire.name, source, context))?;
            Ok(Converted::Filter(HttpFilter::Discovered(Box::new(filter))))
        }
        None => Err(context.refusal("typed_config", "is missing")),
    }
}

pub(super) fn typed_config(any: &Any, context: &mut Context<'_>) -> Result<Converted, Refusal> {
    match context.extension(&HTTP_FILTERS, any)? {
        None => Ok(Converted::Nothing),
        Some("io.istio.http.peer_metadata.Config") => Ok(Converted::Filter(HttpFilter::MetadataExchange)),
        Some(_) if xds_api::is::<istio_alpn::FilterConfig>(any) => {
            alpn::convert(&context.decode(any)?, context).map(HttpFilter::AlpnOverride).map(Converted::Filter)
        }
        Some(_) if xds_api::is::<rbac_filter::Rbac>(any) => {
            Ok(rbac::convert(&context.decode(any)?, context)?.map_or(Converted::Nothing, Converted::Filter))
        }
        Some(_) => check_router(&context.decode(any)?, context).map(|()| Converted::Router),
    }
}

fn check_router(wire: &router::Router, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => router::Router {
        [no_op "statistics only"] dynamic_stats, suppress_grpc_request_failure_code_stats;
        [no_op "there are no spans"] start_child_span;
        [refused "x-envoy-* headers are always written"] suppress_envoy_headers;
        [refused "upstream requests are logged with their request"] upstream_log, upstream_log_options;
        [refused "not supported"] strict_check_headers, respect_expected_rq_timeout, upstream_http_filters,
            reject_connect_request_early_data if *reject_connect_request_early_data == Some(true);
    } }
    Ok(())
}
