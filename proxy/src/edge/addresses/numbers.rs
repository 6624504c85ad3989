//! Numbers that stand for names: each name keeps the one that it was given, until it was not wanted for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A name that nobody wanted for so long has no number any more.
const UNUSED: Duration = Duration::from_hours(24 * 7);
/// Where there are no more numbers, the one that nobody wanted for longest is given away, but not before this: clients may still know it.
const UNUSED_AT_LEAST: Duration = Duration::from_hours(1);

/// The numbers from 0 to a size, and who has them.
#[derive(Debug)]
pub(super) struct Numbers {
    size: u32,
    given: BTreeMap<String, u32>,
    taken: BTreeSet<u32>,
    /// Names that nobody wants, and since when (seconds since 1970).
    unused: BTreeMap<String, u64>,
    /// Names that were wanted since it was last looked.
    wanted: BTreeSet<String>,
    /// Where to look for one that is free.
    next: u32,
}

impl Numbers {
    /// Those that were given before. What is not below the size is forgotten.
    pub(super) fn new(size: u32, mut given: BTreeMap<String, u32>, mut unused: BTreeMap<String, u64>) -> Self {
        given.retain(|_, number| *number < size);
        unused.retain(|name, _| given.contains_key(name));
        let taken = given.values().copied().collect();
        Self { size, given, taken, unused, wanted: BTreeSet::new(), next: 0 }
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (&String, u32)> {
        self.given.iter().map(|(name, number)| (name, *number))
    }

    pub(super) fn unused(&self) -> &BTreeMap<String, u64> {
        &self.unused
    }

    /// The number of a name, and whether it is a new one; `None` if there are no more.
    pub(super) fn of(&mut self, name: &str, now: u64) -> Option<(u32, bool)> {
        if let Some(number) = self.given.get(name).copied() {
            self.wanted.insert(name.to_owned());
            return Some((number, false));
        }
        if self.taken.len() >= self.size as usize {
            let longest = self.unused.iter().filter(|(name, _)| !self.wanted.contains(*name));
            let (longest, since) = longest.min_by_key(|(_, since)| **since)?;
            if now.saturating_sub(*since) < UNUSED_AT_LEAST.as_secs() {
                return None;
            }
            self.forget(&longest.clone());
        }
        let number = (self.next..self.size).chain(0..self.next).find(|number| !self.taken.contains(number))?;
        self.next = number + 1;
        self.taken.insert(number);
        self.given.insert(name.to_owned(), number);
        self.wanted.insert(name.to_owned());
        Some((number, true))
    }

    /// All names that are wanted were asked for: whoever is not among them is unused, and forgotten in the end. Whether anything is to be written.
    pub(super) fn settle(&mut self, now: u64) -> bool {
        let (wanted, before) = (std::mem::take(&mut self.wanted), self.unused.len());
        self.unused.retain(|name, _| !wanted.contains(name));
        let mut changed = self.unused.len() != before;
        let long = |since: u64| now.saturating_sub(since) >= UNUSED.as_secs();
        let forgotten: Vec<_> =
            self.unused.iter().filter(|(_, since)| long(**since)).map(|(name, _)| name.clone()).collect();
        forgotten.iter().for_each(|name| self.forget(name));
        for name in self.given.keys().filter(|name| !wanted.contains(*name)) {
            if !self.unused.contains_key(name) {
                self.unused.insert(name.clone(), now);
                changed = true;
            }
        }
        changed || !forgotten.is_empty()
    }

    fn forget(&mut self, name: &str) {
        self.unused.remove(name);
        if let Some(number) = self.given.remove(name) {
            self.taken.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn numbers(size: u32) -> Numbers {
        Numbers::new(size, BTreeMap::new(), BTreeMap::new())
    }

    #[test]
    fn who_is_wanted_keeps_its_number_and_who_was_not_for_long_has_none() {
        let mut numbers = numbers(10);
        let (a, b) = (numbers.of("a", 0), numbers.of("b", 0));
        assert_eq!((a, b, numbers.settle(0)), (Some((0, true)), Some((1, true)), false));
        for day in 0..8 {
            assert_eq!(numbers.of("a", day * 24 * HOUR), Some((0, false)));
            // Since the first day nobody wants b, and in the end it is forgotten.
            assert_eq!(numbers.settle(day * 24 * HOUR), day == 0 || day == 7);
        }
        assert_eq!(numbers.given().collect::<Vec<_>>(), [(&"a".to_owned(), 0)]);
        assert!(numbers.unused().is_empty() && numbers.taken.len() == 1);
    }

    #[test]
    fn who_comes_back_is_not_forgotten() {
        let mut numbers = numbers(10);
        numbers.of("a", 0);
        numbers.settle(0);
        assert!(numbers.settle(HOUR) && !numbers.settle(6 * 24 * HOUR));
        assert_eq!(numbers.of("a", 6 * 24 * HOUR), Some((0, false)));
        assert!(numbers.settle(6 * 24 * HOUR) && numbers.unused().is_empty());
        assert!(numbers.settle(8 * 24 * HOUR));
        assert_eq!(numbers.given().count(), 1);
    }

    #[test]
    fn where_there_are_no_more_the_one_that_was_unused_longest_is_given_away() {
        let mut numbers = numbers(2);
        numbers.of("a", 0);
        numbers.of("b", 0);
        assert_eq!(numbers.of("c", 0), None);
        numbers.settle(0);
        numbers.of("b", 0);
        numbers.settle(0);
        assert_eq!(numbers.of("c", HOUR - 1), None);
        numbers.settle(HOUR - 1);
        assert_eq!(numbers.of("c", HOUR), Some((0, true)));
        // b is unused for too short a time.
        assert_eq!(numbers.of("d", HOUR), None);
        // One that is asked for again in this round stays.
        numbers.settle(HOUR);
        numbers.of("b", 9 * HOUR);
        numbers.of("c", 9 * HOUR);
        assert_eq!(numbers.of("d", 9 * HOUR), None);
    }

    #[test]
    fn what_was_given_before_is_given_still() {
        let before = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 12)]);
        let unused = BTreeMap::from([("a".to_owned(), 5), ("b".to_owned(), 5)]);
        let mut numbers = Numbers::new(10, before, unused);
        assert_eq!(
            (numbers.unused().len(), numbers.of("a", 6), numbers.of("b", 6)),
            (1, Some((7, false)), Some((0, true)))
        );
    }
}
