//! Conversion of listener filters.

use xds_api::envoy::config::listener::v3 as listener;
use xds_api::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol;
use xds_api::envoy::extensions::filters::listener::tls_inspector::v3 as tls_inspector;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};

pub(crate) const LISTENER_FILTERS: ExtensionTable = ExtensionTable {
    kind: "listener filter",
    rows: &[
        Extension::implemented("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"),
        Extension::implemented("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
        Extension::no_op(
            "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
            "filter chains are not chosen by the HTTP version of clear text",
        ),
        Extension::refused(
            "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
            "connections are not redirected to their original destination",
        ),
        Extension::refused(
            "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
            "upstream connections have the gateway's address",
        ),
    ],
};

/// Which listener filters there are.
#[derive(Default)]
pub(super) struct ListenerFilters {
    pub(super) proxy_protocol: bool,
    pub(super) tls_inspector: bool,
}

pub(super) fn convert(
    wire: &[listener::ListenerFilter],
    context: &mut Context<'_>,
) -> Result<ListenerFilters, Refusal> {
    let kinds = context.each("listener_filters", wire, listener_filter)?;
    Ok(ListenerFilters {
        proxy_protocol: kinds.contains(&Some(Kind::ProxyProtocol)),
        tls_inspector: kinds.contains(&Some(Kind::TlsInspector)),
    })
}

#[derive(PartialEq)]
enum Kind {
    ProxyProtocol,
    TlsInspector,
}

fn listener_filter(wire: &listener::ListenerFilter, context: &mut Context<'_>) -> Result<Option<Kind>, Refusal> {
    fates! { context, wire => listener::ListenerFilter {
            [elsewhere "for people; filters are told apart by type"] name;
            [refused "a filter works for every connection"] filter_disabled;
        }
        oneof config_type {
            [implemented] typed_config;
            [refused "filters are not fetched one by one"] config_discovery;
        }
    }
    use listener::listener_filter::ConfigType;
    match config_type {
        Some(ConfigType::TypedConfig(any)) => context.within("typed_config", |context| kind(any, context)),
        Some(ConfigType::ConfigDiscovery(_)) => {
            Err(context.refused_member::<listener::ListenerFilter>("config_discovery"))
        }
        None => Err(context.refusal("typed_config", "is missing")),
    }
}

fn kind(any: &xds_api::Any, context: &mut Context<'_>) -> Result<Option<Kind>, Refusal> {
    if context.extension(&LISTENER_FILTERS, any)?.is_none() {
        return Ok(None);
    }
    if xds_api::is::<proxy_protocol::ProxyProtocol>(any) {
        check_proxy_protocol(&context.decode(any)?, context)?;
        return Ok(Some(Kind::ProxyProtocol));
    }
    check_tls_inspector(&context.decode(any)?, context)?;
    Ok(Some(Kind::TlsInspector))
}

fn check_proxy_protocol(wire: &proxy_protocol::ProxyProtocol, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => proxy_protocol::ProxyProtocol {
        [no_op "names of statistics"] stat_prefix;
        [no_op "nothing reads TLVs"] rules, tlv_location;
        [refused "the header is required on every connection"] allow_requests_without_proxy_protocol;
        [refused "both versions are accepted"] disallowed_versions;
        [refused "TLVs are not passed on"] pass_through_tlvs;
    } }
    Ok(())
}

fn check_tls_inspector(wire: &tls_inspector::TlsInspector, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => tls_inspector::TlsInspector {
        [no_op "the buffer grows with the ClientHello up to a fixed bound"] initial_read_buffer_size;
        [refused "fingerprints are not taken"] enable_ja3_fingerprinting if *enable_ja3_fingerprinting == Some(true),
            enable_ja4_fingerprinting if *enable_ja4_fingerprinting == Some(true);
        [refused "the bound is fixed"] max_client_hello_size;
        [refused "what is no ClientHello is taken for clear text"] close_connection_on_client_hello_parsing_errors;
    } }
    Ok(())
}
