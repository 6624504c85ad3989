//! A table in which each endpoint has its part of the places (Maglev: A Fast and Reliable Software Network Load Balancer, 3.4).

use twox_hash::XxHash64;

use super::{Weighted, key};

/// The endpoint of each place.
#[derive(Debug)]
pub(crate) struct Maglev(Box<[u32]>);

/// A place that nobody has taken yet.
const FREE: u32 = u32::MAX;

/// An endpoint that takes places in an order of its own.
struct Taker {
    endpoint: u32,
    weight: f64,
    /// Below this it does not take part in a round.
    due: f64,
    next: u64,
    skip: u64,
}

impl Maglev {
    /// Endpoints take places in turn until none is left; one of half the greatest weight, say, takes part in every second round.
    pub(super) fn new(endpoints: &[Weighted<'_>], size: u64) -> Self {
        let greatest = endpoints.iter().map(|endpoint| endpoint.weight).fold(0.0, f64::max);
        let mut keyed: Vec<_> = endpoints.iter().map(|endpoint| (key(endpoint.address), endpoint)).collect();
        // The order in which the control plane lists them must not matter.
        keyed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut takers: Vec<Taker> = keyed.iter().map(|(key, endpoint)| Taker::new(key, endpoint, size)).collect();
        if takers.is_empty() || size < 2 {
            return Self(takers.first().map(|taker| taker.endpoint).into_iter().collect());
        }
        let mut places = vec![FREE; size as usize].into_boxed_slice();
        let mut free = places.len();
        let mut round = 0.0;
        while free > 0 {
            round += 1.0;
            for taker in &mut takers {
                if free == 0 {
                    break;
                }
                if round * taker.weight < taker.due {
                    continue;
                }
                taker.due += greatest;
                taker.take(&mut places);
                free -= 1;
            }
        }
        Self(places)
    }

    /// With each further attempt that of another hash.
    pub(super) fn pick(&self, hash: u64, attempt: u32) -> Option<u32> {
        let hash = match attempt {
            0 => hash,
            attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
        };
        let place = hash.checked_rem(self.0.len() as u64)?;
        self.0.get(place as usize).copied()
    }
}

impl Taker {
    fn new(key: &str, endpoint: &Weighted<'_>, size: u64) -> Self {
        let hash = |seed| XxHash64::oneshot(seed, key.as_bytes());
        Self {
            endpoint: endpoint.number,
            weight: endpoint.weight,
            due: 0.0,
            next: hash(0) % size.max(1),
            skip: hash(1) % size.saturating_sub(1).max(1) + 1,
        }
    }

    /// Takes the next place in its order that is free; there must be one. As the number of places is a prime, the order leads everywhere.
    fn take(&mut self, places: &mut [u32]) {
        let size = places.len() as u64;
        loop {
            let place = places.get_mut(self.next as usize);
            self.next = (self.next + self.skip) % size;
            match place {
                Some(place) if *place == FREE => {
                    *place = self.endpoint;
                    return;
                }
                _ => {}
            }
        }
    }
}
