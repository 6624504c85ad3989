//! Settings of HTTP/2 (`envoy.config.core.v3.Http2ProtocolOptions`), the same for clients and for upstreams.

pub(crate) mod wire;

use std::time::Duration;

/// `Http2ProtocolOptions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Options {
    /// Streams under way on one connection: what clients are told (`SETTINGS_MAX_CONCURRENT_STREAMS`), and what we open to
    /// an upstream at most.
    pub max_concurrent_streams: u32,
    /// Bytes of one stream that the peer may send before we took them (`SETTINGS_INITIAL_WINDOW_SIZE`).
    pub initial_stream_window_size: u32,
    /// Bytes of all streams that the peer may send before we took them.
    pub initial_connection_window_size: u32,
    /// Extended CONNECT (RFC 8441) is offered to clients. Upstreams get it if they offer it; there this says nothing, and is never set
    /// (Envoy 1.40: they get it in any case).
    pub allow_connect: bool,
    /// A malformed message ends its stream, not the connection (`override_stream_error_on_invalid_http_message`).
    pub stream_error_on_invalid_message: bool,
    /// PINGs that find out whether the peer is still there.
    pub keepalive: Option<Http2Keepalive>,
}

impl Http2Options {
    /// Where nothing else is said for clients. Envoy's own defaults (1024 streams, 16 MiB, 24 MiB) let one client fill
    /// 24 MiB; these are the ones that Envoy's documentation recommends for an edge.
    pub const DOWNSTREAM: Self = Self {
        max_concurrent_streams: 100,
        initial_stream_window_size: 64 * 1024,
        initial_connection_window_size: 1024 * 1024,
        allow_connect: false,
        stream_error_on_invalid_message: false,
        keepalive: None,
    };

    /// Where nothing else is said for upstreams: Envoy's number of streams; windows of which 64 slow readers on one
    /// connection do not stop the other streams, and which hold 16 MiB at most.
    pub const UPSTREAM: Self = Self {
        max_concurrent_streams: 1024,
        initial_stream_window_size: 256 * 1024,
        initial_connection_window_size: 16 * 1024 * 1024,
        ..Self::DOWNSTREAM
    };
}

/// `KeepaliveSettings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Keepalive {
    /// Between PINGs.
    pub interval: Duration,
    /// Without an answer for this long the connection is dead.
    pub timeout: Duration,
    /// Up to this share of the interval (percent) is added at random. Envoy's default is 15.
    pub interval_jitter: u8,
}
