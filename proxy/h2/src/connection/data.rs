//! DATA (RFC 9113 6.1): handed out as it arrives.

use std::time::Instant;

use h1::SectionError;

use crate::config::Role;
use crate::connection::{Connection, Reading};
use crate::error::{Code, ConnectionError};
use crate::event::{Event, Received};
use crate::frame::{self, FrameHeader, HEADER, flag};
use crate::stream::{Progress, Side};
use crate::streams::{Closed, Key, Known};

/// A frame of which the header was read.
#[derive(Clone, Copy)]
pub(super) struct DataFrame {
    key: Key,
    left: usize,
    padding: usize,
    end: bool,
}

/// This ends the stream, whatever is done about other malformed messages (RFC 9113 8.1.1).
pub(super) const LENGTH_MISMATCH: &str = SectionError::LengthMismatch.message();

const BEYOND_WINDOW: ConnectionError =
    ConnectionError::new(Code::FLOW_CONTROL_ERROR, "more data than the stream's window");

type Outcome = Result<Option<Received>, ConnectionError>;

impl<T> Connection<T> {
    pub(super) fn data_frame(&mut self, header: FrameHeader, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if header.stream == 0 {
            return Err(ConnectionError::protocol("DATA of the connection"));
        }
        let (prefix, padding) = match (header.has(flag::PADDED), input.get(HEADER)) {
            (false, _) => (0, 0),
            (true, _) if header.length == 0 => {
                return Err(ConnectionError::new(Code::FRAME_SIZE_ERROR, "padded frame without padding"));
            }
            (true, None) => return Ok(None),
            (true, Some(padding)) => (1, usize::from(*padding)),
        };
        let Some(content) = header.length.checked_sub(prefix + padding) else {
            return Err(ConnectionError::protocol("more padding than payload"));
        };
        if !self.receive_window.take(header.length, 0) {
            return Err(ConnectionError::new(Code::FLOW_CONTROL_ERROR, "more data than the connection's window"));
        }
        let end = header.has(flag::END_STREAM);
        match self.begin_data(header, content, end, now, out)? {
            Ok(key) => {
                self.credit_connection(prefix + padding, out);
                self.credit_stream(key, prefix + padding, out);
                Ok(self.deliver(DataFrame { key, left: content, padding, end }, HEADER + prefix, input, out))
            }
            Err(event) => {
                if header.length == 0 {
                    self.frame_on_gone_stream(now)?;
                }
                self.credit_connection(header.length, out);
                self.reading = if header.length == 0 { Reading::Frame } else { Reading::Skip(header.length) };
                Ok(Some(Received { consumed: HEADER, event }))
            }
        }
    }

    /// Finds the stream that may receive the content; otherwise what is to be said instead, and the content is skipped.
    #[inline]
    fn begin_data(
        &mut self,
        header: FrameHeader,
        content: usize,
        end: bool,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Result<Key, Option<Event>>, ConnectionError> {
        let known = self.streams.known(header.stream);
        if !end && known != Known::Ours {
            self.abuse.data(content, now)?;
        }
        let key = match known {
            Known::Live(key) => key,
            other => return self.data_without_stream(header, other, out).map(|()| Err(None)),
        };
        let grace = self.window_grace;
        let Some(stream) = self.streams.get_mut(key) else { return Ok(Err(None)) };
        let fits = stream.receive_window.take(header.length, grace);
        let refusal = match stream.receiving {
            _ if stream.reset == Some(Side::Peer) => {
                stream.reset = Some(Side::Us);
                return self.write_forced_reset(header.stream, Code::STREAM_CLOSED, out).map(|()| Err(None));
            }
            _ if stream.reset.is_some() => return if fits { Ok(Err(None)) } else { Err(BEYOND_WINDOW) },
            Progress::Head => Some((Code::PROTOCOL_ERROR, "DATA before a head")),
            Progress::Ended => Some((Code::STREAM_CLOSED, "DATA behind the end")),
            Progress::Content if !fits => Some((BEYOND_WINDOW.code, BEYOND_WINDOW.reason)),
            Progress::Content => None,
        };
        if let Some((code, reason)) = refusal {
            return self.stream_error(key, code, reason, out).map(Err);
        }
        if let Some(left) = &mut stream.content_left {
            let after = left.checked_sub(content as u64);
            if after.is_none_or(|after| end && after > 0) {
                let outcome = self.stream_error(key, Code::PROTOCOL_ERROR, LENGTH_MISMATCH, out);
                return outcome.map(Err);
            }
            *left = after.unwrap_or(0);
        }
        Ok(Ok(key))
    }

    /// Content on a stream that is gone. What was under way when we reset it is passed over, but no more than its window
    /// was.
    #[cold]
    fn data_without_stream(
        &mut self,
        header: FrameHeader,
        known: Known,
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectionError> {
        let was_ended = match known {
            Known::Idle => return Err(ConnectionError::protocol("DATA on an idle stream")),
            Known::Ours => return Ok(()),
            Known::Closed(closed) => closed != Closed::ResetByUs && !self.is_ignored(header.stream),
            Known::Live(_) => false,
        };
        if was_ended {
            self.write_forced_reset(header.stream, Code::STREAM_CLOSED, out)?;
            self.streams.remember(header.stream, true);
            return Ok(());
        }
        self.under_way -= header.length as i64;
        if self.under_way < 0 { Err(BEYOND_WINDOW) } else { Ok(()) }
    }

    pub(super) fn more_data(&mut self, frame: DataFrame, input: &[u8], out: &mut Vec<u8>) -> Option<Received> {
        if input.is_empty() { None } else { self.deliver(frame, 0, input, out) }
    }

    /// Hands out what there is of a frame's content, which begins at `start`.
    #[inline]
    fn deliver(&mut self, frame: DataFrame, start: usize, input: &[u8], out: &mut Vec<u8>) -> Option<Received> {
        let there = frame.left.min(input.len().saturating_sub(start));
        let left = frame.left - there;
        let behind = start + there;
        let padding_there = if left == 0 { frame.padding.min(input.len().saturating_sub(behind)) } else { 0 };
        let consumed = behind + padding_there;
        if consumed == 0 {
            return None;
        }
        self.reading = match frame.padding - padding_there {
            _ if left > 0 => Reading::Data(DataFrame { left, ..frame }),
            0 => Reading::Frame,
            padding => Reading::Skip(padding),
        };
        let end = frame.end && left == 0;
        let stream = self.streams.get_mut(frame.key);
        let Some(stream) = stream.filter(|stream| stream.reset.is_none()) else {
            // It went away after the frame began. Nobody wants the rest, but the connection goes on.
            self.credit_connection(there, out);
            return Some(Received { consumed, event: None });
        };
        stream.held += there;
        if end {
            stream.receiving = Progress::Ended;
        }
        self.held += there;
        if self.role == Role::Client {
            self.credit_connection(there, out);
        }
        let data = Event::Data { key: frame.key, range: start..behind, end };
        Some(Received { consumed, event: (there > 0 || end).then_some(data) })
    }

    /// The user is done with so many bytes of content that it was handed; the peer may send as many again. Of a stream that
    /// was released nothing is held any more.
    #[inline]
    pub fn consumed(&mut self, key: Key, bytes: usize, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let bytes = bytes.min(stream.held);
        stream.held -= bytes;
        self.no_longer_held(bytes, out);
        self.credit_stream(key, bytes, out);
    }

    /// The window of a client's connection was given back when its content arrived: users of its streams have nothing to do with
    /// each other, and one that takes nothing must not hold up the others.
    #[inline]
    pub(super) fn no_longer_held(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.held -= bytes;
        if self.role == Role::Server {
            self.credit_connection(bytes, out);
        }
    }

    /// Gives back so many bytes to a stream, if it may receive more.
    #[inline]
    fn credit_stream(&mut self, key: Key, bytes: usize, out: &mut Vec<u8>) {
        let stream = self.streams.get_mut(key);
        if let Some(stream) = stream.filter(|stream| stream.receiving == Progress::Content && stream.reset.is_none())
            && let Some(increment) = stream.receive_window.give_back(bytes)
        {
            frame::write_window_update(key.stream_id(), increment, out);
        }
    }

    #[inline]
    pub(super) fn credit_connection(&mut self, bytes: usize, out: &mut Vec<u8>) {
        if let Some(increment) = self.receive_window.give_back(bytes) {
            frame::write_window_update(0, increment, out);
        }
    }
}
