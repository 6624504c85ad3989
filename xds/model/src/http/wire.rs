//! Conversion of the HTTP connection manager.

mod alpn;
mod client_cert;
mod discovery;
mod extensions;
mod filters;
pub(crate) mod options;
mod rbac;
#[cfg(test)]
mod tests;
mod wasm;

use std::time::Duration;

use xds_api::envoy::extensions::filters::network::http_connection_manager::v3 as http;

use crate::access_log::AccessLog;
use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::http::{
    Codec, EscapedSlashes, HeadersWithUnderscores, HttpConnectionManager, PathNormalization, RouteSource, ServerHeader,
};
use crate::http2::{self, Http2Options};
use crate::route::RouteConfiguration;
use crate::wire::number::bound;
use crate::wire::source;

pub(crate) use extensions::REQUEST_ID_EXTENSIONS;
pub(crate) use filters::HTTP_FILTERS;

/// Envoy's default of `server_name`.
const DEFAULT_SERVER_NAME: &str = "envoy";
/// Envoy's default of `stream_idle_timeout`.
const DEFAULT_STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Envoy's default of `common_http_protocol_options.idle_timeout`.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Envoy's default of `max_request_headers_kb`, and the most it takes.
const DEFAULT_REQUEST_HEADERS_KB: u32 = 60;
const MAXIMUM_REQUEST_HEADERS_KB: u32 = 8192;
/// Envoy's default of `common_http_protocol_options.max_headers_count`.
const DEFAULT_HEADERS_COUNT: u32 = 100;

impl HttpConnectionManager {
    /// Converts a connection manager.
    pub(crate) fn convert(wire: &http::HttpConnectionManager, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => http::HttpConnectionManager {
                [implemented "AUTO, HTTP1 and HTTP2"] codec_type;
                [implemented] stat_prefix, http_filters, tracing, common_http_protocol_options, http_protocol_options, server_name,
                    server_header_transformation, max_request_headers_kb, stream_idle_timeout, request_timeout,
                    request_headers_timeout, access_log, use_remote_address, xff_num_trusted_hops,
                    internal_address_config, skip_xff_append, generate_request_id, preserve_external_request_id,
                    always_set_request_id_in_response, forward_client_cert_details, set_current_client_cert_details,
                    proxy_100_continue, upgrade_configs, normalize_path, merge_slashes, path_with_escaped_slashes_action,
                    request_id_extension, append_x_forwarded_port, http2_protocol_options;
                [no_op "HTTP/3 is not offered"] http3_protocol_options;
                [no_op "a connection is closed with Envoy's default delay"] delayed_close_timeout;
                [no_op "time between the two notices of HTTP/2; HTTP/1 has none"] drain_timeout;
                [no_op "spreads the ends of connections; they are spread anyway"] drain_timeout_jitter;
                [no_op "no filter reads it"] add_proxy_protocol_connection_state;
                [refused "User-Agent is passed as it is"] add_user_agent if *add_user_agent == Some(true);
                [refused "the scheme follows from the connection"] scheme_header_transformation, forward_proto_config;
                [refused "the client's address comes from the connection, the PROXY protocol or x-forwarded-for"]
                    original_ip_detection_extensions;
                [refused "headers are changed by routes only"] early_header_mutation_extensions, via;
                [refused "one rule holds for all clients"] forward_client_cert_matcher;
                [refused "local replies have a fixed form"] local_reply_config, proxy_status_config;
                [refused "the authority is matched and forwarded as it is"] strip_matching_host_port, strip_trailing_host_dot;
                [refused "a connection with a malformed message is closed"] stream_error_on_invalid_http_message
                    if *stream_error_on_invalid_http_message == Some(true);
                [refused "paths are normalised by the three switches"] path_normalization_options;
                [refused "headers are always validated"] typed_header_validation_config;
                [refused "requests are logged when they end"] access_log_flush_interval, flush_access_log_on_new_request,
                    access_log_options;
                [refused "not supported"] stream_flush_timeout, http1_safe_max_connection_duration,
                    represent_ipv4_remote_address_as_ipv4_mapped_ipv6, append_local_overload;
            }
            oneof route_specifier {
                [implemented] rds, route_config;
                [refused "routes are not scoped"] scoped_routes;
            }
            oneof strip_port_mode { [refused "the authority is matched and forwarded as it is"] strip_any_host_port; }
        }
        match strip_port_mode {
            None | Some(http::http_connection_manager::StripPortMode::StripAnyHostPort(false)) => {}
            Some(http::http_connection_manager::StripPortMode::StripAnyHostPort(true)) => {
                return Err(context.refused_member::<http::HttpConnectionManager>("strip_any_host_port"));
            }
        }
        context.optional("tracing", tracing, extensions::check_tracing)?;
        context.optional("request_id_extension", request_id_extension, extensions::check_request_id)?;
        let common = context
            .optional("common_http_protocol_options", common_http_protocol_options, options::downstream)?
            .unwrap_or_default();
        let http1 =
            context.optional("http_protocol_options", http_protocol_options, options::http1)?.unwrap_or_default();
        Ok(Self {
            stat_prefix: stat_prefix.clone(),
            codec: codec(*codec_type, context)?,
            http2: context
                .optional("http2_protocol_options", http2_protocol_options, http2::wire::downstream)?
                .unwrap_or(Http2Options::DOWNSTREAM),
            routes: route_source(route_specifier, context)?,
            filters: filters::convert(http_filters, context)?,
            use_remote_address: use_remote_address.unwrap_or(false),
            xff_num_trusted_hops: *xff_num_trusted_hops,
            internal_addresses: context
                .optional("internal_address_config", internal_address_config, extensions::internal_addresses)?
                .unwrap_or_default(),
            forward_client_cert: client_cert::convert(
                *forward_client_cert_details,
                set_current_client_cert_details,
                context,
            )?,
            server_name: if server_name.is_empty() { DEFAULT_SERVER_NAME.to_owned() } else { server_name.clone() },
            server_header: server_header(*server_header_transformation, context)?,
            generate_request_id: generate_request_id.unwrap_or(true),
            preserve_external_request_id: *preserve_external_request_id,
            tracing: tracing.is_some(),
            always_set_request_id_in_response: *always_set_request_id_in_response,
            append_x_forwarded_port: *append_x_forwarded_port,
            skip_xff_append: *skip_xff_append,
            proxy_100_continue: *proxy_100_continue,
            accept_http_10: http1.accept_http_10,
            path_normalization: PathNormalization {
                normalize: normalize_path.unwrap_or(false),
                merge_slashes: *merge_slashes,
                escaped_slashes: escaped_slashes(*path_with_escaped_slashes_action, context)?,
            },
            headers_with_underscores: common.headers_with_underscores.unwrap_or(HeadersWithUnderscores::Allow),
            upgrades: extensions::upgrades(upgrade_configs, context)?,
            stream_idle_timeout: bound(
                "stream_idle_timeout",
                stream_idle_timeout,
                Some(DEFAULT_STREAM_IDLE_TIMEOUT),
                context,
            )?,
            request_timeout: bound("request_timeout", request_timeout, None, context)?,
            request_headers_timeout: bound("request_headers_timeout", request_headers_timeout, None, context)?,
            idle_timeout: common.idle_timeout.map_or(Some(DEFAULT_IDLE_TIMEOUT), non_zero),
            max_connection_duration: common.max_connection_duration,
            max_stream_duration: common.max_stream_duration,
            max_requests_per_connection: common.max_requests_per_connection,
            max_request_headers_kb: match max_request_headers_kb.unwrap_or(DEFAULT_REQUEST_HEADERS_KB) {
                kib @ 1..=MAXIMUM_REQUEST_HEADERS_KB => kib,
                _ => return Err(context.refusal("max_request_headers_kb", "must be between 1 and 8192")),
            },
            max_headers_count: common.max_headers_count.unwrap_or(DEFAULT_HEADERS_COUNT),
            access_log: context.each("access_log", access_log, AccessLog::convert)?,
        })
    }
}

fn codec(codec: i32, context: &Context<'_>) -> Result<Codec, Refusal> {
    use http::http_connection_manager::CodecType;
    Ok(match context.enumeration("codec_type", codec)? {
        CodecType::Auto => Codec::Auto,
        CodecType::Http1 => Codec::Http1,
        CodecType::Http2 => Codec::Http2,
        CodecType::Http3 => return Err(context.refusal("codec_type", "HTTP/3 is not offered")),
    })
}

fn route_source(
    wire: &Option<http::http_connection_manager::RouteSpecifier>,
    context: &mut Context<'_>,
) -> Result<RouteSource, Refusal> {
    use http::http_connection_manager::RouteSpecifier as Specifier;
    match wire {
        Some(Specifier::Rds(wire)) => context.within("rds", |context| rds(wire, context)),
        Some(Specifier::RouteConfig(wire)) => {
            let table = context.within("route_config", |context| RouteConfiguration::convert(wire, context))?;
            Ok(RouteSource::Inline(Box::new(table)))
        }
        Some(Specifier::ScopedRoutes(_)) => Err(context.refused_member::<http::HttpConnectionManager>("scoped_routes")),
        None => Err(context.refusal("route_specifier", "is missing")),
    }
}

fn rds(wire: &http::Rds, context: &mut Context<'_>) -> Result<RouteSource, Refusal> {
    fates! { context, wire => http::Rds { [implemented] config_source, route_config_name; } }
    context.required("config_source", config_source, source::ads)?;
    if route_config_name.is_empty() {
        return Err(context.refusal("route_config_name", "is empty"));
    }
    Ok(RouteSource::Rds(route_config_name.clone()))
}

fn server_header(transformation: i32, context: &Context<'_>) -> Result<ServerHeader, Refusal> {
    use http::http_connection_manager::ServerHeaderTransformation as Transformation;
    Ok(match context.enumeration("server_header_transformation", transformation)? {
        Transformation::Overwrite => ServerHeader::Overwrite,
        Transformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
        Transformation::PassThrough => ServerHeader::PassThrough,
    })
}

fn escaped_slashes(action: i32, context: &Context<'_>) -> Result<EscapedSlashes, Refusal> {
    use http::http_connection_manager::PathWithEscapedSlashesAction as Action;
    Ok(match context.enumeration("path_with_escaped_slashes_action", action)? {
        Action::ImplementationSpecificDefault | Action::KeepUnchanged => EscapedSlashes::KeepUnchanged,
        Action::RejectRequest => EscapedSlashes::Reject,
        Action::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        Action::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    })
}

fn non_zero(duration: Duration) -> Option<Duration> {
    Some(duration).filter(|duration| !duration.is_zero())
}
