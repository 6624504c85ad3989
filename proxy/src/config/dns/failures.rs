//! Which failures of a name the log is told of.

use std::time::Duration;

use tokio::time::Instant;

/// A name that goes on failing is not logged more often.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The failures of a name in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    count: u64,
    logged: Option<Instant>,
}

impl Failures {
    /// One more. How many there are, if that is to be logged: the first, and then one in a minute.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < LOGGED_EVERY) {
            return None;
        }
        self.logged = Some(now);
        Some(self.count)
    }

    /// The end of the row. How many there were, if there were any.
    pub(super) fn succeeded(&mut self) -> Option<u64> {
        let failed = std::mem::take(self).count;
        (failed > 0).then_some(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_logged_then_one_in_a_minute_and_the_recovery_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut failures = Failures::default();
        let logged: Vec<_> = [0, 1, 59, 60, 61, 119, 121].map(|seconds| failures.failed(at(seconds))).into();
        assert_eq!(logged, [Some(1), None, None, Some(4), None, None, Some(7)]);
        assert_eq!(failures.succeeded(), Some(7));
        assert_eq!(failures.succeeded(), None);
        assert_eq!(failures.failed(at(122)), Some(1), "a new row");
    }
}
