//! One connection.

mod control;
mod data;
mod heads;
mod lifecycle;
mod receive;
mod refusal;
mod send;

use h1::{Fields, RequestHead, ResponseHead};

use crate::abuse::Abuse;
use crate::config::{Config, Role};
use crate::error::ConnectionError;
use crate::frame::{self, DEFAULT_WINDOW, MAX_WINDOW, PREFACE};
use crate::hpack::{Decoder, Encoder};
use crate::settings::{self, PeerSettings};
use crate::streams::{Key, Streams};
use crate::window::ReceiveWindow;

use data::DataFrame;
use heads::OpenBlock;

/// The state of a connection. `T` is what its user keeps for each stream.
pub struct Connection<T> {
    role: Role,
    config: Config,
    streams: Streams<T>,
    reading: Reading,
    decoder: Decoder,
    encoder: Encoder,
    request: RequestHead,
    response: ResponseHead,
    trailers: Fields,
    /// A field section that goes on in CONTINUATION frames.
    open_block: Option<OpenBlock>,
    /// What arrived of it.
    block: Vec<u8>,
    peer: PeerSettings,
    /// Bytes that we may send on all streams together.
    send_window: i64,
    receive_window: ReceiveWindow,
    /// The peer knows our settings.
    settings_acknowledged: bool,
    /// What a stream may receive beyond its window because the peer does not know of a smaller one yet.
    window_grace: i64,
    /// What may still arrive on streams that we reset.
    under_way: i64,
    abuse: Abuse,
    /// The last stream whose request the user was told of.
    last_accepted: u32,
    /// We said GOAWAY and ignore streams beyond this one.
    ignored_beyond: u32,
    /// The peer said GOAWAY and takes no streams beyond this one.
    refused_beyond: Option<u32>,
    /// Where in the table of streams those may be that the peer refused and that were not reset yet.
    refused_from: Option<usize>,
    draining: bool,
    /// The error of the next call.
    doomed: Option<ConnectionError>,
    failed: Option<ConnectionError>,
    /// PINGs that were not answered yet.
    pings: u32,
    /// Bytes of content that the user was handed and is not done with.
    held: usize,
    /// Bytes of heads and trailers of the peer's streams.
    head_bytes: usize,
    /// How much arrived as a whole: frames, and heads of several frames.
    completed: u64,
}

/// What the next bytes are.
enum Reading {
    /// The preface of a client.
    Preface,
    /// SETTINGS, the first frame of each side.
    FirstFrame,
    Frame,
    /// So many bytes that mean nothing to anybody.
    Skip(usize),
    Data(DataFrame),
}

impl<T> Connection<T> {
    /// A connection of which nothing was sent or received.
    pub fn new(role: Role, config: Config) -> Self {
        let largest = MAX_WINDOW as u32;
        let config = Config {
            initial_stream_window: config.initial_stream_window.min(largest),
            initial_connection_window: config.initial_connection_window.clamp(DEFAULT_WINDOW as u32, largest),
            ..config
        };
        Connection {
            role,
            config,
            streams: Streams::new(role, config.max_concurrent_streams),
            reading: if role == Role::Server { Reading::Preface } else { Reading::FirstFrame },
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            request: RequestHead::new(),
            response: ResponseHead::new(),
            trailers: Fields::new(),
            open_block: None,
            block: Vec::new(),
            peer: PeerSettings::new(),
            send_window: DEFAULT_WINDOW,
            receive_window: ReceiveWindow::new(config.initial_connection_window),
            settings_acknowledged: false,
            window_grace: (DEFAULT_WINDOW - i64::from(config.initial_stream_window)).max(0),
            under_way: 0,
            abuse: Abuse::new(config.abuse),
            last_accepted: 0,
            ignored_beyond: frame::MAX_STREAM_ID,
            refused_beyond: None,
            refused_from: None,
            draining: false,
            doomed: None,
            failed: None,
            pings: 0,
            held: 0,
            head_bytes: 0,
            completed: 0,
        }
    }

    /// Writes what each side sends first: the preface of a client, settings, credit for the connection.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        if self.role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        settings::write(&self.config, self.role, out);
        let more = self.config.initial_connection_window - DEFAULT_WINDOW as u32;
        if more > 0 {
            frame::write_window_update(0, more, out);
        }
    }

    /// The head of the request that was just received. The user may take it by swapping it for one of its own.
    pub fn request_head(&mut self) -> &mut RequestHead {
        &mut self.request
    }

    /// The head of the response that was just received.
    pub fn response_head(&mut self) -> &mut ResponseHead {
        &mut self.response
    }

    /// The trailers that were just received.
    pub fn trailers(&mut self) -> &mut Fields {
        &mut self.trailers
    }

    /// What the user keeps for a stream.
    #[inline]
    pub fn get(&mut self, key: Key) -> Option<&mut T> {
        self.streams.get_mut(key)?.value.as_mut()
    }

    /// What the user keeps for each stream.
    pub fn values(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.streams.values()
    }

    /// Streams that were not released yet.
    pub fn active(&self) -> usize {
        self.streams.len()
    }

    /// Whether the peer takes extended CONNECT (RFC 8441).
    pub fn peer_allows_connect(&self) -> bool {
        self.peer.extended_connect
    }

    /// Whether the peer's settings arrived: until then, what it allows is guessed.
    pub fn has_settings(&self) -> bool {
        !matches!(self.reading, Reading::Preface | Reading::FirstFrame)
    }

    /// Bytes of content that the user was handed and is not done with, of all streams.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Server: what the peer has begun and must end is the rest of the connection's beginning, or of a head. The number is another one
    /// for each. Bytes of a frame of which the rest is still to come are the caller's: `pending` says whether there are any.
    pub fn owed(&self, pending: bool) -> Option<u64> {
        (pending || self.open_block.is_some() || !self.has_settings()).then_some(self.completed)
    }

    /// The peer asked for no more streams, or we did.
    pub fn is_going_away(&self) -> bool {
        self.draining || self.refused_beyond.is_some()
    }

    /// Gives back memory above `bytes` bytes of each buffer; for connections that are idle.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.request.shrink_to(bytes);
        self.response.shrink_to(bytes);
        self.trailers.shrink_to(bytes);
        self.block.shrink_to(bytes);
        self.decoder.shrink_to(bytes);
        self.streams.shrink();
    }
}
