//! Numbers that stand for names: each name keeps the one that it was given, until it was not wanted for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A name that nobody wanted for so long has no number any more.
const UNUSED: Duration = Duration::from_hours(24 * 7);
/// Numbers of one owner, with those that nobody wants any more: it cannot use up all by changing its names.
const MOST_OF_OWNER: usize = 4_096;

/// Names, each with its owner.
pub(super) type Wanted<'a> = BTreeMap<String, &'a str>;

/// The numbers from 0 to a size, and who has them.
#[derive(Debug)]
pub(super) struct Numbers {
    size: u32,
    given: BTreeMap<String, Given>,
    taken: BTreeSet<u32>,
    /// Where to look for one that is free.
    next: u32,
}

/// A number that was given to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) number: u32,
    /// Whose name it is, or was when it was wanted last.
    pub(super) owner: String,
    /// Since when nobody wants it (seconds since 1970).
    pub(super) unused: Option<u64>,
}

/// What an owner has.
#[derive(Debug, Default)]
struct Share {
    count: usize,
    /// Names that nobody wants, those first that were not wanted for longest.
    unused: BTreeSet<(u64, String)>,
}

impl Numbers {
    /// Those that were given before. What is not below the size is forgotten.
    pub(super) fn new(size: u32, mut given: BTreeMap<String, Given>) -> Self {
        given.retain(|_, one| one.number < size);
        let taken = given.values().map(|one| one.number).collect();
        Self { size, given, taken, next: 0 }
    }

    /// Where the first that is free is looked for: the remainder of a number.
    pub(super) fn begin_at(&mut self, number: u64) {
        self.next = u32::try_from(number % u64::from(self.size)).unwrap_or_default();
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (&String, &Given)> {
        self.given.iter()
    }

    /// The number of a name that has one.
    pub(super) fn of(&self, name: &str) -> Option<u32> {
        self.given.get(name).map(|one| one.number)
    }

    /// Gives a number to each of these names, as far as there are any. Whoever is not among them is unused, and forgotten in the end, or when its number
    /// is needed. Whether anything is to be written.
    pub(super) fn give(&mut self, wanted: &Wanted<'_>, now: u64) -> bool {
        let mut changed = false;
        for (name, one) in &mut self.given {
            let owner = wanted.get(name);
            let unused = if owner.is_some() { None } else { one.unused.or(Some(now)) };
            changed |= one.unused != unused;
            one.unused = unused;
            if let Some(owner) = owner.filter(|owner| **owner != one.owner) {
                one.owner = (*owner).to_owned();
            }
        }
        let is_old = |one: &Given| one.unused.is_some_and(|since| now.saturating_sub(since) >= UNUSED.as_secs());
        let old: Vec<_> = self.given.iter().filter(|(_, one)| is_old(one)).map(|(name, _)| name.clone()).collect();
        for name in &old {
            self.forget(name);
        }
        let new: Vec<_> = wanted.iter().filter(|(name, _)| !self.given.contains_key(*name)).collect();
        if new.is_empty() {
            return changed || !old.is_empty();
        }
        let mut shares = self.shares();
        for (name, owner) in new {
            changed |= self.give_one(name, owner, &mut shares);
        }
        changed || !old.is_empty()
    }

    fn shares(&self) -> BTreeMap<String, Share> {
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        for (name, one) in &self.given {
            let share = shares.entry(one.owner.clone()).or_default();
            share.count += 1;
            share.unused.extend(one.unused.map(|since| (since, name.clone())));
        }
        shares
    }

    /// Whoever has as many as it may gives away one of its own; where there are no more, the owner that has most of them does.
    fn give_one(&mut self, name: &str, owner: &str, shares: &mut BTreeMap<String, Share>) -> bool {
        let has_most = shares.get(owner).is_some_and(|share| share.count >= MOST_OF_OWNER);
        let number = if has_most {
            shares.get_mut(owner).and_then(|share| self.take_from(share))
        } else if self.taken.len() >= self.size as usize {
            let others = shares.values_mut().filter(|share| !share.unused.is_empty());
            others.max_by_key(|share| share.count).and_then(|share| self.take_from(share))
        } else {
            (self.next..self.size).chain(0..self.next).find(|number| !self.taken.contains(number))
        };
        let Some(number) = number else { return false };
        self.next = number + 1;
        self.taken.insert(number);
        self.given.insert(name.to_owned(), Given { number, owner: owner.to_owned(), unused: None });
        shares.entry(owner.to_owned()).or_default().count += 1;
        true
    }

    fn take_from(&mut self, share: &mut Share) -> Option<u32> {
        let (_, name) = share.unused.pop_first()?;
        share.count -= 1;
        self.forget(&name)
    }

    fn forget(&mut self, name: &str) -> Option<u32> {
        let number = self.given.remove(name)?.number;
        self.taken.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn numbers(size: u32) -> Numbers {
        Numbers::new(size, BTreeMap::new())
    }

    /// `owner.name` each.
    fn give(numbers: &mut Numbers, names: &[&str], now: u64) -> bool {
        let owners = names.iter().map(|name| name.split('.').next().unwrap_or_default());
        numbers.give(&names.iter().map(|name| (*name).to_owned()).zip(owners).collect(), now)
    }

    #[test]
    fn who_is_wanted_keeps_its_number_and_who_was_not_for_long_has_none() {
        let mut numbers = numbers(10);
        assert!(give(&mut numbers, &["a", "b"], 0) && !give(&mut numbers, &["a", "b"], 0));
        assert_eq!((numbers.of("a"), numbers.of("b")), (Some(0), Some(1)));
        for day in 1..9 {
            // Since the first day nobody wants b, and in the end it is forgotten.
            assert_eq!(give(&mut numbers, &["a"], day * DAY), day == 1 || day == 8);
            assert_eq!(numbers.of("a"), Some(0));
        }
        assert_eq!((numbers.of("b"), numbers.taken.len()), (None, 1));
    }

    #[test]
    fn who_comes_back_is_not_forgotten() {
        let mut numbers = numbers(10);
        give(&mut numbers, &["a"], 0);
        assert!(give(&mut numbers, &[], DAY) && !give(&mut numbers, &[], 6 * DAY));
        assert!(give(&mut numbers, &["a"], 6 * DAY));
        assert!(give(&mut numbers, &[], 9 * DAY) && numbers.of("a") == Some(0));
    }

    #[test]
    fn where_there_are_no_more_who_has_most_gives_away_what_was_unused_longest() {
        let mut numbers = numbers(4);
        give(&mut numbers, &["a.1", "a.2", "a.3", "b.1"], 0);
        give(&mut numbers, &["a.1", "a.3"], 1);
        give(&mut numbers, &["a.1"], 2);
        give(&mut numbers, &["a.1", "c.1"], 3);
        let names = |numbers: &Numbers| numbers.given.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&numbers), "a.1 a.3 b.1 c.1", "b has one alone");
        // One that is wanted again in the same moment stays.
        give(&mut numbers, &["a.1", "a.3", "b.1", "c.1", "d.1"], 4);
        assert_eq!(names(&numbers), "a.1 a.3 b.1 c.1");
    }

    #[test]
    fn who_changes_its_names_gives_away_its_own() {
        let mut numbers = numbers(12_768);
        for round in 0..4_u64 {
            let names = (0..MOST_OF_OWNER).map(|number| (format!("{round}.{number}"), "a"));
            assert!(numbers.give(&names.collect(), round));
            let of_round = numbers.given.keys().filter(|name| name.starts_with(&format!("{round}."))).count();
            assert_eq!((of_round, numbers.taken.len()), (MOST_OF_OWNER, MOST_OF_OWNER));
        }
    }

    #[test]
    fn numbers_may_begin_anywhere_and_all_are_given_nevertheless() {
        let mut numbers = numbers(3);
        numbers.begin_at(1_790_000_003);
        let first = u32::try_from(1_790_000_003_u64 % 3).unwrap();
        give(&mut numbers, &["a", "b", "c"], 0);
        assert_eq!((numbers.of("a"), numbers.taken.len()), (Some(first), 3));
    }

    #[test]
    fn what_was_given_before_is_given_still() {
        let one = |number| Given { number, owner: String::new(), unused: Some(5) };
        let before = BTreeMap::from([("a".to_owned(), one(7)), ("b".to_owned(), one(12))]);
        let mut numbers = Numbers::new(10, before);
        assert!(give(&mut numbers, &["a", "b"], 6));
        assert_eq!((numbers.of("a"), numbers.of("b")), (Some(7), Some(0)));
    }
}
