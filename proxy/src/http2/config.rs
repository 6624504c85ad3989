//! What a connection is told and held to, from what the control plane wants.

use h2::{AbuseLimits, Config};
use xds_model::http2::Http2Options;

/// Bytes of heads and trailers of all requests of a connection that are under way: compressed, a little goes a long way. Heads of usual
/// size never come near it.
const MOST_HEAD_BYTES: usize = 1 << 20;

/// The same for each stream, where so many are allowed that this is more.
const MOST_HEAD_BYTES_EACH: usize = 4 << 10;

/// As the options say; what they do not say is ours.
pub fn http2_config(options: &Http2Options) -> Config {
    Config {
        max_concurrent_streams: options.max_concurrent_streams,
        initial_stream_window: options.initial_stream_window_size,
        initial_connection_window: options.initial_connection_window_size,
        allow_connect: options.allow_connect,
        heads: h1::Limits::DEFAULT,
        most_head_bytes: MOST_HEAD_BYTES_EACH
            .saturating_mul(options.max_concurrent_streams as usize)
            .max(MOST_HEAD_BYTES),
        close_on_malformed_message: !options.stream_error_on_invalid_message,
        abuse: AbuseLimits::DEFAULT,
    }
}
