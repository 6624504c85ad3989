//! Conversion of network filters: what comes before the last one has no effect or is refused.

use xds_api::Any;
use xds_api::envoy::config::listener::v3 as listener;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::http::HttpConnectionManager;
use crate::listener::TerminalFilter;
use crate::listener::wire::tcp_proxy;

pub(crate) const NETWORK_FILTERS: ExtensionTable = ExtensionTable {
    kind: "network filter",
    rows: &[
        Extension::implemented("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        Extension::implemented("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
        Extension::no_op("stats.PluginConfig", "Istio's statistics come with telemetry"),
        Extension::no_op(
            "envoy.tcp.metadataexchange.config.MetadataExchange",
            "peers exchange metadata for statistics only; its ALPN protocol is not offered",
        ),
        Extension::refused("envoy.extensions.filters.network.rbac.v3.RBAC", "authorization is not supported yet"),
        Extension::refused(
            "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
            "authorization is not supported yet",
        ),
        Extension::refused("envoy.extensions.filters.network.set_filter_state.v3.Config", "HBONE is not supported yet"),
        Extension::refused("envoy.extensions.filters.network.wasm.v3.Wasm", "WebAssembly is not supported"),
        Extension::refused("envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy", OPAQUE),
        Extension::refused("envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy", OPAQUE),
        Extension::refused("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy", OPAQUE),
    ],
};
const OPAQUE: &str = "the protocol is not looked into: declare the port as TCP";

pub(super) fn convert(wire: &[listener::Filter], context: &mut Context<'_>) -> Result<TerminalFilter, Refusal> {
    let mut filters = context.each("filters", wire, filter)?;
    let last = filters.pop().flatten();
    if filters.iter().any(Option::is_some) {
        return Err(context.refusal("filters", "a filter follows the one that ends the chain"));
    }
    last.ok_or_else(|| context.refusal("filters", "the last one must be an HTTP connection manager or a TCP proxy"))
}

fn filter(wire: &listener::Filter, context: &mut Context<'_>) -> Result<Option<TerminalFilter>, Refusal> {
    fates! { context, wire => listener::Filter {
            [elsewhere "for people; filters are told apart by type"] name;
        }
        oneof config_type {
            [implemented] typed_config;
            [refused "filters are not fetched one by one"] config_discovery;
        }
    }
    use listener::filter::ConfigType;
    match config_type {
        Some(ConfigType::TypedConfig(any)) => context.within("typed_config", |context| terminal(any, context)),
        Some(ConfigType::ConfigDiscovery(_)) => Err(context.refused_member::<listener::Filter>("config_discovery")),
        None => Err(context.refusal("typed_config", "is missing")),
    }
}

fn terminal(any: &Any, context: &mut Context<'_>) -> Result<Option<TerminalFilter>, Refusal> {
    if context.extension(&NETWORK_FILTERS, any)?.is_none() {
        return Ok(None);
    }
    let terminal = if xds_api::is::<http::HttpConnectionManager>(any) {
        TerminalFilter::Http(Box::new(HttpConnectionManager::convert(&context.decode(any)?, context)?))
    } else {
        TerminalFilter::Tcp(Box::new(tcp_proxy::convert(&context.decode(any)?, context)?))
    };
    Ok(Some(terminal))
}
