//! Priorities that one request has tried in vain (Envoy, `envoy.retry_priorities.previous_priorities`).
//!
//! The first tries go by the shares that all requests go by. After every so many tries the priorities of all of them are left out, and the load is divided
//! among the others. Once none of the others can be used, the request begins again as if it had tried none.

use std::num::NonZeroU32;

/// Where the tries of one request went.
#[derive(Debug)]
pub struct PreviousPriorities {
    update_frequency: NonZeroU32,
    tries: u32,
    /// Each once.
    tried: Vec<u32>,
    left_out: Vec<u32>,
}

impl PreviousPriorities {
    /// Of a request that was not tried yet. After `update_frequency` tries their priorities are left out, and again after as many more.
    pub fn new(update_frequency: NonZeroU32) -> Self {
        Self { update_frequency, tries: 0, tried: Vec::new(), left_out: Vec::new() }
    }

    /// A try goes to an endpoint of `priority`.
    pub fn tries(&mut self, priority: u32) {
        self.tries = self.tries.saturating_add(1);
        if !self.tried.contains(&priority) {
            self.tried.push(priority);
        }
    }

    /// The priorities that the next try must not go to; `None` while it goes where any request may.
    pub(crate) fn leave_out(&mut self) -> Option<&[u32]> {
        if self.tries < self.update_frequency.get() {
            return None;
        }
        if self.tries.is_multiple_of(self.update_frequency.get()) {
            self.left_out.clone_from(&self.tried);
        }
        Some(&self.left_out)
    }

    /// None is left: the next tries may go anywhere again.
    pub(crate) fn begin_again(&mut self) {
        self.tries = 0;
        self.tried.clear();
        self.left_out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_left_out_after_every_so_many_tries() {
        let mut previous = PreviousPriorities::new(NonZeroU32::MIN.saturating_add(1));
        let mut left_out = Vec::new();
        for priority in [0, 0, 1, 4, 4, 2] {
            left_out.push(previous.leave_out().map(<[u32]>::to_vec));
            previous.tries(priority);
        }
        assert_eq!(left_out, [None, None, Some(vec![0]), Some(vec![0]), Some(vec![0, 1, 4]), Some(vec![0, 1, 4])]);
        previous.begin_again();
        previous.tries(3);
        assert_eq!(previous.leave_out(), None);
        previous.tries(3);
        assert_eq!(previous.leave_out(), Some(&[3][..]));
    }

    #[test]
    fn every_try_may_count() {
        let mut previous = PreviousPriorities::new(NonZeroU32::MIN);
        assert_eq!(previous.leave_out(), None);
        previous.tries(1);
        assert_eq!(previous.leave_out(), Some(&[1][..]));
        previous.tries(0);
        assert_eq!(previous.leave_out(), Some(&[1, 0][..]));
    }
}
