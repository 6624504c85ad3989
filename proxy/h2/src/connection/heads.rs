//! Field sections: HEADERS and CONTINUATION (RFC 9113 4.3, 6.2, 6.10, 8.1).

use std::time::Instant;

use h1::{BodyLength, Method, SectionExpectation, SectionSize};

use crate::config::Role;
use crate::connection::Connection;
use crate::connection::data::LENGTH_MISMATCH;
use crate::error::{Code, ConnectionError};
use crate::event::Event;
use crate::frame::{self, FrameHeader, flag};
use crate::hpack::CompressionError;
use crate::stream::{Progress, Side, Stream};
use crate::streams::{Closed, Key, Known};
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
    /// Of streams, or of bytes of their heads: this is the reason in words for logs.
    TooMany(&'static str),
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
        // No honest encoder makes a section longer than it is, nor its frames shorter than they may be.
        let most_bytes = self.config.heads.max_head_bytes.saturating_mul(2);
        let most_frames = self.config.abuse.continuations.max((most_bytes / frame::MAX_PAYLOAD) as u32);
        let Some(open) = &mut self.open_block else {
            return Err(ConnectionError::protocol("CONTINUATION of nothing"));
        };
        open.continuations += 1;
        if open.continuations > most_frames {
            return Err(ConnectionError::new(Code::ENHANCE_YOUR_CALM, "continuations of a field section"));
        }
        if self.block.len() + payload.len() > most_bytes {
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
                self.frame_on_gone_stream(now)?;
                self.decoder.decode(block, |_| ())?;
                Ok(None)
            }
            Section::OnEndedStream(key) => {
                self.decoder.decode(block, |_| ())?;
                self.stream_error(key, Code::STREAM_CLOSED, "HEADERS behind the end", out)
            }
            Section::TooMany(reason) => {
                self.decoder.decode(block, |_| ())?;
                self.write_forced_reset(stream, Code::REFUSED_STREAM, out)?;
                self.pass_over(stream);
                let code = Code::REFUSED_STREAM;
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
                if self.streams.len() >= self.config.max_concurrent_streams as usize {
                    return Ok(Section::TooMany("too many streams"));
                }
                if self.head_bytes > self.config.most_head_bytes {
                    return Ok(Section::TooMany("too many bytes of heads"));
                }
                Ok(Section::Request)
            }
            Known::Idle => Err(ConnectionError::protocol("HEADERS on a stream that the peer may not open")),
            // Trailers may have been under way when we gave the stream up.
            Known::Ours | Known::Closed(Closed::ResetByUs | Closed::Forgotten) => Ok(Section::Ignored),
            Known::Closed(_) if self.is_ignored(id) => Ok(Section::Ignored),
            Known::Closed(Closed::Ended) => Err(ON_CLOSED_STREAM),
            Known::Closed(Closed::Skipped) => Err(ConnectionError::protocol("stream numbers went back")),
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
            head_bytes: head.section_bytes(),
            content_left: fixed_length(head.body),
            since: Some(now),
            method: if tunnel { Method::Connect } else { head.method },
            protocol: None,
        };
        self.last_accepted = id;
        self.head_bytes += stream.head_bytes;
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
        if self.role == Role::Server {
            if self.head_bytes > self.config.most_head_bytes {
                return self.stream_error(key, Code::ENHANCE_YOUR_CALM, "too many bytes of heads", out);
            }
            stream.head_bytes += size.bytes();
            self.head_bytes += size.bytes();
        }
        stream.receiving = Progress::Ended;
        Ok(Some(Event::Trailers { key }))
    }
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
