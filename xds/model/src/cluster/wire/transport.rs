//! Conversion of how a cluster's connections are secured.

use xds_api::envoy::config::cluster::v3 as cluster;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::cluster::wire::protocol::ServerNames;
use crate::cluster::{Transport, TransportMatch, TransportSocket};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::listener::wire::transport_socket;
use crate::tls::UpstreamTls;
use crate::wire::metadata::texts;

pub(crate) const TRANSPORT_SOCKETS: ExtensionTable = ExtensionTable {
    kind: "transport socket of a cluster",
    rows: &[
        Extension::implemented("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
        Extension::implemented("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
        Extension::no_op(
            "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
            "in transport_socket_matches only: endpoints that need HBONE are refused one by one",
        ),
        Extension::refused(
            "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
            "PROXY protocol is not written to upstreams yet",
        ),
        Extension::refused(
            "envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport",
            "HTTP/3 is not supported",
        ),
    ],
};

pub(super) fn convert(
    default: &Option<core::TransportSocket>,
    matches: &[cluster::cluster::TransportSocketMatch],
    names: ServerNames,
    context: &mut Context<'_>,
) -> Result<Transport, Refusal> {
    let default = context.optional("transport_socket", default, |wire, context| {
        let missing = "HBONE is not supported yet";
        socket(wire, names, context)?.ok_or_else(|| context.refusal("typed_config", missing))
    })?;
    let matches =
        context.each("transport_socket_matches", matches, |wire, context| transport_match(wire, names, context))?;
    Ok(Transport {
        matches: matches.into_iter().flatten().collect(),
        default: default.unwrap_or(TransportSocket::RawBuffer),
    })
}

fn transport_match(
    wire: &cluster::cluster::TransportSocketMatch,
    names: ServerNames,
    context: &mut Context<'_>,
) -> Result<Option<TransportMatch>, Refusal> {
    fates! { context, wire => cluster::cluster::TransportSocketMatch {
        [implemented] name, transport_socket;
        [implemented "texts only"] r#match;
    } }
    let criteria = r#match.as_ref().map(|criteria| texts(&criteria.fields)).unwrap_or_default();
    if criteria.len() != r#match.as_ref().map_or(0, |criteria| criteria.fields.len()) {
        return Err(context.refusal("match", "holds a value that is not a text"));
    }
    let socket =
        context.required("transport_socket", transport_socket, |wire, context| socket(wire, names, context))?;
    Ok(socket.map(|socket| TransportMatch { name: name.clone(), criteria, socket }))
}

/// The transport socket; nothing if no endpoint that is used needs it.
fn socket(
    wire: &core::TransportSocket,
    names: ServerNames,
    context: &mut Context<'_>,
) -> Result<Option<TransportSocket>, Refusal> {
    let any = transport_socket(wire, context)?;
    context.within("typed_config", |context| {
        if context.extension(&TRANSPORT_SOCKETS, any)?.is_none() {
            return Ok(None);
        }
        if !xds_api::is::<tls::UpstreamTlsContext>(any) {
            return Ok(Some(TransportSocket::RawBuffer));
        }
        let mut tls = UpstreamTls::convert(&context.decode(any)?, context)?;
        tls.auto_sni = names.auto_sni;
        tls.auto_san_validation = names.auto_san_validation;
        Ok(Some(TransportSocket::Tls(Box::new(tls))))
    })
}
