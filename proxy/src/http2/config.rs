//! What a connection is told and held to, from what the control plane wants.

use h2::{AbuseLimits, Config};
use xds_model::http2::Http2Options;

/// As the options say; what they do not say is ours.
pub fn http2_config(options: &Http2Options) -> Config {
    Config {
        max_concurrent_streams: options.max_concurrent_streams,
        initial_stream_window: options.initial_stream_window_size,
        initial_connection_window: options.initial_connection_window_size,
        allow_connect: options.allow_connect,
        heads: h1::Limits::DEFAULT,
        close_on_malformed_message: !options.stream_error_on_invalid_message,
        abuse: AbuseLimits::DEFAULT,
    }
}
