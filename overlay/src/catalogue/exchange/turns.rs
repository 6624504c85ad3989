//! How much of a thread all edges of a tenant together may use by what they tell, so that many that tell no more than each may do not load a hub without bound. Where
//! they want more than that, the one goes first whose last turn was longest ago: who tells something seldom hardly waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::pace::{Pace, Price};
use crate::catalogue::message::Header;

/// What a tenant may use at once; afterwards it has as much as passes. A tenant with as many edges as it may have is heard at once when a hub comes back.
const BURST: Duration = Duration::from_secs(20);
/// 2,000 at once, then 100 in a second; 100 MiB at once, then 5 MiB in a second.
const OF_ANNOUNCEMENTS: Price = Price { message: Duration::from_millis(10), size: Duration::from_millis(200) };
/// 8,000 at once, then 400 in a second: three times as many as edges send there may be.
const OF_CONFIRMATIONS: Price = Price { message: Duration::from_micros(2500), size: Duration::from_millis(200) };

/// When an edge had its last turn of each kind.
#[derive(Debug)]
pub(super) struct LastTurns {
    announcement: Cell<Instant>,
    confirmation: Cell<Instant>,
}

impl Default for LastTurns {
    fn default() -> Self {
        // Who has just come was not waiting for long.
        Self { announcement: Cell::new(Instant::now()), confirmation: Cell::new(Instant::now()) }
    }
}

/// The turns of each tenant.
#[derive(Debug, Default)]
pub(super) struct TenantTurns(RefCell<HashMap<String, Rc<TurnsOfTenant>>>);

/// Those of announcements and those of confirmations, which are many, and keep others alive.
#[derive(Debug)]
pub(super) struct TurnsOfTenant {
    announcements: Turns,
    confirmations: Turns,
}

impl TenantTurns {
    pub(super) fn of(&self, tenant: &str) -> Rc<TurnsOfTenant> {
        let mut tenants = self.0.borrow_mut();
        if let Some(turns) = tenants.get(tenant) {
            return turns.clone();
        }
        // Whoever owes nothing is as one that was never seen.
        tenants.retain(|_, turns| Rc::strong_count(turns) > 1 || !turns.is_paid());
        let turns =
            TurnsOfTenant { announcements: Turns::new(OF_ANNOUNCEMENTS), confirmations: Turns::new(OF_CONFIRMATIONS) };
        tenants.entry(tenant.to_owned()).or_insert_with(|| Rc::new(turns)).clone()
    }
}

impl TurnsOfTenant {
    /// Waits for the turn of an edge, with a message of this kind and length.
    pub(super) async fn wait(&self, edge: &Pace, header: Header) {
        let LastTurns { announcement, confirmation } = &edge.last_turns;
        match header.is_confirmation() {
            true => self.confirmations.wait(confirmation, header.length).await,
            false => self.announcements.wait(announcement, header.length).await,
        }
    }

    fn is_paid(&self) -> bool {
        [&self.announcements, &self.confirmations].iter().all(|turns| turns.paid.get() <= Instant::now())
    }
}

/// A token bucket, as that of a [peer](super::pace), for whose tokens many wait in order.
#[derive(Debug)]
struct Turns {
    price: Price,
    /// When all that was told will be paid for.
    paid: Cell<Instant>,
    /// By their last turn; those with the same in the order in which they came.
    waiting: RefCell<BTreeMap<(Instant, u64), Rc<Notify>>>,
    next: Cell<u64>,
}

/// Somebody who waits, until it is dropped.
struct Waiting<'a> {
    turns: &'a Turns,
    place: (Instant, u64),
}

impl Turns {
    fn new(price: Price) -> Self {
        Self { price, paid: Cell::new(Instant::now()), waiting: RefCell::default(), next: Cell::new(0) }
    }

    async fn wait(&self, last_turn: &Cell<Instant>, bytes: u64) {
        let place = (last_turn.get(), self.next.get());
        self.next.set(place.1 + 1);
        let is_first = Rc::new(Notify::new());
        self.waiting.borrow_mut().insert(place, is_first.clone());
        let waiting = Waiting { turns: self, place };
        loop {
            // Somebody may come meanwhile who goes first.
            if self.first().is_none_or(|(first, _)| first != place) {
                is_first.notified().await;
            } else if self.paid.get() > Instant::now() + BURST {
                sleep_until(self.paid.get() - BURST).await;
            } else {
                break;
            }
        }
        self.paid.set(self.paid.get().max(Instant::now()) + self.price.of(bytes));
        last_turn.set(Instant::now());
        drop(waiting);
    }

    fn first(&self) -> Option<((Instant, u64), Rc<Notify>)> {
        self.waiting.borrow().first_key_value().map(|(place, is_first)| (*place, is_first.clone()))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.waiting.borrow_mut().remove(&self.place);
        if let Some((_, is_first)) = self.turns.first() {
            is_first.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::{advance, sleep, timeout};

    use super::*;

    fn turns() -> Rc<Turns> {
        Rc::new(Turns::new(OF_ANNOUNCEMENTS))
    }

    /// Edges that tell as much as they may; how often each had its turn.
    fn greedy(turns: &Rc<Turns>, edges: usize) -> Vec<Rc<Cell<u32>>> {
        let counts: Vec<_> = (0..edges).map(|_| Rc::new(Cell::new(0))).collect();
        for count in &counts {
            let (turns, count, last_turn) = (turns.clone(), count.clone(), LastTurns::default().announcement);
            spawn_local(async move {
                loop {
                    turns.wait(&last_turn, 0).await;
                    count.set(count.get() + 1);
                }
            });
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_a_rate_and_who_tells_something_seldom_goes_first() {
        let test = async {
            let turns = turns();
            let seldom = LastTurns::default();
            sleep(Duration::from_secs(1)).await;
            let counts = greedy(&turns, 500);
            sleep(Duration::from_millis(5)).await;
            let take = || counts.iter().map(|count| count.take()).collect::<Vec<_>>();
            let at_once: u32 = take().iter().sum();
            assert!((2_000..=2_002).contains(&at_once), "{at_once} at once");
            sleep(Duration::from_secs(10)).await;
            let later = take();
            let total: u32 = later.iter().sum();
            assert!((998..=1_002).contains(&total), "{total} in 10 s");
            // Each had its turns.
            assert!(later.iter().all(|count| (1..=3).contains(count)), "{later:?}");
            let begun = Instant::now();
            turns.wait(&seldom.announcement, 0).await;
            assert!(begun.elapsed() <= Duration::from_millis(20), "{:?}", begun.elapsed());
            // Then it waits as all others.
            turns.wait(&seldom.announcement, 0).await;
            assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_makes_room_and_length_costs() {
        let turns = turns();
        let (first, second) = (LastTurns::default().announcement, LastTurns::default().announcement);
        turns.wait(&first, 120 << 20).await;
        assert!(timeout(Duration::from_secs(1), turns.wait(&second, 0)).await.is_err());
        assert_eq!(turns.waiting.borrow().len(), 0);
        let begun = Instant::now();
        turns.wait(&second, 0).await;
        assert!((2..=4).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_that_owe_nothing_are_forgotten() {
        let tenants = TenantTurns::default();
        tenants.of("acme").announcements.wait(&LastTurns::default().announcement, 0).await;
        tenants.of("other");
        assert_eq!(tenants.0.borrow().len(), 2);
        advance(BURST).await;
        tenants.of("third");
        assert_eq!(tenants.0.borrow().len(), 1);
    }
}
