//! Datagrams beside the streams of a link. Where there is no room the oldest are dropped, which is counted.

use super::{Link, LinkStream};

impl LinkStream {
    /// From now on the datagrams that come beside it are kept until they are [taken](Self::datagram).
    pub fn want_datagrams(&self) {
        self.link().0.mux.borrow_mut().want_datagrams(self.id());
    }

    /// Sends a datagram beside it, which may be lost.
    pub fn send_datagram(&self, packet: Vec<u8>) {
        let dropped = self.link().0.mux.borrow_mut().send_datagram(self.id(), packet);
        self.link().dropped_datagrams(dropped);
        self.link().wake_driver();
    }

    /// The next datagram that came beside it. Whoever [waits to read](Self::wait_for_reader) is woken when there is one.
    pub fn datagram(&self) -> Option<Vec<u8>> {
        self.link().0.mux.borrow_mut().datagram(self.id())
    }
}

impl Link {
    /// Those that came and were dropped since the last time.
    pub(super) fn count_dropped_datagrams(&self) {
        let dropped = self.0.mux.borrow_mut().take_dropped_datagrams();
        self.dropped_datagrams(dropped);
    }

    fn dropped_datagrams(&self, count: u64) {
        if let Some(counters) = self.counters() {
            counters.datagram_packets_dropped.add(count);
        }
    }
}
