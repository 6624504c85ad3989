//! Taking apart what arrives: frames, and the beginning of a connection (RFC 9113 3.4, 4.1).

use std::time::Instant;

use crate::connection::{Connection, Reading};
use crate::error::{Code, ConnectionError};
use crate::event::Received;
use crate::frame::{self, FrameHeader, HEADER, MAX_PAYLOAD, PREFACE, kind};

type Outcome = Result<Option<Received>, ConnectionError>;

impl<T> Connection<T> {
    /// Takes at most one frame from the start of `input`, which holds what arrived and was not consumed. `None`: more is
    /// needed; nothing was consumed. Content is handed out as it arrives; of other frames all must be there, which is at most
    /// 16,393 bytes.
    ///
    /// Frames that are to be answered get their answer into `out`: whoever has much of it that the peer does not read should receive no
    /// more. After an error GOAWAY was written; the connection is of no use any more.
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

    fn advance(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if self.refused_from.is_some()
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
            let outcome = self.data_frame(header, input, now, out)?;
            self.completed += u64::from(outcome.is_some());
            return Ok(outcome);
        }
        if header.kind > kind::CONTINUATION {
            self.abuse.ignored_frame(now)?;
            self.completed += 1;
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
            kind::GOAWAY => self.go_away_frame(header, payload, now)?,
            kind::PRIORITY => self.priority(header, payload, now, out)?,
            _ => return Err(ConnectionError::protocol("PUSH_PROMISE was not allowed")),
        };
        self.completed += u64::from(self.open_block.is_none());
        Ok(Some(Received { consumed, event }))
    }
}
