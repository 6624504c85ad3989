//! Log lines that others can cause as often as they like.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Nothing is logged more often.
const EVERY: Duration = Duration::from_secs(60);

/// One kind of line.
#[derive(Debug, Default)]
pub struct Seldom {
    logged: Cell<Option<Instant>>,
    count: Cell<u64>,
}

impl Seldom {
    /// It happened once more. How often since the last line, if that is to be logged: the first time, and then once in a minute.
    pub fn happened(&self, now: Instant) -> Option<u64> {
        self.count.set(self.count.get() + 1);
        if self.logged.get().is_some_and(|logged| now.saturating_duration_since(logged) < EVERY) {
            return None;
        }
        self.logged.set(Some(now));
        Some(self.count.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_then_one_in_a_minute() {
        let (start, seldom) = (Instant::now(), Seldom::default());
        let logged = [0, 1, 59, 60, 61, 121].map(|seconds| seldom.happened(start + Duration::from_secs(seconds)));
        assert_eq!(logged, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
