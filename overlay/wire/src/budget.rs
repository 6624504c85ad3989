//! Memory that many users share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// So many bytes for all who hold a clone, on whichever thread.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

/// A budget that is gone when nobody has it, or a part of it, any more.
#[derive(Clone, Debug)]
pub struct WeakBudget(Weak<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    used: AtomicUsize,
    refusals: AtomicU64,
    whole: Option<Budget>,
    /// It leaves as much of the whole for others as it has itself.
    is_fair: bool,
}

impl Budget {
    /// One of which nothing is used.
    pub fn new(most: usize) -> Self {
        Self::with(most, None, false)
    }

    /// A part of this one, with a bound of its own: what is taken of it is taken of both.
    pub fn part(&self, most: usize) -> Self {
        Self::with(most, Some(self.clone()), false)
    }

    /// As [`Self::part`]; besides it never has more than it leaves of this one. So however many take as much as they can, there is room for one more (the dynamic
    /// threshold of Choudhury and Hahne, IEEE/ACM Transactions on Networking 6 (2), 1998).
    pub fn fair_part(&self, most: usize) -> Self {
        Self::with(most, Some(self.clone()), true)
    }

    fn with(most: usize, whole: Option<Self>, is_fair: bool) -> Self {
        Self(Arc::new(Shared { most, used: AtomicUsize::new(0), refusals: AtomicU64::new(0), whole, is_fair }))
    }

    /// Knows it for as long as somebody has it.
    pub fn downgrade(&self) -> WeakBudget {
        WeakBudget(Arc::downgrade(&self.0))
    }

    /// Takes bytes if there are so many left, else none of them.
    pub fn try_take(&self, bytes: usize) -> bool {
        let most = self.0.most.min(self.fair_share());
        let taken = self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= most)
        });
        if taken.is_err() {
            self.refuse();
            return false;
        }
        let fits = self.0.whole.as_ref().is_none_or(|whole| whole.try_take(bytes));
        if !fits {
            self.0.used.fetch_sub(bytes, Ordering::Relaxed);
            self.0.refusals.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }

    /// Takes bytes whether or not there are so many left.
    pub fn take(&self, bytes: usize) {
        self.with_whole(|shared| {
            shared.used.fetch_add(bytes, Ordering::Relaxed);
        });
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        self.with_whole(|shared| {
            shared.used.fetch_sub(bytes, Ordering::Relaxed);
        });
    }

    /// Counts somebody who got nothing of it.
    pub fn refuse(&self) {
        self.with_whole(|shared| {
            shared.refusals.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// What it is a part of, or itself.
    pub fn whole(&self) -> &Self {
        self.0.whole.as_ref().map_or(self, Self::whole)
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        let own = self.0.most.min(self.fair_share()).saturating_sub(self.used());
        self.0.whole.as_ref().map_or(own, |whole| own.min(whole.left()))
    }

    /// What it may have at most as others are.
    fn fair_share(&self) -> usize {
        match &self.0.whole {
            Some(whole) if self.0.is_fair => self.used().saturating_add(whole.left()) / 2,
            _ => usize::MAX,
        }
    }

    /// Bytes that are used.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Its bound.
    pub fn most(&self) -> usize {
        self.0.most
    }

    /// How often somebody got nothing of it, or of a part.
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }

    fn with_whole(&self, change: impl Fn(&Shared)) {
        let mut next = Some(self);
        while let Some(budget) = next {
            change(&budget.0);
            next = budget.0.whole.as_ref();
        }
    }
}

impl WeakBudget {
    /// The budget, unless it is gone.
    pub fn upgrade(&self) -> Option<Budget> {
        self.0.upgrade().map(Budget)
    }

    /// Whether nobody has it any more.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_of_both_and_what_fits_in_one_alone_is_not_taken() {
        let whole = Budget::new(100);
        let (one, other) = (whole.part(80), whole.part(80));
        assert!(one.try_take(70) && !one.try_take(11) && !other.try_take(31) && other.try_take(30));
        assert_eq!((one.used(), other.used(), whole.used()), (70, 30, 100));
        assert_eq!((one.left(), other.left(), whole.left()), (0, 0, 0));
        assert_eq!((one.whole().used(), whole.whole().used()), (100, 100));
        assert_eq!((one.refusals(), other.refusals(), whole.refusals()), (1, 1, 2));
        one.give_back(70);
        other.take(60);
        assert_eq!((one.left(), other.left(), whole.used()), (10, 0, 90));
        other.give_back(90);
        assert_eq!((whole.used(), whole.left(), one.left()), (0, 100, 80));
    }

    #[test]
    fn a_fair_part_leaves_as_much_as_it_has() {
        let whole = Budget::new(120);
        let parts = [(); 3].map(|()| whole.fair_part(100));
        assert_eq!((parts[0].left(), parts[0].try_take(61), parts[0].try_take(60)), (60, false, true));
        assert!(!parts[1].try_take(31) && parts[1].try_take(30) && parts[2].try_take(15));
        assert_eq!((parts[0].left(), parts[1].left(), whole.used()), (0, 0, 105));
        // Who gives back makes room for all.
        parts[0].give_back(60);
        assert_eq!((parts[1].left(), parts[2].left(), whole.fair_part(10).left()), (22, 30, 10));
    }

    #[test]
    fn threads_together_get_no_more_than_there_is() {
        let budget = Budget::new(1000);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..500).filter(|_| budget.try_take(1)).count())).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!((taken, budget.used()), (1000, 1000));
    }
}
