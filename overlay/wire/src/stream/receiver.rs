//! What one side receives, perhaps from several legs, and some of it twice.

use std::time::Duration;

use super::limits::Limits;
use crate::buffer::Buffer;
use crate::leg::Progress;

/// The receiving half.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Bytes that nobody has read.
    buffer: Buffer,
    received: u64,
    end: Option<u64>,
    /// What the other side was last told to have arrived, and to be allowed.
    told: Progress,
    /// Something arrived, then, that the other side was not told of.
    since: Option<Duration>,
}

/// What came cannot be what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Something is missing before it.
    Gap,
    /// It is more than was allowed.
    TooMuch,
    /// It is behind the end, or the end is elsewhere.
    End,
}

impl Receiver {
    /// Takes bytes that belong at `offset`.
    pub(super) fn receive(&mut self, offset: u64, bytes: &[u8], now: Duration) -> Result<(), Wrong> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Wrong::TooMuch)?;
        if offset > self.received {
            return Err(Wrong::Gap);
        }
        if self.end.is_some_and(|last| end > last) {
            return Err(Wrong::End);
        }
        if end > self.told.allowed {
            return Err(Wrong::TooMuch);
        }
        if end > self.received {
            self.buffer.push(&bytes[(self.received - offset) as usize..]);
            self.received = end;
        }
        // Even if it came twice: the sender may not have heard that it has arrived.
        self.since.get_or_insert(now);
        Ok(())
    }

    /// The stream ends there.
    pub(super) fn receive_end(&mut self, offset: u64, now: Duration) -> Result<(), Wrong> {
        if offset > self.received {
            return Err(Wrong::Gap);
        }
        if offset < self.received || self.end.is_some_and(|end| end != offset) {
            return Err(Wrong::End);
        }
        self.end = Some(offset);
        self.since.get_or_insert(now);
        Ok(())
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> usize {
        self.buffer.read(into)
    }

    pub(super) fn unread(&self) -> usize {
        self.buffer.len()
    }

    /// All has arrived.
    pub(super) fn has_end(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.has_end() && self.buffer.is_empty()
    }

    /// Nobody reads any more.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.since = None;
    }

    pub(super) fn progress(&self, limits: &Limits) -> Progress {
        let read = self.received - self.buffer.len() as u64;
        Progress { delivered: self.received + u64::from(self.has_end()), allowed: read + limits.window }
    }

    /// When the other side is to be told what has arrived.
    pub(super) fn due(&self, limits: &Limits) -> Option<Duration> {
        let progress = self.progress(limits);
        let urgent = self.has_end() && progress.delivered > self.told.delivered
            || progress.delivered - self.told.delivered >= limits.acknowledge_after
            || progress.allowed - self.told.allowed >= limits.window / 2;
        if urgent { Some(Duration::ZERO) } else { self.since.map(|since| since + limits.acknowledge_within) }
    }

    /// What the other side was told may be lost.
    pub(super) fn tell_again(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// Notes that the other side is told.
    pub(super) fn tell(&mut self, limits: &Limits) -> Progress {
        self.told = self.progress(limits);
        self.since = None;
        self.told
    }
}
