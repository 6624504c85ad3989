//! Conversion of protocol options, which listeners and clusters share.

use std::time::Duration;

use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::http::header_formatters::preserve_case::v3 as preserve_case;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Downstream, Extension, ExtensionTable, Upstream, fates};
use crate::http::HeadersWithUnderscores;
use crate::wire::extension::typed_config;
use crate::wire::number::{bound, duration};

pub(crate) const HEADER_FORMATTERS: ExtensionTable = ExtensionTable {
    kind: "header formatter",
    rows: &[Extension::implemented(
        "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
    )
    .with_note("on a cluster, what the listener says holds")],
};

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
    pub(crate) preserve_case: bool,
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
        [implemented] accept_http_10, header_key_format;
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
    Ok(Http1Options {
        accept_http_10: *accept_http_10,
        preserve_case: context.optional("header_key_format", header_key_format, keeps_case)?.unwrap_or(false),
    })
}

fn keeps_case(
    wire: &core::http1_protocol_options::HeaderKeyFormat,
    context: &mut Context<'_>,
) -> Result<bool, Refusal> {
    fates! { context, wire => core::http1_protocol_options::HeaderKeyFormat {}
        oneof header_format {
            [implemented] stateful_formatter;
            [refused "names are lower case, or as they came"] proper_case_words;
        }
    }
    use core::http1_protocol_options::header_key_format::HeaderFormat;
    match header_format {
        Some(HeaderFormat::StatefulFormatter(wire)) => context.within("stateful_formatter", |context| {
            let any = typed_config(wire, context)?;
            context.within("typed_config", |context| {
                context.extension(&HEADER_FORMATTERS, any)?;
                check_preserve_case(&context.decode(any)?, context)
            })?;
            Ok(true)
        }),
        Some(HeaderFormat::ProperCaseWords(_)) => {
            Err(context.refused_member::<core::http1_protocol_options::HeaderKeyFormat>("proper_case_words"))
        }
        None => Ok(false),
    }
}

fn check_preserve_case(
    wire: &preserve_case::PreserveCaseFormatterConfig,
    context: &mut Context<'_>,
) -> Result<(), Refusal> {
    fates! { context, wire => preserve_case::PreserveCaseFormatterConfig {
        [no_op "names that are added are lower case"] formatter_type_on_envoy_headers;
        [refused "reason phrases are not passed on"] forward_reason_phrase;
    } }
    Ok(())
}

fn underscores(action: i32, context: &Context<'_>) -> Result<HeadersWithUnderscores, Refusal> {
    use core::http_protocol_options::HeadersWithUnderscoresAction as Action;
    Ok(match context.enumeration("headers_with_underscores_action", action)? {
        Action::Allow => HeadersWithUnderscores::Allow,
        Action::RejectRequest => HeadersWithUnderscores::Reject,
        Action::DropHeader => HeadersWithUnderscores::Drop,
    })
}
