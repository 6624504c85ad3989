//! Moving a body from one connection to the other, with back-pressure: nothing is read that the other side has no room for.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use h1::{BodyDecoder, BodyError, BodyLength, Fields};

use super::pace::{Client, Pace};
use super::sink::Sink;
use super::source::Source;
use crate::http2::{self, Reset, Taken};
use crate::io::{BLOCK_SIZE, Broken, Stream, StreamWriter, Transfer};
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
    /// The client sends or takes it more slowly than it may.
    TooSlow,
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
    /// Somebody wants to see its bytes.
    watched: bool,
    /// Bytes moved so far.
    pub(super) moved: u64,
    /// What stood behind it; nothing that came by HTTP/1.
    pub(super) trailers: Option<Box<Fields>>,
    /// Which the client must keep.
    pub(super) pace: Option<Box<Pace>>,
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
        Self { delimiter, chunked, watched: true, moved: 0, trailers: None, pace: None }
    }

    /// Whether all of it was moved.
    pub(super) fn is_complete(&self) -> bool {
        match &self.delimiter {
            Delimiter::Http1(decoder) => decoder.is_complete(),
            Delimiter::Http2 { ended } => *ended,
        }
    }

    /// Moves what was received already. `keep` sees the bytes as well, and says whether it wants those that follow.
    pub(super) fn move_pending(
        &mut self,
        source: &mut Source<'_>,
        sink: &Sink,
        keep: impl FnMut(&[u8]) -> bool,
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

    fn take_pending(&mut self, stream: &http2::Stream, sink: &Sink, mut keep: impl FnMut(&[u8]) -> bool) {
        let most = sink.appetite();
        let Taken { mut data, ended, trailers } = stream.take(most);
        let (pending, count) = (data.bytes(), data.bytes().len().min(most));
        let bytes = pending.get(..count).unwrap_or_default();
        if !bytes.is_empty() {
            self.watched = keep(bytes);
            self.moved += bytes.len() as u64;
        }
        let last = ended && trailers.is_none();
        if !bytes.is_empty() || last {
            sink.put_body(bytes, self.chunked, last);
        }
        data.consume(count);
        if !data.is_empty() {
            stream.put_back(data);
        }
        stream.consumed(count);
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
        mut keep: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), BodyError> {
        let Delimiter::Http1(decoder) = &mut self.delimiter else { return Ok(()) };
        while !decoder.is_complete() && !stream.input().is_empty() {
            let input = stream.input().bytes();
            let decoded = decoder.decode(input)?;
            let data = input.get(decoded.data.clone()).unwrap_or_default();
            if !data.is_empty() {
                self.watched = keep(data);
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
        mut keep: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), BodyFailure> {
        while !self.is_complete() {
            if let (Source::Http1(stream), Sink::Http1(writer), true) = (&mut *source, sink, self.is_plain()) {
                return self.transfer(stream, writer, silence).await;
            }
            let room = Pace::wait(self.pace.as_deref_mut(), Client::Sink, self.moved, sink.room()).await;
            room.ok_or(BodyFailure::TooSlow)?.map_err(|_| BodyFailure::Sink)?;
            let piece = receive(&mut self.delimiter, source);
            let piece = Pace::wait(self.pace.as_deref_mut(), Client::Source, self.moved, piece).await;
            if !piece.ok_or(BodyFailure::TooSlow)?? {
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

    /// Whether the bytes to come go out as they come in, seen by nobody.
    fn is_plain(&self) -> bool {
        let is_plain = matches!(&self.delimiter, Delimiter::Http1(decoder) if decoder.is_plain());
        is_plain && !self.chunked && !self.watched && self.pace.is_none()
    }

    /// Moves the rest of a [plain](Self::is_plain) body.
    async fn transfer(
        &mut self,
        stream: &mut Stream,
        writer: &StreamWriter,
        silence: Option<&Silence<'_>>,
    ) -> Result<(), BodyFailure> {
        let Delimiter::Http1(decoder) = &mut self.delimiter else { return Ok(()) };
        let mut transfer = Transfer::default();
        while !decoder.is_complete() {
            let most = decoder.remaining().unwrap_or(u64::MAX);
            let passed = poll_fn(|context| transfer.poll_piece(context, stream, writer, most)).await;
            let count = passed.map_err(|broken| match broken {
                // A reset is not an end, not even of a body that ends with the connection.
                Broken::Source => BodyFailure::Source(BodyError::Truncated),
                Broken::Target => BodyFailure::Sink,
            })?;
            if count == 0 {
                decoder.end().map_err(BodyFailure::Source)?;
            }
            decoder.pass(count as u64);
            self.moved += count as u64;
            if let Some(silence) = silence {
                silence.begin();
            }
        }
        poll_fn(|context| transfer.poll_sent(context, writer)).await.map_err(|_| BodyFailure::Sink)
    }
}

/// Waits for the next piece; `false` if the body ended without one.
async fn receive(delimiter: &mut Delimiter, source: &mut Source<'_>) -> Result<bool, BodyFailure> {
    let truncated = |_| BodyFailure::Source(BodyError::Truncated);
    match (source, delimiter) {
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
