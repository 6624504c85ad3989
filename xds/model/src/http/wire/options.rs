//! Conversion of protocol options, which listeners and clusters share.

use std::time::Duration;

use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Downstream, Upstream, fates};
use crate::http::HeadersWithUnderscores;
use crate::wire::number::{bound, duration};

/// `core.v3.HttpProtocolOptions`; what is absent is `None`.
#[derive(Default)]
pub(crate) struct CommonOptions {
    /// Zero lifts the bound.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_connection_duration: Option<Duration>,
    pub(crate) max_stream_duration: Option<Duration>,
    pub(crate) max_headers_count: Option<u32>,
    pub(crate) max_requests_per_connection: Option<u32>,
    pub(crate) headers_with_underscores: Option<HeadersWithUnderscores>,
}

/// `core.v3.Http1ProtocolOptions`.
#[derive(Default)]
pub(crate) struct Http1Options {
    pub(crate) accept_http_10: bool,
}

/// Options of the side of clients.
pub(crate) fn downstream(
    wire: &core::HttpProtocolOptions,
    context: &mut Context<'_>,
) -> Result<CommonOptions, Refusal> {
    fates! { context, wire => core::HttpProtocolOptions as Downstream {
        [implemented] idle_timeout, max_connection_duration, max_headers_count, max_stream_duration,
            headers_with_underscores_action, max_requests_per_connection;
        [no_op "spreads the ends of connections; they are spread anyway"] max_connection_duration_jitter;
        [refused "is for clusters"] max_response_headers_kb;
    } }
    Ok(CommonOptions {
        idle_timeout: duration("idle_timeout", idle_timeout, context)?,
        max_connection_duration: bound("max_connection_duration", max_connection_duration, None, context)?,
        max_stream_duration: bound("max_stream_duration", max_stream_duration, None, context)?,
        max_headers_count: match max_headers_count {
            Some(0) => return Err(context.refusal("max_headers_count", "must be at least 1")),
            count => *count,
        },
        max_requests_per_connection: max_requests_per_connection.filter(|requests| *requests != 0),
        headers_with_underscores: Some(underscores(*headers_with_underscores_action, context)?),
    })
}

/// Options of the side of upstreams.
pub(crate) fn upstream(wire: &core::HttpProtocolOptions, context: &mut Context<'_>) -> Result<CommonOptions, Refusal> {
    fates! { context, wire => core::HttpProtocolOptions as Upstream {
        [implemented] idle_timeout, max_requests_per_connection;
        [no_op "a connection is used as long as it is good"] max_connection_duration, max_connection_duration_jitter;
        [refused "the bounds of responses are fixed"] max_headers_count, max_response_headers_kb;
        [refused "is for listeners and routes"] max_stream_duration, headers_with_underscores_action;
    } }
    Ok(CommonOptions {
        idle_timeout: duration("idle_timeout", idle_timeout, context)?,
        max_requests_per_connection: max_requests_per_connection.filter(|requests| *requests != 0),
        ..CommonOptions::default()
    })
}

/// Options of HTTP/1 on either side.
pub(crate) fn http1(wire: &core::Http1ProtocolOptions, context: &mut Context<'_>) -> Result<Http1Options, Refusal> {
    fates! { context, wire => core::Http1ProtocolOptions {
        [implemented] accept_http_10;
        [no_op "header names are sent in lower case"] header_key_format;
        [no_op "there is one parser"] use_balsa_parser;
        [refused "both forms of a target are accepted"] allow_absolute_url if *allow_absolute_url == Some(false);
        [refused "a request without a host is refused"] default_host_for_http_10;
        [refused "trailers end at an HTTP/1 connection"] enable_trailers;
        [refused "two lengths in one message make it ambiguous"] allow_chunked_length;
        [refused "a connection with a malformed message is closed"] override_stream_error_on_invalid_http_message
            if *override_stream_error_on_invalid_http_message == Some(true);
        [refused "upstreams get the path as target"] send_fully_qualified_url;
        [refused "methods are fixed"] allow_custom_methods;
        [refused "upgrades are decided by upgrade_configs"] ignore_http_11_upgrade;
    } }
    Ok(Http1Options { accept_http_10: *accept_http_10 })
}

fn underscores(action: i32, context: &Context<'_>) -> Result<HeadersWithUnderscores, Refusal> {
    use core::http_protocol_options::HeadersWithUnderscoresAction as Action;
    Ok(match context.enumeration("headers_with_underscores_action", action)? {
        Action::Allow => HeadersWithUnderscores::Allow,
        Action::RejectRequest => HeadersWithUnderscores::Reject,
        Action::DropHeader => HeadersWithUnderscores::Drop,
    })
}
