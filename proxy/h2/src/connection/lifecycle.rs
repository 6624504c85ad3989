//! Beginning and ending streams and the connection.

use crate::config::Role;
use crate::connection::Connection;
use crate::error::Code;
use crate::frame;
use crate::stream::{Progress, Side};
use crate::streams::Key;

impl<T> Connection<T> {
    /// Server: keeps `value` for the stream of a request.
    pub fn accept(&mut self, key: Key, value: T) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.value = Some(value);
        }
    }

    /// Resets a stream, unless it is over. It must still be released.
    pub fn reset(&mut self, key: Key, code: Code, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let is_over = stream.is_over();
        if stream.reset.is_none() && !is_over {
            stream.reset = Some(Side::Us);
            frame::write_reset(key.stream_id(), code, out);
        }
    }

    /// The user is done with a stream, and with all content of it, and gets back what it kept. A stream that is not over is reset: with `NO_ERROR` if the
    /// response was complete (RFC 9113 8.1), else with `CANCEL`.
    pub fn release(&mut self, key: Key, out: &mut Vec<u8>) -> Option<T> {
        let answered = |sending| self.role == Role::Server && sending == Progress::Ended;
        let code = match self.streams.get(key)?.sending {
            sending if answered(sending) => Code::NO_ERROR,
            _ => Code::CANCEL,
        };
        self.reset(key, code, out);
        let stream = self.streams.remove(key)?;
        self.no_longer_held(stream.held, out);
        self.head_bytes -= stream.head_bytes;
        if stream.is_over() && stream.reset.is_none() {
            self.abuse.stream_ended();
        }
        let by_us = stream.reset == Some(Side::Us);
        self.streams.remember(stream.id, by_us);
        if by_us && self.role == Role::Server && stream.receiving != Progress::Ended {
            self.under_way += stream.receive_window.available().max(0) + self.window_grace;
        }
        stream.value
    }

    /// Tells the peer to open no more streams, without refusing any: those that are under way are still taken. Call
    /// [`Connection::go_away`] after a while.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        if !self.draining {
            self.draining = true;
            frame::write_go_away(frame::MAX_STREAM_ID, Code::NO_ERROR, out);
        }
    }

    /// Tells the peer which stream was the last; those beyond it are ignored. Streams up to it go on.
    pub fn go_away(&mut self, code: Code, out: &mut Vec<u8>) {
        self.draining = true;
        self.ignored_beyond = self.last_accepted;
        frame::write_go_away(self.last_accepted, code, out);
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self, payload: [u8; 8], out: &mut Vec<u8>) {
        self.pings = self.pings.saturating_add(1);
        frame::write_ping(payload, 0, out);
    }

    /// A stream that the peer opened is none: content may be under way nevertheless.
    pub(super) fn pass_over(&mut self, stream: u32) {
        self.streams.remember(stream, true);
        self.under_way += i64::from(self.config.initial_stream_window) + self.window_grace;
    }

    /// Whether a stream was opened by the peer after we said which one is the last.
    pub(super) fn is_ignored(&self, stream: u32) -> bool {
        self.streams.is_peers(stream) && stream > self.ignored_beyond
    }
}
