//! Moving a body from one connection to the other, with back-pressure: nothing is read that the other side has no room for.

use std::time::{Duration, Instant};

use h1::{BodyDecoder, BodyError, BodyLength};

use super::sink::Sink;
use super::source::Source;
use crate::io::{BLOCK_SIZE, Stream};
use crate::worker::clock::Clock;
use crate::worker::timer::Alarm;

/// Why a body did not get to its end.
#[derive(Debug)]
pub(super) enum BodyFailure {
    /// The side that sends it broke off, or broke the framing.
    Source(BodyError),
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
    decoder: BodyDecoder,
    /// An HTTP/1 sink gets it in chunks.
    chunked: bool,
    /// Bytes moved so far.
    pub(super) moved: u64,
}

impl Body {
    /// A body that is delimited by `length` where it comes from.
    pub(super) fn new(length: BodyLength, chunked: bool) -> Self {
        Self { decoder: BodyDecoder::new(length), chunked, moved: 0 }
    }

    /// Whether all of it was moved.
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    /// Moves what was received already. `keep` sees the bytes as well.
    pub(super) fn move_pending(
        &mut self,
        source: &mut Source<'_>,
        sink: &Sink,
        keep: impl FnMut(&[u8]),
    ) -> Result<(), BodyError> {
        match source {
            Source::Http1(stream) => self.decode_pending(stream, sink, keep),
        }
    }

    fn decode_pending(
        &mut self,
        stream: &mut Stream,
        sink: &Sink,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<(), BodyError> {
        while !self.decoder.is_complete() && !stream.input().is_empty() {
            let input = stream.input().bytes();
            let decoded = self.decoder.decode(input)?;
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
        match source {
            Source::Http1(stream) => {
                while !self.decoder.is_complete() && !stream.input().is_empty() {
                    let Ok(decoded) = self.decoder.decode(stream.input().bytes()) else { return };
                    self.moved += decoded.data.len() as u64;
                    if decoded.consumed == 0 {
                        return;
                    }
                    stream.input_mut().consume(decoded.consumed);
                }
            }
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
        match source {
            Source::Http1(stream) => {
                // A reset is not an end, not even of a body that ends with the connection.
                let received = stream.fill(BLOCK_SIZE).await.map_err(|_| BodyFailure::Source(BodyError::Truncated))?;
                if received == 0 {
                    self.decoder.end().map_err(BodyFailure::Source)?;
                }
                Ok(received > 0)
            }
        }
    }
}
