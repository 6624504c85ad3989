//! How many of something each of many owners has.

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::Rc;

use hashbrown::HashMap;

/// Counts places by owner.
#[derive(Debug)]
pub struct Tally<K>(RefCell<HashMap<K, usize>>);

/// One of the places of an owner, until it is dropped.
#[derive(Debug)]
pub struct Place<K: Hash + Eq> {
    tally: Rc<Tally<K>>,
    owner: K,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + Hash + Eq> Tally<K> {
    /// Another place, unless the owner has as many as it may have.
    pub fn take(self: &Rc<Self>, owner: K, most: usize) -> Option<Place<K>> {
        let mut counts = self.0.borrow_mut();
        // Who gets none leaves nothing here.
        if counts.get(&owner).copied().unwrap_or_default() >= most {
            return None;
        }
        *counts.entry(owner.clone()).or_default() += 1;
        Some(Place { tally: self.clone(), owner })
    }
}

impl<K: Hash + Eq> Tally<K> {
    /// How many places an owner has.
    pub fn count(&self, owner: &K) -> usize {
        self.0.borrow().get(owner).copied().unwrap_or_default()
    }
}

#[cfg(test)]
impl<K> Tally<K> {
    /// Whether nobody has a place.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.tally.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_places_of_its_own_and_gets_back_what_it_gave_up() {
        let tally = Rc::new(Tally::default());
        let first = tally.take("a", 2).unwrap();
        let _second = tally.take("a", 2).unwrap();
        assert!(tally.take("a", 2).is_none());
        let other = tally.take("b", 2).unwrap();
        assert_eq!([tally.count(&"a"), tally.count(&"b"), tally.count(&"c")], [2, 1, 0]);
        drop(first);
        let _third = tally.take("a", 2).unwrap();
        assert!(tally.take("a", 2).is_none());
        drop(other);
        assert!(tally.take("d", 0).is_none());
        assert_eq!(tally.0.borrow().len(), 1);
    }
}
