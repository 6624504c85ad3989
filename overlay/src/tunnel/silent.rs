//! Edges that have just not answered: whoever wants to reach one need not find that out again.

use std::cell::RefCell;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

/// So long an edge counts as silent after an attempt to reach it was in vain.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Until when edges count as silent: those, at most, that somebody wanted to reach in that time.
#[derive(Debug, Default)]
pub(super) struct Silent(RefCell<HashMap<String, Instant>>);

impl Silent {
    /// An attempt to reach an edge was in vain, or another one still goes on.
    pub(super) fn add(&self, edge: &str) {
        let now = Instant::now();
        let mut silent = self.0.borrow_mut();
        silent.retain(|_, until| *until > now);
        silent.insert(edge.to_owned(), now + REMEMBERED);
    }

    /// Something came from it.
    pub(super) fn heard(&self, edge: &str) {
        self.0.borrow_mut().remove(edge);
    }

    pub(super) fn contains(&self, edge: &str) -> bool {
        self.0.borrow().get(edge).is_some_and(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_edge_is_silent_for_a_time_or_until_it_is_heard() {
        let silent = Silent::default();
        silent.add("a");
        silent.add("b");
        assert!(silent.contains("a") && silent.contains("b") && !silent.contains("c"));
        silent.heard("a");
        assert!(!silent.contains("a") && silent.contains("b"));
        advance(REMEMBERED / 2).await;
        silent.add("a");
        advance(REMEMBERED / 2).await;
        assert!(silent.contains("a") && !silent.contains("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_forgotten_take_no_room() {
        let silent = Silent::default();
        for edge in 0..100 {
            silent.add(&edge.to_string());
            advance(REMEMBERED / 10).await;
        }
        assert!(silent.0.borrow().len() <= 10, "{silent:?}");
    }
}
