//! Moving a body from one connection to the other, with back-pressure: nothing is read that the other side has no room for.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use h1::{BodyDecoder, BodyError, BodyLength, Fields};

use super::sink::Sink;
use super::source::Source;
use crate::http2::{self, Reset, Taken};
use crate::io::{BLOCK_SIZE, Stream};
use crate::worker::clock::Clock;
use crate::worker::timer::Alarm;

/// Why a body did not get to its end.
#[derive(Debug)]
pub(super) enum BodyFailure {
    /// The side that sends it broke off, or broke the framing.
    Source(BodyError),
    /// The stream that brings it was reset.
    Reset(Reset),
    /// The side that receives it is gone.
    Sink,
}

/// How long nothing may come, besides a deadline for all of it.
pub(super) struct Silence<'a> {
    /// Goes off at whichever is earlier.
    pub(super) alarm: &'a Alarm,
    pub(super) clock: &'a Clock,
    pub(super) bound: Duration,
    pub(super) deadline: Option<Instant>,
}

impl Silence<'_> {
    /// From now on.
    pub(super) fn begin(&self) {
        self.clock.invalidate(); // nothing may have been flushed since the worker last slept
        let end = self.clock.now().checked_add(self.bound);
        self.alarm.set(end.into_iter().chain(self.deadline).min());
    }
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Body {
    delimiter: Delimiter,
    /// An HTTP/1 sink gets it in chunks.
    chunked: bool,
    /// Bytes moved so far.
    pub(super) moved: u64,
    /// What stood behind it; nothing that came by HTTP/1.
    pub(super) trailers: Option<Box<Fields>>,
}

/// How the end of a body is known.
#[derive(Debug)]
enum Delimiter {
    Http1(BodyDecoder),
    Http2 { ended: bool },
}

impl Body {
    /// A body that comes from `source`, which delimits it by `length`.
    pub(super) fn new(source: &Source<'_>, length: BodyLength, chunked: bool) -> Self {
        let delimiter = match source {
            Source::Http1(_) => Delimiter::Http1(BodyDecoder::new(length)),
            // There is none only if the stream ended with the head.
            Source::Http2(_) => Delimiter::Http2 { ended: length == BodyLength::None },
        };
        Self { delimiter, chunked, moved: 0, trailers: None }
    }

    /// Whether all of it was moved.
    pub(super) fn is_complete(&self) -> bool {
        match &self.delimiter {
            Delimiter::Http1(decoder) => decoder.is_complete(),
            Delimiter::Http2 { ended } => *ended,
        }
    }

    /// Moves what was received already. `keep` sees the bytes as well.
    pub(super) fn move_pending(
        &mut self,
        source: &mut Source<'_>,
        sink: &Sink,
        keep: impl FnMut(&[u8]),
    ) -> Result<(), BodyError> {
        match (source, &mut self.delimiter) {
            (Source::Http1(stream), Delimiter::Http1(_)) => self.decode_pending(stream, sink, keep),
            (Source::Http2(stream), Delimiter::Http2 { ended: false }) => {
                self.take_pending(stream, sink, keep);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_pending(&mut self, stream: &http2::Stream, sink: &Sink, mut keep: impl FnMut(&[u8])) {
        let Taken { data, ended, trailers } = stream.take();
        let bytes = data.bytes();
        if !bytes.is_empty() {
            keep(bytes);
            self.moved += bytes.len() as u64;
        }
        let last = ended && trailers.is_none();
        if !bytes.is_empty() || last {
            sink.put_body(bytes, self.chunked, last);
        }
        stream.consumed(bytes.len());
        if let Some(trailers) = trailers {
            sink.put_trailers(&trailers, self.chunked);
            // The memory that was there goes round.
            if let Some(spare) = self.trailers.replace(trailers) {
                stream.keep_trailers(spare);
            }
        }
        self.delimiter = Delimiter::Http2 { ended };
    }

    fn decode_pending(
        &mut self,
        stream: &mut Stream,
        sink: &Sink,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<(), BodyError> {
        let Delimiter::Http1(decoder) = &mut self.delimiter else { return Ok(()) };
        while !decoder.is_complete() && !stream.input().is_empty() {
            let input = stream.input().bytes();
            let decoded = decoder.decode(input)?;
            let data = input.get(decoded.data.clone()).unwrap_or_default();
            if !data.is_empty() {
                keep(data);
                self.moved += data.len() as u64;
            }
            if !data.is_empty() || decoded.complete {
                sink.put_body(data, self.chunked, decoded.complete);
            }
            if decoded.consumed == 0 {
                break;
            }
            stream.input_mut().consume(decoded.consumed);
        }
        Ok(())
    }

    /// Passes over what was received already, so that a small body does not cost its connection.
    pub(super) fn skip_pending(&mut self, source: &mut Source<'_>) {
        // What nobody takes of a stream is forgotten with it.
        let (Source::Http1(stream), Delimiter::Http1(decoder)) = (source, &mut self.delimiter) else { return };
        while !decoder.is_complete() && !stream.input().is_empty() {
            let Ok(decoded) = decoder.decode(stream.input().bytes()) else { return };
            self.moved += decoded.data.len() as u64;
            if decoded.consumed == 0 {
                return;
            }
            stream.input_mut().consume(decoded.consumed);
        }
    }

    /// Moves the rest. The bound on silence, if there is one, begins anew with every piece.
    pub(super) async fn move_all(
        &mut self,
        source: &mut Source<'_>,
        sink: &Sink,
        silence: Option<&Silence<'_>>,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<(), BodyFailure> {
        while !self.is_complete() {
            sink.room().await.map_err(|_| BodyFailure::Sink)?;
            if !self.receive(source).await? {
                sink.put_body(&[], self.chunked, true);
                return Ok(());
            }
            self.move_pending(source, sink, &mut keep).map_err(BodyFailure::Source)?;
            if let Some(silence) = silence {
                silence.begin();
            }
        }
        Ok(())
    }

    /// Waits for the next piece; `false` if the body ended without one.
    async fn receive(&mut self, source: &mut Source<'_>) -> Result<bool, BodyFailure> {
        let truncated = |_| BodyFailure::Source(BodyError::Truncated);
        match (source, &mut self.delimiter) {
            (Source::Http1(stream), Delimiter::Http1(decoder)) => {
                // A reset is not an end, not even of a body that ends with the connection.
                let received = stream.fill(BLOCK_SIZE).await.map_err(truncated)?;
                if received == 0 {
                    decoder.end().map_err(BodyFailure::Source)?;
                }
                Ok(received > 0)
            }
            (Source::Http2(stream), _) => {
                let arrived = poll_fn(|context| stream.poll_body(context)).await;
                arrived.map_err(BodyFailure::Reset).map(|()| true)
            }
            (Source::Http1(_), Delimiter::Http2 { .. }) => Ok(false),
        }
    }
}
