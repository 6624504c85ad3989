//! Parts of a budget, one for each of many owners.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use overlay_wire::budget::Budget;

/// A budget of which each owner may take so much.
#[derive(Debug)]
pub(super) struct Parts {
    whole: Budget,
    each: usize,
    is_fair: bool,
    /// And how many users they have.
    parts: RefCell<HashMap<String, (usize, Budget)>>,
}

/// The part of an owner, for one user of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    parts: Rc<Parts>,
    owner: String,
    budget: Budget,
}

impl Parts {
    pub(super) fn new(whole: Budget, each: usize) -> Rc<Self> {
        Rc::new(Self { whole, each, is_fair: false, parts: RefCell::default() })
    }

    /// No owner has more of them than it leaves for others.
    pub(super) fn fair(whole: Budget, each: usize) -> Rc<Self> {
        Rc::new(Self { whole, each, is_fair: true, parts: RefCell::default() })
    }

    pub(super) fn whole(&self) -> &Budget {
        &self.whole
    }

    pub(super) fn of(self: &Rc<Self>, owner: &str) -> Part {
        self.within(&self.whole, owner)
    }

    /// The part that an owner has of a part of the whole, which has to be the same one each time.
    pub(super) fn within(self: &Rc<Self>, whole: &Budget, owner: &str) -> Part {
        let part = || if self.is_fair { whole.fair_part(self.each) } else { whole.part(self.each) };
        let mut parts = self.parts.borrow_mut();
        let (users, budget) = parts.entry(owner.to_owned()).or_insert_with(|| (0, part()));
        *users += 1;
        Part { parts: self.clone(), owner: owner.to_owned(), budget: budget.clone() }
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

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = self.parts.parts.borrow_mut();
        if let Some((users, _)) = parts.get_mut(&self.owner) {
            *users -= 1;
            if *users == 0 {
                parts.remove(&self.owner);
            }
        }
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
        assert_eq!((second.owner(), parts.parts.borrow().len()), ("a", 1));
        assert!(!parts.of("a").budget().try_take(1));
    }
}
