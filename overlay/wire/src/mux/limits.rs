//! What a side of a link allows, and keeps.

/// Bytes of a stream that may be sent before the other side has allowed any (version 1 of the protocol).
pub(super) const FIRST_WINDOW: u64 = 64 * 1024;

/// Frames that carry nothing and are forgotten with each question of ours: more than the other side has reason to send in between.
pub(super) const IDLE_FRAMES_FORGOTTEN: u32 = 64;

/// Bounds of one side. The other side hears of them as far as they concern it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams of the other side that are open at a time.
    pub streams: u64,
    /// Bytes of a stream that may wait for their reader, at most. It begins with 64 KiB, and gets more while its reader keeps up and the
    /// sender waits.
    pub stream_window: u64,
    /// What all streams together may have beyond their first 64 KiB, bytes.
    pub extra_windows: u64,
    /// Bytes of a stream that may wait to be sent.
    pub unsent: usize,
    /// Frames that carry nothing which may come more than frames that do.
    pub idle_frames: u32,
    /// Bytes of a stream's datagrams that wait to be sent, and of those that wait to be taken; the oldest is dropped for a new one.
    pub datagrams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 1024,
            stream_window: 4 * 1024 * 1024,
            extra_windows: 32 * 1024 * 1024,
            unsent: 64 * 1024,
            idle_frames: 1000,
            datagrams: 128 * 1024,
        }
    }
}
