//! How much of a thread a peer may use by what it tells: each message costs time, and a peer has so much of it. Whoever tells more is read later; what it says
//! meanwhile replaces what it wanted to say before, on its own side.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::room::is_long;
use super::turns::LastTurns;
use crate::node::Peer;

/// What a peer may use at once; afterwards it has as much as passes.
const BURST: Duration = Duration::from_secs(10);

/// Long messages of a peer that are read at a time: one link that hangs does not keep the other from being read.
const LONG_AT_A_TIME: usize = 2;

/// What a message costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) message: Duration,
    /// Of each MiB.
    pub(super) size: Duration,
}

impl Price {
    pub(super) fn of(self, bytes: u64) -> Duration {
        self.message + self.size.mul_f64(bytes as f64 / f64::from(1 << 20))
    }
}

/// An edge tells of itself: 100 messages at once, then 10 in a second; of long ones 5 MiB at once, then 512 KiB in a second.
const OF_EDGE: Price = Price { message: Duration::from_millis(100), size: Duration::from_secs(2) };
/// A hub passes on what all edges tell: 20,000 messages at once, then 2,000 in a second; 1 GiB at once, then 100 MiB in a second.
const OF_HUB: Price = Price { message: Duration::from_micros(500), size: Duration::from_millis(10) };

/// A token bucket (the generic cell rate algorithm of ITU-T I.371), as it is used by all links with one peer.
#[derive(Debug)]
pub(super) struct Pace {
    price: Price,
    /// When all that was told will be paid for.
    paid: Cell<Instant>,
    long: Semaphore,
    /// Among the edges of its tenant.
    pub(super) last_turns: LastTurns,
}

impl Pace {
    fn of(peer: &Peer) -> Self {
        let price = if matches!(peer, Peer::Hub { .. }) { OF_HUB } else { OF_EDGE };
        let long = Semaphore::new(LONG_AT_A_TIME);
        Self { price, paid: Cell::new(Instant::now()), long, last_turns: LastTurns::default() }
    }

    /// Waits until a message of so many bytes may be read; whether it had to.
    pub(super) async fn wait(&self, bytes: u64) -> bool {
        let mut waited = false;
        // Another link of the peer may be first.
        while self.paid.get() > Instant::now() + BURST {
            waited = true;
            sleep_until(self.paid.get() - BURST).await;
        }
        self.paid.set(self.paid.get().max(Instant::now()) + self.price.of(bytes));
        waited
    }

    /// Waits until a message of so many bytes may be begun, of which few long ones are read at a time.
    pub(super) async fn begin(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        if is_long(bytes) { self.long.acquire().await.ok() } else { None }
    }

    fn is_paid(&self) -> bool {
        self.paid.get() <= Instant::now()
    }
}

/// The pace of each peer. Who comes back finds the one that it had.
#[derive(Debug, Default)]
pub(super) struct Paces(RefCell<HashMap<Peer, Rc<Pace>>>);

impl Paces {
    pub(super) fn of(&self, peer: &Peer) -> Rc<Pace> {
        let mut paces = self.0.borrow_mut();
        // Whoever owes nothing is as one that was never seen.
        paces.retain(|_, pace| Rc::strong_count(pace) > 1 || !pace.is_paid());
        paces.entry(peer.clone()).or_insert_with(|| Rc::new(Pace::of(peer))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str) -> Peer {
        Peer::Edge { name: name.into(), tenant: "acme".into() }
    }

    /// How many messages of a length are read in a time.
    async fn read(pace: &Pace, bytes: u64, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut count = 0;
        while tokio::time::timeout_at(end, pace.wait(bytes)).await.is_ok() && Instant::now() < end {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_a_burst_and_then_a_rate() {
        let pace = Pace::of(&edge("a"));
        assert_eq!(read(&pace, 0, Duration::from_millis(50)).await, 101);
        let later = read(&pace, 0, Duration::from_secs(20)).await;
        assert!((199..=201).contains(&later), "{later} in 20 s");
        // One that is quiet for a while has a burst again.
        tokio::time::advance(2 * BURST).await;
        assert!(!pace.wait(0).await && !pace.wait(1 << 30).await && pace.wait(0).await);
    }

    #[tokio::test(start_paused = true)]
    async fn length_costs_and_the_longest_message_passes_nevertheless() {
        let pace = Pace::of(&edge("a"));
        let count = read(&pace, 4 << 20, Duration::from_secs(60)).await;
        assert!((8..=10).contains(&count), "{count} of 4 MiB in a minute");
        let hub = Pace::of(&Peer::Hub { name: "h".into() });
        let at_once = read(&hub, 0, Duration::from_millis(1)).await;
        assert!((20_001..=20_003).contains(&at_once), "{at_once} at once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_goes_on_with_what_is_left() {
        let paces = Paces::default();
        let first = paces.of(&edge("a"));
        first.wait(16 << 20).await;
        drop(first);
        assert!(paces.of(&edge("b")).is_paid() && paces.of(&edge("a")).wait(0).await);
        tokio::time::advance(Duration::from_secs(60)).await;
        paces.of(&edge("c"));
        assert_eq!(paces.0.borrow().len(), 1);
    }
}
