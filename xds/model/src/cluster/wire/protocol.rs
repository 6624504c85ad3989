//! Conversion of what is spoken to a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use xds_api::Any;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::upstreams::http::v3 as http;

use crate::cluster::{Transport, TransportSocket, UpstreamProtocol};
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Extension, ExtensionTable, fates};
use crate::http::wire::options;
use crate::http2::{self, Http2Options};

pub(crate) const PROTOCOL_OPTIONS: ExtensionTable = ExtensionTable {
    kind: "protocol options of a cluster",
    rows: &[Extension::implemented("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")],
};

/// What the protocol options of a cluster say.
pub(super) struct Options {
    pub(super) protocol: UpstreamProtocol,
    pub(super) http2: Http2Options,
    /// Zero lifts the bound.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_requests_per_connection: Option<u32>,
    pub(super) server_names: ServerNames,
}

/// How the names of a TLS server follow from a request.
#[derive(Clone, Copy, Default)]
pub(super) struct ServerNames {
    pub(super) auto_sni: bool,
    pub(super) auto_san_validation: bool,
}

pub(super) fn convert(wire: &BTreeMap<String, Any>, context: &mut Context<'_>) -> Result<Options, Refusal> {
    let mut options = Options {
        protocol: UpstreamProtocol::Http1,
        http2: Http2Options::UPSTREAM,
        idle_timeout: None,
        max_requests_per_connection: None,
        server_names: ServerNames::default(),
    };
    for (key, any) in wire {
        options = context.entry("typed_extension_protocol_options", key, |context| {
            context.extension(&PROTOCOL_OPTIONS, any)?;
            http_options(&context.decode(any)?, context)
        })?;
    }
    Ok(options)
}

fn http_options(wire: &http::HttpProtocolOptions, context: &mut Context<'_>) -> Result<Options, Refusal> {
    fates! { context, wire => http::HttpProtocolOptions {
            [implemented] common_http_protocol_options, upstream_http_protocol_options;
            [no_op "what is an error is not configured: answers of 5xx are"] outlier_detection;
            [refused "what is hashed is a matter of routes"] hash_policy;
            [refused "requests pass the filters of the listener only"] http_filters;
            [refused "headers are always validated"] header_validation_config;
            [refused "mirroring is not supported yet"] request_mirror_policies;
            [refused "retries are a matter of routes"] retry_policy;
        }
        oneof upstream_protocol_options {
            [implemented] explicit_http_config, use_downstream_protocol_config;
            [implemented "all transport sockets must be TLS"] auto_config;
        }
    }
    use http::http_protocol_options::UpstreamProtocolOptions as Protocol;
    let (protocol, http2) = match upstream_protocol_options {
        Some(Protocol::ExplicitHttpConfig(wire)) => {
            context.within("explicit_http_config", |context| explicit(wire, context))?
        }
        Some(Protocol::UseDownstreamProtocolConfig(wire)) => {
            context.within("use_downstream_protocol_config", |context| use_downstream(wire, context))?
        }
        Some(Protocol::AutoConfig(wire)) => context.within("auto_config", |context| auto(wire, context))?,
        None => (UpstreamProtocol::Http1, Http2Options::UPSTREAM),
    };
    let common = context
        .optional("common_http_protocol_options", common_http_protocol_options, options::upstream)?
        .unwrap_or_default();
    Ok(Options {
        protocol,
        http2,
        idle_timeout: common.idle_timeout,
        max_requests_per_connection: common.max_requests_per_connection,
        server_names: context
            .optional("upstream_http_protocol_options", upstream_http_protocol_options, server_names)?
            .unwrap_or_default(),
    })
}

fn explicit(
    wire: &http::http_protocol_options::ExplicitHttpConfig,
    context: &mut Context<'_>,
) -> Result<(UpstreamProtocol, Http2Options), Refusal> {
    fates! { context, wire => http::http_protocol_options::ExplicitHttpConfig {}
        oneof protocol_config {
            [implemented] http_protocol_options, http2_protocol_options;
            [refused "HTTP/3 is not supported"] http3_protocol_options;
        }
    }
    use http::http_protocol_options::explicit_http_config::ProtocolConfig;
    match protocol_config {
        Some(ProtocolConfig::HttpProtocolOptions(wire)) => {
            context.within("http_protocol_options", |context| options::http1(wire, context))?;
            Ok((UpstreamProtocol::Http1, Http2Options::UPSTREAM))
        }
        Some(ProtocolConfig::Http2ProtocolOptions(wire)) => {
            let options = context.within("http2_protocol_options", |context| http2::wire::upstream(wire, context))?;
            Ok((UpstreamProtocol::Http2, options))
        }
        Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
            Err(context.refused_member::<http::http_protocol_options::ExplicitHttpConfig>("http3_protocol_options"))
        }
        None => Err(context.refusal("protocol_config", "is missing")),
    }
}

fn use_downstream(
    wire: &http::http_protocol_options::UseDownstreamHttpConfig,
    context: &mut Context<'_>,
) -> Result<(UpstreamProtocol, Http2Options), Refusal> {
    fates! { context, wire => http::http_protocol_options::UseDownstreamHttpConfig {
        [implemented] http_protocol_options, http2_protocol_options;
        [no_op "HTTP/3 is not offered"] http3_protocol_options;
    } }
    context.optional("http_protocol_options", http_protocol_options, options::http1)?;
    let options = context.optional("http2_protocol_options", http2_protocol_options, http2::wire::upstream)?;
    Ok((UpstreamProtocol::UseDownstream, options.unwrap_or(Http2Options::UPSTREAM)))
}

fn auto(
    wire: &http::http_protocol_options::AutoHttpConfig,
    context: &mut Context<'_>,
) -> Result<(UpstreamProtocol, Http2Options), Refusal> {
    fates! { context, wire => http::http_protocol_options::AutoHttpConfig {
        [implemented] http_protocol_options, http2_protocol_options;
        [refused "HTTP/3 is not supported"] http3_protocol_options, alternate_protocols_cache_options;
    } }
    context.optional("http_protocol_options", http_protocol_options, options::http1)?;
    let options = context.optional("http2_protocol_options", http2_protocol_options, http2::wire::upstream)?;
    Ok((UpstreamProtocol::Auto, options.unwrap_or(Http2Options::UPSTREAM)))
}

/// Refuses what Envoy refuses, too: a choice by ALPN where there may be no TLS.
pub(super) fn check_transport(
    protocol: UpstreamProtocol,
    transport: &Transport,
    context: &Context<'_>,
) -> Result<(), Refusal> {
    let mut sockets = transport.matches.iter().map(|entry| &entry.socket).chain([&transport.default]);
    if protocol == UpstreamProtocol::Auto && sockets.any(|socket| *socket == TransportSocket::RawBuffer) {
        return Err(
            context.refusal("typed_extension_protocol_options", "auto_config needs TLS in all transport sockets")
        );
    }
    Ok(())
}

fn server_names(wire: &core::UpstreamHttpProtocolOptions, context: &mut Context<'_>) -> Result<ServerNames, Refusal> {
    fates! { context, wire => core::UpstreamHttpProtocolOptions {
        [implemented] auto_sni, auto_san_validation;
        [refused "names come from the authority"] override_auto_sni_header;
    } }
    Ok(ServerNames { auto_sni: *auto_sni, auto_san_validation: *auto_san_validation })
}
