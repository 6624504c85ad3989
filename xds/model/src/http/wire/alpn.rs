//! Conversion of `istio.alpn`.

use xds_api::istio::envoy::config::filter::http::alpn::v2alpha1 as alpn;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::http::AlpnOverride;

pub(super) fn convert(wire: &alpn::FilterConfig, context: &mut Context<'_>) -> Result<AlpnOverride, Refusal> {
    fates! { context, wire => alpn::FilterConfig { [implemented] alpn_override; } }
    let mut protocols = AlpnOverride::default();
    for (protocol, names) in context.each("alpn_override", alpn_override, entry)? {
        match protocol {
            alpn::filter_config::Protocol::Http10 => protocols.http10 = names,
            alpn::filter_config::Protocol::Http11 => protocols.http11 = names,
            alpn::filter_config::Protocol::Http2 => protocols.http2 = names,
        }
    }
    Ok(protocols)
}

fn entry(
    wire: &alpn::filter_config::AlpnOverride,
    context: &mut Context<'_>,
) -> Result<(alpn::filter_config::Protocol, Vec<String>), Refusal> {
    fates! { context, wire => alpn::filter_config::AlpnOverride { [implemented] upstream_protocol, alpn_override; } }
    Ok((context.enumeration("upstream_protocol", *upstream_protocol)?, alpn_override.clone()))
}
