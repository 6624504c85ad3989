//! What a connection is told.

/// Which side of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opens streams.
    Client,
    /// It answers.
    Server,
}

/// Settings of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Streams the peer may have open at once (SETTINGS_MAX_CONCURRENT_STREAMS). Server only.
    pub max_concurrent_streams: u32,
    /// Bytes the peer may send on a stream before it gets credit (SETTINGS_INITIAL_WINDOW_SIZE), up to 2^31-1.
    pub initial_stream_window: u32,
    /// The same for all streams together; no less than 65,535.
    pub initial_connection_window: u32,
    /// Offer extended CONNECT (RFC 8441). Server only.
    pub allow_connect: bool,
    /// Bounds of a head or of trailers.
    pub heads: h1::Limits,
    /// With more bytes of heads and trailers of open streams than this the peer gets no more streams. Server only.
    pub most_head_bytes: usize,
    /// A malformed message ends its connection (Envoy's default); otherwise only its stream
    /// (`override_stream_error_on_invalid_http_message`).
    pub close_on_malformed_message: bool,
    /// Bounds of everything else that a peer can do.
    pub abuse: AbuseLimits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_concurrent_streams: 100,
            initial_stream_window: 64 << 10,
            initial_connection_window: 1 << 20,
            allow_connect: false,
            heads: h1::Limits::DEFAULT,
            most_head_bytes: 1 << 20,
            close_on_malformed_message: true,
            abuse: AbuseLimits::DEFAULT,
        }
    }
}

/// What a peer may do before it is asked to calm down (ENHANCE_YOUR_CALM). A rate is counted in windows of one second.
///
/// What honest peers do in proportion to the traffic is forgiven in proportion to it: each field says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbuseLimits {
    /// RST_STREAM received in a second, but for streams that lived for a second, which are bounded by how many may be open, and for one
    /// for each stream that came to its end before. This bound and the next two are those of servers.
    pub resets_per_second: u32,
    /// How many more streams may be given up with RST_STREAM than come to their end.
    pub resets_in_all: u32,
    /// The same of streams that were given up within a second and before a response was begun (rapid reset, CVE-2023-44487). Envoy
    /// calls them premature, too, and takes as many (half of `overload.premature_reset_total_stream_count`).
    pub premature_resets: u32,
    /// RST_STREAM sent because of what the peer did (MadeYouReset, CVE-2025-8671), in all; each stream that comes to its end takes
    /// one back.
    pub resets_sent: u32,
    /// PING received in a second, but for one for each frame of content that we sent (gRPC measures its bandwidth that way).
    pub pings_per_second: u32,
    /// PING received in all, the same ones excluded; each second takes one back.
    pub pings_in_all: u32,
    /// SETTINGS received in a second.
    pub settings_per_second: u32,
    /// SETTINGS received in all; each second takes one back.
    pub settings_in_all: u32,
    /// DATA without content in a second, but for those that end a message.
    pub empty_data_per_second: u32,
    /// DATA with less than [`AbuseLimits::TINY`] bytes, but for those that end a message, in a second.
    pub tiny_data_per_second: u32,
    /// WINDOW_UPDATE of the connection in a second, but for one for every 128 bytes of content that we sent, and ten for each frame of it
    /// (as Envoy) that left room in the windows.
    pub connection_window_updates_per_second: u32,
    /// WINDOW_UPDATE of streams in a second, but for the same.
    pub stream_window_updates_per_second: u32,
    /// PRIORITY, GOAWAY, SETTINGS that acknowledge nothing, frames of unknown types, and frames on streams that are gone, in a second.
    pub ignored_frames_per_second: u32,
    /// CONTINUATION frames of one field section; as many as twice the largest head fills, if that is more.
    pub continuations: u32,
}

impl AbuseLimits {
    /// DATA with less content than this is tiny: less than the least that gRPC or WebSocket put into one.
    pub const TINY: usize = 5;

    /// The defaults.
    pub const DEFAULT: AbuseLimits = AbuseLimits {
        resets_per_second: 100,
        resets_in_all: 10_000,
        premature_resets: 250,
        resets_sent: 500,
        pings_per_second: 100,
        pings_in_all: 10_000,
        settings_per_second: 50,
        settings_in_all: 10_000,
        empty_data_per_second: 100,
        tiny_data_per_second: 1_000,
        connection_window_updates_per_second: 100,
        stream_window_updates_per_second: 1_000,
        ignored_frames_per_second: 1_000,
        continuations: 20,
    };
}

impl Default for AbuseLimits {
    fn default() -> Self {
        AbuseLimits::DEFAULT
    }
}
