//! One connection.

mod control;
mod data;
mod heads;
mod lifecycle;
mod send;

use std::time::Instant;

use h1::{Fields, RequestHead, ResponseHead};

use crate::abuse::Abuse;
use crate::config::{Config, Role};
use crate::error::{Code, ConnectionError};
use crate::event::Received;
use crate::frame::{self, DEFAULT_WINDOW, FrameHeader, HEADER, MAX_PAYLOAD, MAX_WINDOW, PREFACE, kind};
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
    /// Streams are left of those that the peer refused.
    resetting_refused: bool,
    draining: bool,
    /// The error of the next call.
    doomed: Option<ConnectionError>,
    failed: Option<ConnectionError>,
    /// PINGs that were not answered yet.
    pings: u32,
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

type Outcome = Result<Option<Received>, ConnectionError>;

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
            streams: Streams::new(role),
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
            window_grace: (DEFAULT_WINDOW - i64::from(config.initial_stream_window)).max(0),
            under_way: 0,
            abuse: Abuse::new(config.abuse),
            last_accepted: 0,
            ignored_beyond: frame::MAX_STREAM_ID,
            refused_beyond: None,
            resetting_refused: false,
            draining: false,
            doomed: None,
            failed: None,
            pings: 0,
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

    /// Takes at most one frame from the start of `input`, which holds what arrived and was not consumed. `None`: more is
    /// needed; nothing was consumed. Content is handed out as it arrives; of other frames all must be there, which is at most
    /// 16,393 bytes.
    ///
    /// `out` should be the buffer of all that was written and not sent yet: answers that nobody reads are limited by it.
    /// After an error GOAWAY was written; the connection is of no use any more.
    #[inline]
    pub fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let outcome = match self.doomed.take() {
            Some(error) => Err(error),
            None => self.advance(input, now, out),
        };
        if let Err(error) = outcome {
            self.failed = Some(error);
            frame::write_go_away(self.last_accepted, error.code, out);
        }
        outcome
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

    fn advance(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if self.resetting_refused
            && let Some(event) = self.reset_next_refused()
        {
            return Ok(Some(Received { consumed: 0, event: Some(event) }));
        }
        match self.reading {
            Reading::Frame => self.frame(input, now, out),
            Reading::Data(data) => Ok(self.more_data(data, input, out)),
            Reading::Skip(left) => Ok(self.skip(left, input)),
            Reading::Preface | Reading::FirstFrame => self.beginning(input, now, out),
        }
    }

    /// Passes over bytes.
    fn skip(&mut self, left: usize, input: &[u8]) -> Option<Received> {
        if input.is_empty() {
            return None;
        }
        let consumed = left.min(input.len());
        self.reading = if consumed == left { Reading::Frame } else { Reading::Skip(left - consumed) };
        Some(Received { consumed, event: None })
    }

    #[cold]
    fn beginning(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if matches!(self.reading, Reading::Preface) {
            let known = input.len().min(PREFACE.len());
            if input.get(..known) != PREFACE.get(..known) {
                return Err(ConnectionError::protocol("invalid connection preface"));
            }
            if known < PREFACE.len() {
                return Ok(None);
            }
            self.reading = Reading::FirstFrame;
            return Ok(Some(Received { consumed: known, event: None }));
        }
        let Some(header) = FrameHeader::parse(input) else { return Ok(None) };
        if header.kind != kind::SETTINGS || header.has(frame::flag::ACK) {
            return Err(ConnectionError::protocol("the first frame is not SETTINGS"));
        }
        let outcome = self.frame(input, now, out);
        if matches!(outcome, Ok(Some(_))) {
            self.reading = Reading::Frame;
        }
        outcome
    }

    /// Takes a frame that starts here.
    #[inline]
    fn frame(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        let Some(header) = FrameHeader::parse(input) else { return Ok(None) };
        if header.length > MAX_PAYLOAD {
            return Err(ConnectionError::new(Code::FRAME_SIZE_ERROR, "frame too large"));
        }
        if let Some(block) = &self.open_block
            && (header.kind != kind::CONTINUATION || header.stream != block.stream)
        {
            return Err(ConnectionError::protocol("a field section was not continued"));
        }
        if header.kind == kind::DATA {
            return self.data_frame(header, input, now, out);
        }
        if header.kind > kind::CONTINUATION {
            self.abuse.ignored_frame(now)?;
            self.reading = Reading::Skip(header.length);
            if header.length == 0 {
                self.reading = Reading::Frame;
            }
            return Ok(Some(Received { consumed: HEADER, event: None }));
        }
        let consumed = HEADER + header.length;
        let Some(payload) = input.get(HEADER..consumed) else { return Ok(None) };
        let event = match header.kind {
            kind::HEADERS => self.headers(header, payload, now, out)?,
            kind::CONTINUATION => self.continuation(header, payload, now, out)?,
            kind::WINDOW_UPDATE => self.window_update(header, payload, now, out)?,
            kind::RST_STREAM => self.reset_frame(header, payload, now)?,
            kind::SETTINGS => self.settings(header, payload, now, out)?,
            kind::PING => self.ping_frame(header, payload, now, out)?,
            kind::GOAWAY => self.go_away_frame(header, payload)?,
            kind::PRIORITY => self.priority(header, payload, now, out)?,
            _ => return Err(ConnectionError::protocol("PUSH_PROMISE was not allowed")),
        };
        Ok(Some(Received { consumed, event }))
    }
}
