//! Flow control (RFC 9113 5.2, 6.9): what the peer may still send.

/// Credit of the peer, for one stream or for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveWindow {
    /// Bytes it may send. Below zero when it used what it had before our settings reached it.
    available: i64,
    /// Bytes we are done with, but did not give back yet.
    unreturned: i64,
    size: i64,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32) -> Self {
        ReceiveWindow { available: size.into(), unreturned: 0, size: size.into() }
    }

    /// The peer sent so much; `false` when it had not so much credit, counting `grace` on top.
    #[inline]
    #[must_use]
    pub(crate) fn take(&mut self, bytes: usize, grace: i64) -> bool {
        self.available -= bytes as i64;
        self.available + grace >= 0
    }

    /// What the peer may still send.
    pub(crate) fn available(&self) -> i64 {
        self.available
    }

    /// We are done with so much. Returns what to give back, once that is half of the window.
    #[inline]
    pub(crate) fn give_back(&mut self, bytes: usize) -> Option<u32> {
        self.unreturned += bytes as i64;
        if self.unreturned == 0 || self.unreturned * 2 < self.size {
            return None;
        }
        let increment = self.unreturned;
        self.available += increment;
        self.unreturned = 0;
        u32::try_from(increment).ok()
    }
}
