//! What is wrong with a way to a hub, in the log: once when it changes, and now and then while it stays so.

use tokio::time::{Duration, Instant};

/// What stays wrong is said no more often than this.
const EVERY: Duration = Duration::from_mins(5);

/// Of one way.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    last: Option<(String, Instant)>,
    repeated: u64,
}

impl Troubles {
    /// How often the same was left out of the log, if it is to be logged now.
    pub(super) fn happened(&mut self, problem: &str) -> Option<u64> {
        let now = Instant::now();
        if self.last.as_ref().is_some_and(|(last, logged)| last == problem && now - *logged < EVERY) {
            self.repeated += 1;
            return None;
        }
        self.last = Some((problem.to_owned(), now));
        Some(std::mem::take(&mut self.repeated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_said_at_once_and_what_stays_once_in_a_while() {
        let mut troubles = Troubles::default();
        assert_eq!(["a", "a", "a", "b"].map(|problem| troubles.happened(problem)), [Some(0), None, None, Some(2)]);
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(troubles.happened("b"), None);
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(["b", "b"].map(|problem| troubles.happened(problem)), [Some(1), None]);
    }
}
