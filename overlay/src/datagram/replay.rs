//! Which packets have come already (RFC 4303 section 3.4.3).

/// Packets that may come behind the newest one and are still taken.
const WINDOW: u64 = u128::BITS as u64;

/// The numbers that were seen, as far as they count.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// What follows the newest one.
    next: u64,
    /// The lowest bit is the newest one.
    seen: u128,
}

impl Replay {
    /// Notes a number; `false` if it has come before, or is too old to tell.
    pub(super) fn note(&mut self, number: u64) -> bool {
        if number >= self.next {
            let ahead = number - self.next + 1;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.next = number + 1;
            return true;
        }
        let behind = self.next - 1 - number;
        let is_new = behind < WINDOW && self.seen & (1 << behind) == 0;
        if is_new {
            self.seen |= 1 << behind;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::rngs::SmallRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    #[test]
    fn each_number_is_taken_once_and_what_is_too_old_never() {
        let mut replay = Replay::default();
        assert_eq!(
            [0, 0, 1, 5, 3, 3, 5, 2].map(|number| replay.note(number)),
            [true, false, true, true, true, false, false, true]
        );
        assert!(replay.note(1000) && replay.note(1000 - 127) && !replay.note(1000 - 128));
        assert!(!replay.note(1000 - 127) && replay.note(999));
    }

    #[test]
    fn whatever_the_order_it_says_what_a_set_says() {
        let mut random = SmallRng::seed_from_u64(7);
        let (mut replay, mut seen, mut newest) = (Replay::default(), HashSet::new(), 0_u64);
        for _ in 0..100_000 {
            let number = (newest + random.random_range(0..8)).saturating_sub(random.random_range(0..200));
            let expected = newest.saturating_sub(number) < WINDOW && seen.insert(number);
            assert_eq!(replay.note(number), expected, "{number}, newest {newest}");
            newest = newest.max(number);
        }
    }
}
