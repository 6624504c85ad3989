//! Conversion of the settings of HTTP/2.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

use xds_api::envoy::config::core::v3 as core;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Downstream, Upstream, fates};
use crate::http2::{Http2Keepalive, Http2Options};
use crate::wire::number::{duration, percent};

/// What Envoy accepts, which is what RFC 9113 allows.
const STREAMS: RangeInclusive<u32> = 1..=0x7fff_ffff;
const WINDOW: RangeInclusive<u32> = 65_535..=0x7fff_ffff;
/// Envoy's default of `interval_jitter`, percent.
const DEFAULT_JITTER: u8 = 15;
/// The shortest time that Envoy accepts here.
const SHORTEST_TIME: Duration = Duration::from_millis(1);

/// Converts what is said of clients.
pub(crate) fn downstream(
    wire: &core::Http2ProtocolOptions,
    context: &mut Context<'_>,
) -> Result<Http2Options, Refusal> {
    fates! { context, wire => core::Http2ProtocolOptions as Downstream {
        [elsewhere] max_concurrent_streams, initial_stream_window_size, initial_connection_window_size,
            override_stream_error_on_invalid_http_message, stream_error_on_invalid_http_messaging, connection_keepalive;
        [implemented] allow_connect;
        [no_op "floods are stopped by fixed limits of their own (docs/limits.md)"] max_outbound_frames,
            max_outbound_control_frames, max_consecutive_inbound_frames_with_empty_payload,
            max_inbound_priority_frames_per_stream, max_inbound_window_update_frames_per_data_frame_sent,
            stream_reset_burst, stream_reset_rate;
        [no_op "heads are read with a table of 4 KiB and written without one"] hpack_table_size;
        [no_op "heads are written without Huffman's code"] enable_huffman_encoding;
        [no_op "the bound of the whole head holds for its fields, too"] max_header_field_size_kb;
        [no_op "METADATA frames are unknown frames, and are skipped"] allow_metadata, max_metadata_size;
        [no_op "there is one codec"] use_oghttp2_codec;
        [refused "no other settings are sent"] custom_settings_parameters;
        [refused "values may hold bytes that are not ASCII"] disallow_obs_text if *disallow_obs_text == Some(true);
    } }
    Ok(Http2Options { allow_connect: *allow_connect, ..common(wire, Http2Options::DOWNSTREAM, context)? })
}

/// Converts what is said of endpoints.
pub(crate) fn upstream(wire: &core::Http2ProtocolOptions, context: &mut Context<'_>) -> Result<Http2Options, Refusal> {
    fates! { context, wire => core::Http2ProtocolOptions as Upstream {
        [elsewhere] max_concurrent_streams, initial_stream_window_size, initial_connection_window_size,
            override_stream_error_on_invalid_http_message, stream_error_on_invalid_http_messaging, connection_keepalive;
        [no_op "endpoints that offer extended CONNECT get it, others do not (from Envoy all do)"] allow_connect;
        [no_op "floods are stopped by fixed limits of their own (docs/limits.md)"] max_outbound_frames,
            max_outbound_control_frames, max_consecutive_inbound_frames_with_empty_payload,
            max_inbound_priority_frames_per_stream, max_inbound_window_update_frames_per_data_frame_sent,
            stream_reset_burst, stream_reset_rate;
        [no_op "heads are read with a table of 4 KiB and written without one"] hpack_table_size;
        [no_op "heads are written without Huffman's code"] enable_huffman_encoding;
        [no_op "the bound of the whole head holds for its fields, too"] max_header_field_size_kb;
        [no_op "METADATA frames are unknown frames, and are skipped"] allow_metadata, max_metadata_size;
        [no_op "there is one codec"] use_oghttp2_codec;
        [refused "no other settings are sent"] custom_settings_parameters;
        [refused "values may hold bytes that are not ASCII"] disallow_obs_text if *disallow_obs_text == Some(true);
    } }
    common(wire, Http2Options::UPSTREAM, context)
}

/// What means the same on both sides; what is left out is as in `default`.
fn common(
    wire: &core::Http2ProtocolOptions,
    default: Http2Options,
    context: &mut Context<'_>,
) -> Result<Http2Options, Refusal> {
    let stated = |field, value: &Option<u32>, range, default| {
        number(field, value, range, context).map(|value| value.unwrap_or(default))
    };
    Ok(Http2Options {
        max_concurrent_streams: stated(
            "max_concurrent_streams",
            &wire.max_concurrent_streams,
            &STREAMS,
            default.max_concurrent_streams,
        )?,
        initial_stream_window_size: stated(
            "initial_stream_window_size",
            &wire.initial_stream_window_size,
            &WINDOW,
            default.initial_stream_window_size,
        )?,
        initial_connection_window_size: stated(
            "initial_connection_window_size",
            &wire.initial_connection_window_size,
            &WINDOW,
            default.initial_connection_window_size,
        )?,
        stream_error_on_invalid_message: wire
            .override_stream_error_on_invalid_http_message
            .unwrap_or(wire.stream_error_on_invalid_http_messaging),
        keepalive: context.optional("connection_keepalive", &wire.connection_keepalive, keepalive)?.flatten(),
        ..default
    })
}

/// Nothing, where no PING is ever due.
fn keepalive(wire: &core::KeepaliveSettings, context: &mut Context<'_>) -> Result<Option<Http2Keepalive>, Refusal> {
    fates! { context, wire => core::KeepaliveSettings {
        [implemented] interval, timeout, interval_jitter;
        [no_op "an idle connection is not tried before its next request: a PING at regular times finds out"] connection_idle_interval;
    } }
    let interval = time("interval", interval, context)?;
    let timeout = time("timeout", timeout, context)?.ok_or_else(|| context.refusal("timeout", "is missing"))?;
    let interval_jitter = context.optional("interval_jitter", interval_jitter, percent)?.unwrap_or(DEFAULT_JITTER);
    Ok(interval.map(|interval| Http2Keepalive { interval, timeout, interval_jitter }))
}

fn number(
    field: &'static str,
    wire: &Option<u32>,
    range: &RangeInclusive<u32>,
    context: &Context<'_>,
) -> Result<Option<u32>, Refusal> {
    match wire {
        Some(value) if !range.contains(value) => {
            Err(context.refusal(field, format_args!("must be between {} and {}", range.start(), range.end())))
        }
        value => Ok(*value),
    }
}

fn time(
    field: &'static str,
    wire: &Option<prost_types::Duration>,
    context: &Context<'_>,
) -> Result<Option<Duration>, Refusal> {
    match duration(field, wire, context)? {
        Some(time) if time < SHORTEST_TIME => Err(context.refusal(field, "must be at least 1 ms")),
        time => Ok(time),
    }
}
