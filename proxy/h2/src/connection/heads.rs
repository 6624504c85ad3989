//! Field sections: HEADERS and CONTINUATION (RFC 9113 4.3, 6.2, 6.10, 8.1).

use std::time::Instant;

use h1::{BodyLength, Method, SectionError, SectionExpectation, SectionSize};

use crate::config::Role;
use crate::connection::Connection;
use crate::connection::data::LENGTH_MISMATCH;
use crate::error::{Code, ConnectionError};
use crate::event::Event;
use crate::frame::{self, FrameHeader, flag};
use crate::hpack::CompressionError;
use crate::streams::{Key, Known, Progress, Side, Stream};
use crate::window::ReceiveWindow;

/// A field section that goes on in further frames.
pub(super) struct OpenBlock {
    pub(super) stream: u32,
    end: bool,
    continuations: u32,
}

/// What a field section is.
#[derive(Clone, Copy)]
enum Section {
    Request,
    Response(Key),
    Trailers(Key),
    /// Decoded only because the state of the decoder depends on it.
    Ignored,
    /// The same, and answered by RST_STREAM.
    OnEndedStream(Key),
    OnForgottenStream,
    TooManyStreams,
}

const ON_CLOSED_STREAM: ConnectionError = ConnectionError::new(Code::STREAM_CLOSED, "HEADERS on a closed stream");

type Outcome = Result<Option<Event>, ConnectionError>;

impl From<CompressionError> for ConnectionError {
    fn from(error: CompressionError) -> Self {
        ConnectionError::new(Code::COMPRESSION_ERROR, error.0)
    }
}

impl<T> Connection<T> {
    pub(super) fn headers(&mut self, header: FrameHeader, payload: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if header.stream == 0 {
            return Err(ConnectionError::protocol("HEADERS of the connection"));
        }
        let content = frame::strip_padding(header, payload);
        let mut block = content.ok_or(ConnectionError::protocol("more padding than payload"))?;
        if header.has(flag::PRIORITY) {
            let Some(([d1, d2, d3, d4, _], rest)) = block.split_first_chunk::<5>() else {
                return Err(ConnectionError::new(Code::FRAME_SIZE_ERROR, "HEADERS without its priority"));
            };
            if frame::stream_id([*d1, *d2, *d3, *d4]) == header.stream {
                return Err(ConnectionError::protocol("a stream that depends on itself"));
            }
            block = rest;
        }
        let end = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.section(header.stream, end, block, now, out);
        }
        self.block.extend_from_slice(block);
        self.open_block = Some(OpenBlock { stream: header.stream, end, continuations: 0 });
        Ok(None)
    }

    /// Adds to a field section; what may be added is bounded by frames and bytes.
    #[cold]
    pub(super) fn continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(open) = &mut self.open_block else {
            return Err(ConnectionError::protocol("CONTINUATION of nothing"));
        };
        open.continuations += 1;
        if open.continuations > self.config.abuse.continuations {
            return Err(ConnectionError::new(Code::ENHANCE_YOUR_CALM, "continuations of a field section"));
        }
        // No honest encoder makes a section longer than it is.
        if self.block.len() + payload.len() > self.config.heads.max_head_bytes.saturating_mul(2) {
            return Err(ConnectionError::new(Code::ENHANCE_YOUR_CALM, "bytes of a field section"));
        }
        self.block.extend_from_slice(payload);
        if !header.has(flag::END_HEADERS) {
            return Ok(None);
        }
        let end = open.end;
        self.open_block = None;
        let mut block = std::mem::take(&mut self.block);
        let outcome = self.section(header.stream, end, &block, now, out);
        block.clear();
        block.shrink_to(frame::MAX_PAYLOAD);
        self.block = block;
        outcome
    }

    /// Takes a whole field section.
    fn section(&mut self, stream: u32, end: bool, block: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        match self.classify(stream)? {
            Section::Request => self.request_section(stream, end, block, now, out),
            Section::Response(key) => self.response_section(key, end, block, out),
            Section::Trailers(key) => self.trailer_section(key, end, block, out),
            Section::Ignored => {
                self.abuse.ignored_frame(now)?;
                self.decoder.decode(block, |_| ())?;
                Ok(None)
            }
            Section::OnEndedStream(key) => {
                self.decoder.decode(block, |_| ())?;
                self.stream_error(key, Code::STREAM_CLOSED, "HEADERS behind the end", out)
            }
            Section::OnForgottenStream => {
                self.decoder.decode(block, |_| ())?;
                self.write_forced_reset(stream, Code::STREAM_CLOSED, out)?;
                self.streams.remember(stream, true);
                Ok(None)
            }
            Section::TooManyStreams => {
                self.decoder.decode(block, |_| ())?;
                self.write_forced_reset(stream, Code::REFUSED_STREAM, out)?;
                self.pass_over(stream);
                let (code, reason) = (Code::REFUSED_STREAM, "too many streams");
                Ok(Some(Event::Refused { code, reason, detail: "http2.too_many_streams" }))
            }
        }
    }

    /// What a section on this stream is, by the state of the stream.
    fn classify(&mut self, id: u32) -> Result<Section, ConnectionError> {
        match self.streams.known(id) {
            Known::Live(key) => match self.streams.get(key) {
                Some(stream) if stream.reset == Some(Side::Peer) => Err(ON_CLOSED_STREAM),
                Some(stream) if stream.reset.is_none() => Ok(match stream.receiving {
                    Progress::Head => Section::Response(key),
                    Progress::Content => Section::Trailers(key),
                    Progress::Ended => Section::OnEndedStream(key),
                }),
                _ => Ok(Section::Ignored),
            },
            Known::Idle if self.role == Role::Server && self.streams.is_peers(id) => {
                self.streams.last_of_peer = id;
                if self.is_ignored(id) {
                    self.pass_over(id);
                    return Ok(Section::Ignored);
                }
                let full = self.streams.len() >= self.config.max_concurrent_streams as usize;
                Ok(if full { Section::TooManyStreams } else { Section::Request })
            }
            Known::Idle => Err(ConnectionError::protocol("HEADERS on a stream that the peer may not open")),
            Known::Closed { reset_by_us: true, .. } => Ok(Section::Ignored),
            Known::Closed { .. } if self.is_ignored(id) => Ok(Section::Ignored),
            Known::Closed { remembered: true, .. } => Err(ON_CLOSED_STREAM),
            Known::Closed { .. } if self.role == Role::Client => Ok(Section::OnForgottenStream),
            Known::Closed { .. } => Err(ConnectionError::protocol("stream numbers went back")),
        }
    }

    fn request_section(&mut self, id: u32, end: bool, block: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        let (head, limits) = (&mut self.request, &self.config.heads);
        head.begin_section();
        let mut outcome = Ok(());
        self.decoder.decode(block, |field| {
            if outcome.is_ok() {
                outcome = head.add_section_field(field, limits);
            }
        })?;
        if let Err(error) = outcome.and_then(|()| head.finish_section(end, self.config.allow_connect)) {
            return self.refuse_section(id, error, out);
        }
        let tunnel = head.method == Method::Connect || head.extended_connect;
        let stream = Stream {
            id,
            value: None,
            receiving: if end { Progress::Ended } else { Progress::Content },
            sending: Progress::Head,
            reset: None,
            send_window: self.peer.initial_window,
            receive_window: ReceiveWindow::new(self.config.initial_stream_window),
            held: 0,
            content_left: fixed_length(head.body),
            since: Some(now),
            method: if tunnel { Method::Connect } else { head.method },
            protocol: None,
        };
        self.last_accepted = id;
        let key = self.streams.insert(stream);
        Ok(Some(Event::Request { key, end }))
    }

    fn response_section(&mut self, key: Key, end: bool, block: &[u8], out: &mut Vec<u8>) -> Outcome {
        let (head, limits) = (&mut self.response, &self.config.heads);
        head.begin_section();
        let mut outcome = Ok(());
        self.decoder.decode(block, |field| {
            if outcome.is_ok() {
                outcome = head.add_section_field(field, limits);
            }
        })?;
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        let expectation = SectionExpectation { method: stream.method, protocol: stream.protocol.as_deref() };
        if let Err(error) = outcome.and_then(|()| head.finish_section(end, expectation)) {
            return self.section_error(key, error, out);
        }
        if !head.is_interim() {
            stream.content_left = if head.tunnel { None } else { content_of(head.body) };
            stream.receiving = if end { Progress::Ended } else { Progress::Content };
        }
        Ok(Some(Event::Response { key, end }))
    }

    fn trailer_section(&mut self, key: Key, end: bool, block: &[u8], out: &mut Vec<u8>) -> Outcome {
        let (trailers, limits) = (&mut self.trailers, &self.config.heads);
        trailers.clear();
        let mut size = SectionSize::default();
        let mut outcome = Ok(());
        self.decoder.decode(block, |field| {
            if outcome.is_ok() {
                outcome = trailers.add_trailer(field, &mut size, limits);
            }
        })?;
        if let Err(error) = outcome {
            return self.section_error(key, error, out);
        }
        if !end {
            return self.malformed(key, "trailers that are not the end", out);
        }
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        if stream.content_left.is_some_and(|left| left > 0) {
            return self.stream_error(key, Code::PROTOCOL_ERROR, LENGTH_MISMATCH, out);
        }
        stream.receiving = Progress::Ended;
        Ok(Some(Event::Trailers { key }))
    }

    /// A section on a stream that the user knows is refused.
    #[cold]
    fn section_error(&mut self, key: Key, error: SectionError, out: &mut Vec<u8>) -> Outcome {
        if error.is_malformed() && error != SectionError::LengthMismatch {
            return self.malformed(key, error.message(), out);
        }
        self.stream_error(key, code_of(error), error.message(), out)
    }

    /// A request is refused.
    #[cold]
    fn refuse_section(&mut self, stream: u32, error: SectionError, out: &mut Vec<u8>) -> Outcome {
        let is_malformed = error.is_malformed() && error != SectionError::LengthMismatch;
        if is_malformed && self.config.close_on_malformed_message {
            // The user is told first; the connection ends with the next call.
            self.doomed = Some(ConnectionError::protocol(error.message()));
            return Ok(Some(Event::Refused {
                code: Code::PROTOCOL_ERROR,
                reason: error.message(),
                detail: error.detail(),
            }));
        }
        self.write_forced_reset(stream, code_of(error), out)?;
        self.pass_over(stream);
        Ok(Some(Event::Refused { code: code_of(error), reason: error.message(), detail: error.detail() }))
    }

    /// A message is malformed (RFC 9113 8.1.1).
    #[cold]
    pub(super) fn malformed(&mut self, key: Key, reason: &'static str, out: &mut Vec<u8>) -> Outcome {
        if self.config.close_on_malformed_message {
            return Err(ConnectionError::protocol(reason));
        }
        self.stream_error(key, Code::PROTOCOL_ERROR, reason, out)
    }
}

/// What a stream with such a section is reset with: what is beyond our limits gets what Envoy says then.
fn code_of(error: SectionError) -> Code {
    if error.is_limit() { Code::INTERNAL_ERROR } else { Code::PROTOCOL_ERROR }
}

/// What content-length said.
fn fixed_length(body: BodyLength) -> Option<u64> {
    match body {
        BodyLength::Fixed(length) => Some(length),
        _ => None,
    }
}

/// How much content a response has, where that is known; none where it may have none.
fn content_of(body: BodyLength) -> Option<u64> {
    if body == BodyLength::None { Some(0) } else { fixed_length(body) }
}
