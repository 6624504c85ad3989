//! Frames that steer a connection or a stream.

use std::time::Instant;

use crate::config::Role;
use crate::connection::Connection;
use crate::error::{Code, ConnectionError};
use crate::event::Event;
use crate::frame::{self, FrameHeader, MAX_WINDOW, flag, kind};
use crate::stream::{Progress, Side};
use crate::streams::{Key, Known};

type Outcome = Result<Option<Event>, ConnectionError>;

const FRAME_SIZE: ConnectionError = ConnectionError::new(Code::FRAME_SIZE_ERROR, "frame of the wrong size");

impl<T> Connection<T> {
    /// RFC 9113 6.5
    pub(super) fn settings(&mut self, header: FrameHeader, payload: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("SETTINGS on a stream"));
        }
        if header.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(FRAME_SIZE);
            }
            // There is one for each that we sent, which is one.
            if std::mem::replace(&mut self.settings_acknowledged, true) {
                self.abuse.ignored_frame(now)?;
            }
            self.window_grace = 0;
            return Ok(None);
        }
        if !payload.len().is_multiple_of(6) {
            return Err(FRAME_SIZE);
        }
        self.abuse.settings(now)?;
        if !self.has_settings() {
            self.peer = self.peer.after_first_frame();
        }
        let before = self.peer.initial_window;
        self.peer.apply(payload, self.role)?;
        self.resize_windows(self.peer.initial_window - before)?;
        self.encoder.limit_table(self.peer.header_table_size as usize);
        frame::write_header(0, kind::SETTINGS, flag::ACK, 0, out);
        Ok(Some(Event::Writable { key: None }))
    }

    /// All windows change by as much as their initial size does, below zero if need be (RFC 9113 6.9.2).
    fn resize_windows(&mut self, difference: i64) -> Result<(), ConnectionError> {
        if difference == 0 {
            return Ok(());
        }
        for stream in self.streams.iter_mut() {
            stream.send_window += difference;
            if stream.send_window > MAX_WINDOW {
                return Err(ConnectionError::new(Code::FLOW_CONTROL_ERROR, "window too large"));
            }
        }
        Ok(())
    }

    /// RFC 9113 6.9
    pub(super) fn window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let increment = i64::from(frame::stream_id(*payload.as_array().ok_or(FRAME_SIZE)?));
        if header.stream == 0 {
            self.abuse.window_update(true, now)?;
            return self.connection_window_update(increment);
        }
        let known = self.streams.known(header.stream);
        if known != Known::Ours {
            self.abuse.window_update(false, now)?;
        }
        let key = match known {
            Known::Live(key) => key,
            Known::Idle => return Err(ConnectionError::protocol("WINDOW_UPDATE on an idle stream")),
            Known::Ours | Known::Closed(_) => return Ok(None),
        };
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.reset.is_none()) else { return Ok(None) };
        if increment == 0 {
            return self.stream_error(key, Code::PROTOCOL_ERROR, "WINDOW_UPDATE by nothing", out);
        }
        let was_blocked = stream.send_window <= 0;
        stream.send_window += increment;
        if stream.send_window > MAX_WINDOW {
            return self.stream_error(key, Code::FLOW_CONTROL_ERROR, "window too large", out);
        }
        let writable = was_blocked && stream.send_window > 0;
        Ok(writable.then_some(Event::Writable { key: Some(key) }))
    }

    fn connection_window_update(&mut self, increment: i64) -> Outcome {
        if increment == 0 {
            return Err(ConnectionError::protocol("WINDOW_UPDATE by nothing"));
        }
        let was_blocked = self.send_window <= 0;
        self.send_window += increment;
        if self.send_window > MAX_WINDOW {
            return Err(ConnectionError::new(Code::FLOW_CONTROL_ERROR, "window too large"));
        }
        Ok(was_blocked.then_some(Event::Writable { key: None }))
    }

    /// RFC 9113 6.4
    pub(super) fn reset_frame(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Outcome {
        let code = Code(u32::from_be_bytes(*payload.as_array().ok_or(FRAME_SIZE)?));
        if header.stream == 0 {
            return Err(ConnectionError::protocol("RST_STREAM of the connection"));
        }
        let key = match self.streams.known(header.stream) {
            Known::Live(key) => key,
            Known::Idle => return Err(ConnectionError::protocol("RST_STREAM on an idle stream")),
            Known::Ours | Known::Closed(_) => return self.frame_on_gone_stream(now).map(|()| None),
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        let is_over = stream.is_over();
        if stream.reset.is_some() || is_over {
            return self.frame_on_gone_stream(now).map(|()| None);
        }
        stream.reset = Some(Side::Peer);
        if self.role == Role::Server {
            self.abuse.reset_received(stream.since, stream.sending != Progress::Head, now)?;
        }
        Ok(Some(Event::Reset { key, code, by_peer: true, reason: "reset by the peer" }))
    }

    /// RFC 9113 6.7
    pub(super) fn ping_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("PING on a stream"));
        }
        let payload = *payload.as_array().ok_or(FRAME_SIZE)?;
        if header.has(flag::ACK) {
            let Some(left) = self.pings.checked_sub(1) else { return self.abuse.ping(now).map(|()| None) };
            self.pings = left;
            return Ok(Some(Event::Pong(payload)));
        }
        self.abuse.ping(now)?;
        frame::write_ping(payload, flag::ACK, out);
        Ok(None)
    }

    /// RFC 9113 6.8
    pub(super) fn go_away_frame(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Outcome {
        if header.stream != 0 {
            return Err(ConnectionError::protocol("GOAWAY on a stream"));
        }
        let ([last, code], _) = payload.as_chunks::<4>().0.split_first_chunk::<2>().ok_or(FRAME_SIZE)?;
        let (last, code) = (frame::stream_id(*last), Code(u32::from_be_bytes(*code)));
        self.abuse.ignored_frame(now)?;
        // What was refused stays so, whatever a later one says.
        if self.refused_beyond.is_none_or(|before| last < before) {
            self.refused_beyond = Some(last);
            self.refused_from = (self.role == Role::Client).then_some(0);
        }
        Ok(Some(Event::GoAway { last, code }))
    }

    /// The next of our streams that GOAWAY refused.
    pub(super) fn reset_next_refused(&mut self) -> Option<Event> {
        let (last, from) = (self.refused_beyond?, self.refused_from.take()?);
        // None is opened any more, so that there are none before the last one that was found.
        let (key, next) = self.streams.find(from, |stream| stream.id > last && stream.reset.is_none())?;
        self.refused_from = Some(next);
        if let Some(stream) = self.streams.get_mut(key) {
            // Ours, because what is under way on it is no mistake of the peer.
            stream.reset = Some(Side::Us);
        }
        Some(Event::Reset { key, code: Code::REFUSED_STREAM, by_peer: true, reason: "refused by GOAWAY" })
    }

    /// RFC 9113 6.3: checked and ignored.
    pub(super) fn priority(&mut self, header: FrameHeader, payload: &[u8], now: Instant, out: &mut Vec<u8>) -> Outcome {
        if header.stream == 0 {
            return Err(ConnectionError::protocol("PRIORITY of the connection"));
        }
        self.abuse.ignored_frame(now)?;
        let error = match payload {
            [d1, d2, d3, d4, _] if frame::stream_id([*d1, *d2, *d3, *d4]) != header.stream => return Ok(None),
            [_, _, _, _, _] => ConnectionError::protocol("a stream that depends on itself"),
            _ => FRAME_SIZE,
        };
        match self.streams.known(header.stream) {
            Known::Live(key) => self.stream_error(key, error.code, error.reason, out),
            _ => Err(error),
        }
    }

    /// A frame on a stream that is gone. A server may have sent it before it heard that we gave the stream up, which clients that leave
    /// together make us do with many at once: it is not to blame.
    pub(super) fn frame_on_gone_stream(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if self.role == Role::Client { Ok(()) } else { self.abuse.ignored_frame(now) }
    }

    /// Resets a stream because of what the peer did, and tells the user.
    #[cold]
    pub(super) fn stream_error(&mut self, key: Key, code: Code, reason: &'static str, out: &mut Vec<u8>) -> Outcome {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        if stream.reset.is_some() {
            return Ok(None);
        }
        stream.reset = Some(Side::Us);
        self.write_forced_reset(key.stream_id(), code, out)?;
        Ok(Some(Event::Reset { key, code, by_peer: false, reason }))
    }

    /// Writes RST_STREAM that the peer made us send.
    #[cold]
    pub(super) fn write_forced_reset(
        &mut self,
        stream: u32,
        code: Code,
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectionError> {
        self.abuse.reset_sent()?;
        frame::write_reset(stream, code, out);
        Ok(())
    }
}
