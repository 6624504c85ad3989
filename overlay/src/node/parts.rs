//! Parts of a budget, one for each of many owners.

use std::cell::{Cell, RefCell};

use hashbrown::HashMap;
use overlay_wire::budget::{Budget, WeakBudget};

/// So many owners are no reason to look which of them are gone.
const FEW: usize = 16;

/// A budget of which each owner may take so much.
#[derive(Debug)]
pub(super) struct Parts {
    whole: Budget,
    each: usize,
    is_fair: bool,
    /// A part is there while anybody has it, or has bytes of it still: an owner whose part was forgotten before would get another whole one.
    parts: RefCell<HashMap<String, WeakBudget>>,
    /// With so many parts those that are gone are thrown out.
    swept_at: Cell<usize>,
}

/// The part of an owner, for one user of it.
#[derive(Debug)]
pub(super) struct Part {
    owner: String,
    budget: Budget,
}

impl Parts {
    pub(super) fn new(whole: Budget, each: usize) -> Self {
        Self { whole, each, is_fair: false, parts: RefCell::default(), swept_at: Cell::new(FEW) }
    }

    /// No owner has more of them than it leaves for others.
    pub(super) fn fair(whole: Budget, each: usize) -> Self {
        Self { is_fair: true, ..Self::new(whole, each) }
    }

    pub(super) fn whole(&self) -> &Budget {
        &self.whole
    }

    pub(super) fn of(&self, owner: &str) -> Part {
        self.within(&self.whole, owner)
    }

    /// The part that an owner has of a part of the whole, which has to be the same one each time.
    pub(super) fn within(&self, whole: &Budget, owner: &str) -> Part {
        let known = self.parts.borrow().get(owner).and_then(WeakBudget::upgrade);
        let budget = known.unwrap_or_else(|| {
            let part = if self.is_fair { whole.fair_part(self.each) } else { whole.part(self.each) };
            self.sweep();
            self.parts.borrow_mut().insert(owner.to_owned(), part.downgrade());
            part
        });
        Part { owner: owner.to_owned(), budget }
    }

    /// Looks at all of them only when there are twice as many as the last time, so that it costs each new one little.
    fn sweep(&self) {
        let mut parts = self.parts.borrow_mut();
        if parts.len() >= self.swept_at.get() {
            parts.retain(|_, part| !part.is_gone());
            self.swept_at.set(2 * parts.len().max(FEW / 2));
        }
    }
}

impl Part {
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_an_owner_share_its_part_and_all_share_the_whole() {
        let parts = Parts::new(Budget::new(150), 100);
        let (first, second, other) = (parts.of("a"), parts.of("a"), parts.of("b"));
        assert!(first.budget().try_take(100) && !second.budget().try_take(1));
        assert!(!other.budget().try_take(51) && other.budget().try_take(50));
        assert_eq!((parts.whole().used(), parts.whole().refusals()), (150, 2));
        drop((first, other));
        assert_eq!(second.owner(), "a");
        assert!(!parts.of("a").budget().try_take(1));
    }

    #[test]
    fn who_has_bytes_still_gets_no_other_part_when_its_users_are_gone() {
        let tenants = Parts::fair(Budget::new(1000), 100);
        let edges = Parts::fair(tenants.whole().clone(), 60);
        let (tenant, held) = {
            let tenant = tenants.of("acme");
            let edge = edges.within(tenant.budget(), "acme/a");
            (tenant.budget().downgrade(), edge.budget().clone())
        };
        assert!(held.try_take(50));
        let again = tenants.of("acme");
        let edge = edges.within(again.budget(), "acme/a");
        assert_eq!([again.budget().used(), edge.budget().used()], [50, 50]);
        drop((again, edge));
        held.give_back(50);
        drop(held);
        assert!(tenant.is_gone());
    }

    #[test]
    fn parts_that_are_gone_take_no_room_for_long() {
        let parts = Parts::new(Budget::new(1000), 100);
        let kept: Vec<_> = (0..100).map(|number| parts.of(&format!("kept {number}"))).collect();
        kept.iter().for_each(|part| part.budget().take(1));
        for number in 0..10_000 {
            parts.of(&number.to_string());
            let count = parts.parts.borrow().len();
            assert!(count <= 2 * kept.len() + FEW, "{count} parts");
        }
        assert!((0..100).all(|number| parts.of(&format!("kept {number}")).budget().used() == 1));
        drop(kept);
        (0..1000).for_each(|number| drop(parts.of(&number.to_string())));
        assert!(parts.parts.borrow().len() <= FEW);
    }
}
