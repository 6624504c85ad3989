//! Conversion of the rules for `x-forwarded-client-cert`.

use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::http::{ForwardClientCert, ForwardClientCertMode};

pub(super) fn convert(
    mode: i32,
    details: &Option<http::http_connection_manager::SetCurrentClientCertDetails>,
    context: &mut Context<'_>,
) -> Result<ForwardClientCert, Refusal> {
    use http::http_connection_manager::ForwardClientCertDetails as Details;
    let mode = match context.enumeration("forward_client_cert_details", mode)? {
        Details::Sanitize => ForwardClientCertMode::Sanitize,
        Details::ForwardOnly => ForwardClientCertMode::ForwardOnly,
        Details::AppendForward => ForwardClientCertMode::AppendForward,
        Details::SanitizeSet => ForwardClientCertMode::SanitizeSet,
        Details::AlwaysForwardOnly => ForwardClientCertMode::AlwaysForwardOnly,
    };
    let nothing = ForwardClientCert { mode, subject: false, cert: false, chain: false, dns: false, uri: false };
    let written =
        context.optional("set_current_client_cert_details", details, |wire, context| parts(wire, mode, context))?;
    Ok(written.unwrap_or(nothing))
}

fn parts(
    wire: &http::http_connection_manager::SetCurrentClientCertDetails,
    mode: ForwardClientCertMode,
    context: &mut Context<'_>,
) -> Result<ForwardClientCert, Refusal> {
    fates! { context, wire => http::http_connection_manager::SetCurrentClientCertDetails {
        [implemented] subject, cert, chain, dns, uri;
        [refused "the issuer is not written"] issuer;
        [refused "the header is text"] format;
    } }
    Ok(ForwardClientCert { mode, subject: subject.unwrap_or(false), cert: *cert, chain: *chain, dns: *dns, uri: *uri })
}
