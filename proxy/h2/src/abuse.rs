//! Counting what a peer does, and when it is too much.

use std::time::{Duration, Instant};

use crate::config::AbuseLimits;
use crate::error::{Code, ConnectionError};

/// Credit for frames that answer ours does not grow beyond this.
const MOST_CREDIT: u32 = 10_000;

/// WINDOW_UPDATE frames that a peer may send for each frame of content that it received (Envoy's
/// `max_inbound_window_update_frames_per_data_frame_sent`), if its windows had room for more than that.
const WINDOW_UPDATES_PER_DATA: u32 = 10;

/// A frame that fills a window, however small, is the peer's own doing: it allows one WINDOW_UPDATE for so many bytes.
const BYTES_PER_WINDOW_UPDATE: usize = 128;

/// So many resets at most are made up for in advance.
const MOST_IN_ADVANCE: i64 = 1_000;

/// The counters of one connection.
pub(crate) struct Abuse {
    limits: AbuseLimits,
    second: Option<Instant>,
    in_second: InSecond,
    in_all: InAll,
    /// PING and WINDOW_UPDATE frames that content of ours accounts for.
    ping_credit: u32,
    window_update_credit: u32,
    /// Bytes that no WINDOW_UPDATE was allowed for yet.
    uncredited: usize,
}

#[derive(Default)]
struct InSecond {
    resets: u32,
    pings: u32,
    settings: u32,
    empty_data: u32,
    tiny_data: u32,
    connection_window_updates: u32,
    stream_window_updates: u32,
    ignored_frames: u32,
}

#[derive(Default)]
struct InAll {
    resets: Resets,
    premature_resets: Resets,
    resets_sent: u32,
    pings: u32,
    settings: u32,
}

/// Streams that were given up, against those that came to their end: each of these makes up for one, be it before or after. Counted is the
/// share of a peer's streams that way, not what many streams add up to.
#[derive(Default)]
struct Resets {
    /// How many more were given up than came to their end.
    excess: i64,
}

impl Resets {
    fn count(&mut self, limit: u32, reason: &'static str) -> Outcome {
        self.excess += 1;
        if self.excess > i64::from(limit) { Err(ConnectionError::new(Code::ENHANCE_YOUR_CALM, reason)) } else { Ok(()) }
    }

    #[inline]
    fn stream_ended(&mut self) {
        self.excess = (self.excess - 1).max(-MOST_IN_ADVANCE);
    }

    fn are_made_up_for(&self) -> bool {
        self.excess <= 0
    }
}

type Outcome = Result<(), ConnectionError>;

/// Counts one more; too many are an error with this reason.
#[inline]
fn count(counter: &mut u32, limit: u32, reason: &'static str) -> Outcome {
    *counter = counter.saturating_add(1);
    if *counter > limit { Err(ConnectionError::new(Code::ENHANCE_YOUR_CALM, reason)) } else { Ok(()) }
}

#[inline]
fn spend(credit: &mut u32) -> bool {
    let left = credit.checked_sub(1);
    *credit = left.unwrap_or(0);
    left.is_some()
}

impl Abuse {
    pub(crate) fn new(limits: AbuseLimits) -> Self {
        Abuse {
            limits,
            second: None,
            in_second: InSecond::default(),
            in_all: InAll::default(),
            ping_credit: 0,
            window_update_credit: 0,
            uncredited: 0,
        }
    }

    /// Begins a new second if the last one is over.
    #[inline]
    fn at(&mut self, now: Instant) {
        let passed = self.second.map_or(Duration::MAX, |second| now.saturating_duration_since(second));
        if passed >= Duration::from_secs(1) {
            let seconds = u32::try_from(passed.as_secs()).unwrap_or(u32::MAX);
            self.in_all.pings = self.in_all.pings.saturating_sub(seconds);
            self.in_all.settings = self.in_all.settings.saturating_sub(seconds);
            self.in_second = InSecond::default();
            self.second = Some(now);
        }
    }

    /// We sent so many frames of content, with so many bytes, and whether a window is full because of it.
    #[inline]
    pub(crate) fn sent_data(&mut self, frames: u32, bytes: usize, fills_window: bool) {
        self.ping_credit = self.ping_credit.saturating_add(frames).min(MOST_CREDIT);
        self.uncredited += bytes;
        let for_bytes = u32::try_from(self.uncredited / BYTES_PER_WINDOW_UPDATE).unwrap_or(u32::MAX);
        self.uncredited %= BYTES_PER_WINDOW_UPDATE;
        let for_frames = if fills_window { 0 } else { frames.saturating_mul(WINDOW_UPDATES_PER_DATA) };
        let updates = for_bytes.saturating_add(for_frames);
        self.window_update_credit = self.window_update_credit.saturating_add(updates).min(MOST_CREDIT);
    }

    /// A stream came to its end.
    #[inline]
    pub(crate) fn stream_ended(&mut self) {
        let in_all = &mut self.in_all;
        in_all.resets.stream_ended();
        in_all.premature_resets.stream_ended();
        in_all.resets_sent = in_all.resets_sent.saturating_sub(1);
    }

    /// RST_STREAM of a client on a stream that was opened at `since`, and whether a response was begun.
    pub(crate) fn reset_received(&mut self, since: Option<Instant>, answered: bool, now: Instant) -> Outcome {
        self.at(now);
        self.in_all.resets.count(self.limits.resets_in_all, "resets in all")?;
        let lived = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if lived >= Duration::from_secs(1) {
            return Ok(());
        }
        if !self.in_all.resets.are_made_up_for() {
            count(&mut self.in_second.resets, self.limits.resets_per_second, "resets per second")?;
        }
        if answered {
            return Ok(());
        }
        self.in_all.premature_resets.count(self.limits.premature_resets, "premature resets")
    }

    /// We had to reset a stream because of what the peer did.
    pub(crate) fn reset_sent(&mut self) -> Outcome {
        count(&mut self.in_all.resets_sent, self.limits.resets_sent, "resets sent")
    }

    pub(crate) fn ping(&mut self, now: Instant) -> Outcome {
        if spend(&mut self.ping_credit) {
            return Ok(());
        }
        self.at(now);
        count(&mut self.in_second.pings, self.limits.pings_per_second, "pings per second")?;
        count(&mut self.in_all.pings, self.limits.pings_in_all, "pings in all")
    }

    pub(crate) fn settings(&mut self, now: Instant) -> Outcome {
        self.at(now);
        count(&mut self.in_second.settings, self.limits.settings_per_second, "settings per second")?;
        count(&mut self.in_all.settings, self.limits.settings_in_all, "settings in all")
    }

    /// DATA with so much content that does not end its message.
    #[inline]
    pub(crate) fn data(&mut self, length: usize, now: Instant) -> Outcome {
        if length >= AbuseLimits::TINY {
            return Ok(());
        }
        self.at(now);
        if length == 0 {
            return count(&mut self.in_second.empty_data, self.limits.empty_data_per_second, "empty data per second");
        }
        count(&mut self.in_second.tiny_data, self.limits.tiny_data_per_second, "tiny data per second")
    }

    #[inline]
    pub(crate) fn window_update(&mut self, of_connection: bool, now: Instant) -> Outcome {
        if spend(&mut self.window_update_credit) {
            return Ok(());
        }
        self.at(now);
        if of_connection {
            let limit = self.limits.connection_window_updates_per_second;
            let counter = &mut self.in_second.connection_window_updates;
            return count(counter, limit, "window updates of the connection per second");
        }
        let limit = self.limits.stream_window_updates_per_second;
        count(&mut self.in_second.stream_window_updates, limit, "window updates of streams per second")
    }

    /// PRIORITY, GOAWAY, SETTINGS that acknowledge nothing, a frame of an unknown type, or one on a stream that is gone.
    pub(crate) fn ignored_frame(&mut self, now: Instant) -> Outcome {
        self.at(now);
        count(&mut self.in_second.ignored_frames, self.limits.ignored_frames_per_second, "ignored frames per second")
    }
}
