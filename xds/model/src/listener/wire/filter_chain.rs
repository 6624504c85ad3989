//! Conversion of filter chains and their conditions.

use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::config::listener::v3 as listener;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::listener::wire::network_filter;
use crate::listener::{FilterChain, FilterChainMatch, TransportProtocol};
use crate::tls::DownstreamTls;
use crate::wire::{address, number};

pub(crate) const TRANSPORT_SOCKETS: ExtensionTable = ExtensionTable {
    kind: "transport socket of a listener",
    rows: &[
        Extension::implemented("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
        Extension::no_op(
            "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
            "the same as no transport socket",
        ),
        Extension::refused("envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport", "only TCP is served"),
    ],
};

pub(super) fn convert(wire: &listener::FilterChain, context: &mut Context<'_>) -> Result<FilterChain, Refusal> {
    fates! { context, wire => listener::FilterChain {
        [implemented] name, filter_chain_match, filters, transport_socket, transport_socket_connect_timeout;
        [no_op "nothing reads it"] metadata;
        [refused "use the listener filter"] use_proxy_proto if *use_proxy_proto == Some(true);
    } }
    Ok(FilterChain {
        name: name.clone(),
        matches: context.optional("filter_chain_match", filter_chain_match, conditions)?.unwrap_or_default(),
        tls: context.optional("transport_socket", transport_socket, transport_socket_of)?.flatten(),
        transport_socket_connect_timeout: number::bound(
            "transport_socket_connect_timeout",
            transport_socket_connect_timeout,
            None,
            context,
        )?,
        terminal: network_filter::convert(filters, context)?,
    })
}

fn conditions(wire: &listener::FilterChainMatch, context: &mut Context<'_>) -> Result<FilterChainMatch, Refusal> {
    fates! { context, wire => listener::FilterChainMatch {
        [implemented] destination_port, prefix_ranges, server_names, transport_protocol, application_protocols,
            source_prefix_ranges;
        [refused "this condition is not supported"] address_suffix, suffix_len, direct_source_prefix_ranges, source_type,
            source_ports;
    } }
    Ok(FilterChainMatch {
        destination_port: destination_port.map(|value| number::port("destination_port", value, context)).transpose()?,
        destination_ranges: context.each("prefix_ranges", prefix_ranges, address::cidr)?,
        server_names: context.each("server_names", server_names, |wire, context| server_name(wire, context))?,
        transport_protocol: match transport_protocol.as_str() {
            "" => None,
            "tls" => Some(TransportProtocol::Tls),
            "raw_buffer" => Some(TransportProtocol::RawBuffer),
            other => return Err(context.refusal("transport_protocol", format_args!("{other:?} is not supported"))),
        },
        application_protocols: application_protocols.clone(),
        source_ranges: context.each("source_prefix_ranges", source_prefix_ranges, address::cidr)?,
    })
}

/// Exact, or with a wildcard for the first label; Envoy rejects any other asterisk.
fn server_name(wire: &str, context: &mut Context<'_>) -> Result<String, Refusal> {
    let suffix = wire.strip_prefix("*.").unwrap_or(wire);
    if suffix.is_empty() || suffix.contains('*') {
        return Err(context.refusal_here(format_args!("{wire:?} is neither a host name nor *. and one")));
    }
    Ok(wire.to_ascii_lowercase())
}

fn transport_socket_of(
    wire: &core::TransportSocket,
    context: &mut Context<'_>,
) -> Result<Option<DownstreamTls>, Refusal> {
    let any = transport_socket(wire, context)?;
    context.within("typed_config", |context| match context.extension(&TRANSPORT_SOCKETS, any)? {
        Some(_) => DownstreamTls::convert(&context.decode(any)?, context).map(Some),
        None => Ok(None),
    })
}

/// The typed configuration of a transport socket, on either side.
pub(crate) fn transport_socket<'w>(
    wire: &'w core::TransportSocket,
    context: &mut Context<'_>,
) -> Result<&'w xds_api::Any, Refusal> {
    fates! { context, wire => core::TransportSocket {
            [elsewhere "for people; transport sockets are told apart by type"] name;
        }
        oneof config_type { [implemented] typed_config; }
    }
    match config_type {
        Some(core::transport_socket::ConfigType::TypedConfig(any)) => Ok(any),
        None => Err(context.refusal("typed_config", "is missing")),
    }
}
