//! Who has dialled a hub and has not shaken hands yet. There are so many places, and a source has a part of them; whoever has not even said what it wants,
//! or takes long to answer, makes room for others.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Duration, Instant};

/// The part of them that one source has: an IPv4 address, or what one site has of IPv6 (/56, RFC 6177).
const PART_OF_SOURCE: usize = 4;
/// Who has sent a ClientHello has its place for so long at least, and who has not as long as others took longer.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// Set as soon as a ClientHello has come.
pub(crate) type Heard = Rc<Cell<bool>>;

/// The handshakes that are under way, each with an outcome.
#[derive(Debug)]
pub(crate) struct Handshakes<T> {
    /// Under way at a time.
    most: usize,
    tasks: JoinSet<(SocketAddr, T)>,
    /// The oldest first.
    under_way: Vec<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    source: IpAddr,
    heard: Heard,
    begun: Instant,
    task: AbortHandle,
}

impl<T: 'static> Handshakes<T> {
    /// None yet, and so many at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), under_way: Vec::new() }
    }

    /// Whether one more can begin. Otherwise who dials waits in the kernel, until one is done or [`Self::room_at`].
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.most || self.least_promising(|_| true).is_some()
    }

    /// When one makes room at the latest.
    pub(crate) fn room_at(&self) -> Instant {
        self.under_way.first().map_or_else(Instant::now, |oldest| oldest.begun + UNDISTURBED)
    }

    /// Begins one. Where there is no place for it another one is closed, the oldest that takes long or else the oldest that has said nothing, or this one; whether that
    /// was so.
    #[must_use]
    pub(crate) fn begin<F>(&mut self, from: SocketAddr, handshake: impl FnOnce(Heard) -> F) -> bool
    where
        F: Future<Output = T> + 'static,
    {
        let source = source(from);
        let of_source = self.under_way.iter().filter(|one| one.source == source).count();
        let most_of_source = (self.most / PART_OF_SOURCE).max(1);
        let is_full = of_source >= most_of_source || self.under_way.len() >= self.most;
        if is_full {
            let is_candidate = |one: &UnderWay| of_source < most_of_source || one.source == source;
            let Some(other) = self.least_promising(is_candidate) else { return true };
            self.under_way.remove(other).task.abort();
        }
        let heard = Heard::default();
        let outcome = handshake(heard.clone());
        let task = self.tasks.spawn_local(async move { (from, outcome.await) });
        self.under_way.push(UnderWay { source, heard, begun: Instant::now(), task });
        is_full
    }

    /// The next one that is done. Never, while there are none.
    pub(crate) async fn next(&mut self) -> Result<(SocketAddr, T), JoinError> {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Ok((id, done))) => {
                    self.forget(id);
                    return Ok(done);
                }
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => {
                    self.forget(error.id());
                    return Err(error);
                }
                None => std::future::pending().await,
            }
        }
    }

    fn least_promising(&self, is_candidate: impl Fn(&UnderWay) -> bool) -> Option<usize> {
        let oldest = |is_wanted: &dyn Fn(&UnderWay) -> bool| {
            self.under_way.iter().position(|one| is_wanted(one) && is_candidate(one))
        };
        let is_slow = |one: &UnderWay| one.begun.elapsed() >= UNDISTURBED;
        // What somebody says who has just come may not be read yet.
        oldest(&|one| is_slow(one) && !one.heard.get())
            .or_else(|| oldest(&is_slow))
            .or_else(|| oldest(&|one| !one.heard.get()))
    }

    fn forget(&mut self, task: Id) {
        self.under_way.retain(|one| one.task.id() != task);
    }
}

/// Who is counted as one stranger.
pub(crate) fn source(from: SocketAddr) -> IpAddr {
    match from.ip().to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 72)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::LocalSet;

    use super::*;

    const MOST: usize = 256;
    const MOST_OF_SOURCE: usize = MOST / PART_OF_SOURCE;

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], 1))
    }

    /// Somebody who never gets further. Whether it is there still.
    fn stall(handshakes: &mut Handshakes<()>, from: SocketAddr, says_hello: bool) -> (Rc<()>, bool) {
        let is_there = Rc::new(());
        let held = is_there.clone();
        let is_full = handshakes.begin(from, |heard| {
            heard.set(says_hello);
            async move {
                let _held = held;
                pending().await
            }
        });
        (is_there, is_full)
    }

    /// Whether somebody who is prompt gets through.
    async fn gets_through(handshakes: &mut Handshakes<()>, from: SocketAddr) -> bool {
        let _ = handshakes.begin(from, |_| ready(()));
        tokio::select! {
            biased;
            done = handshakes.next() => done.unwrap().0 == from,
            () = async { for _ in 0..1000 { tokio::task::yield_now().await } } => false,
        }
    }

    #[tokio::test]
    async fn a_source_has_a_part_of_the_places() {
        let test = async {
            let mut handshakes = Handshakes::new(MOST);
            let stalled: Vec<_> = (0..MOST_OF_SOURCE).map(|_| stall(&mut handshakes, at(1), true)).collect();
            assert!(stalled.iter().all(|(_, is_full)| !is_full));
            assert!(!gets_through(&mut handshakes, at(1)).await);
            assert!(gets_through(&mut handshakes, at(2)).await);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn the_oldest_that_has_said_nothing_makes_room() {
        let test = async {
            let mut handshakes = Handshakes::new(MOST);
            let greedy: Vec<_> = (0..=MOST_OF_SOURCE).map(|_| stall(&mut handshakes, at(1), false).0).collect();
            let others: Vec<_> =
                (MOST_OF_SOURCE..MOST).map(|number| stall(&mut handshakes, at(number as u8), true).0).collect();
            assert!(gets_through(&mut handshakes, at(1)).await && handshakes.has_room());
            let elsewhere = SocketAddr::from(([198, 51, 100, 1], 1));
            assert!(!stall(&mut handshakes, elsewhere, true).1);
            assert!(gets_through(&mut handshakes, elsewhere).await);
            let is_there = |one: &Rc<()>| Rc::strong_count(one) == 2;
            let left: Vec<bool> = greedy.iter().map(is_there).collect();
            assert_eq!(left.iter().filter(|left| !**left).count(), 3);
            assert!(left[3..].iter().all(|left| *left) && others.iter().all(is_there));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_stays_where_others_take_long() {
        let test = async {
            let mut handshakes = Handshakes::new(MOST);
            let mut slow: Vec<_> = (2..MOST).map(|number| stall(&mut handshakes, at(number as u8), true).0).collect();
            slow.push(stall(&mut handshakes, at(0), false).0);
            tokio::time::advance(UNDISTURBED).await;
            let new = stall(&mut handshakes, at(1), false).0;
            let _others = [2, 3].map(|host| stall(&mut handshakes, at(host), true));
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            let is_there = |one: &Rc<()>| Rc::strong_count(one) == 2;
            let gone: Vec<usize> = (0..slow.len()).filter(|at| !is_there(&slow[*at])).collect();
            // The silent one first.
            assert_eq!((gone, is_there(&new)), (vec![0, slow.len() - 1], true));
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_have_said_something_the_oldest_that_takes_long_makes_room() {
        let test = async {
            let mut handshakes = Handshakes::new(MOST);
            let mut stalled = Vec::new();
            for number in 0..MOST {
                assert!(handshakes.has_room());
                stalled.push(stall(&mut handshakes, at(number as u8), true));
            }
            assert!(!handshakes.has_room() && stalled.iter().all(|(_, is_full)| !is_full));
            assert!(handshakes.begin(at(1), |_| pending()));
            tokio::time::sleep_until(handshakes.room_at()).await;
            assert!(handshakes.has_room() && gets_through(&mut handshakes, at(1)).await);
            let is_there = |(one, _): &(Rc<()>, bool)| Rc::strong_count(one) == 2;
            let left: Vec<bool> = stalled.iter().map(is_there).collect();
            assert!(!left[0] && left[1..].iter().all(|left| *left));
        };
        LocalSet::new().run_until(test).await;
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let source = |text: &str| source(text.parse().unwrap());
        assert_eq!(source("[2001:db8::1]:1"), source("[2001:db8::ffff:2]:2"));
        assert_eq!(source("[2001:db8::1]:1"), source("[2001:db8:0:ff::1]:1"));
        assert_ne!(source("[2001:db8::1]:1"), source("[2001:db8:0:100::1]:1"));
        assert_eq!(source("[::ffff:192.0.2.1]:1"), source("192.0.2.1:2"));
        assert_ne!(source("192.0.2.1:1"), source("192.0.2.2:1"));
    }
}
