//! Log lines about nodes that are not let in: they try again and again, each over every connection that it dials.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

/// The same is logged no more often than this.
const EVERY: Duration = Duration::from_mins(5);
/// Different lines that are remembered. They are about members of the overlay alone; more than these are not logged.
const MOST: usize = 1024;

/// Lines, each logged once in a while. All threads of a node share them.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Line>>);

#[derive(Debug)]
struct Line {
    logged: Instant,
    left_out: u64,
}

impl Complaints {
    /// Logs a line, unless the same was logged just now.
    pub(super) fn warn(&self, line: String) {
        if let Some(left_out) = self.happened(&line, Instant::now()) {
            tracing::warn!(left_out, "{line}");
        }
    }

    /// How many were left out before this one, if it is to be logged.
    fn happened(&self, line: &str, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lines.get_mut(line) {
            if now.saturating_duration_since(known.logged) < EVERY {
                known.left_out += 1;
                return None;
            }
            known.logged = now;
            return Some(std::mem::take(&mut known.left_out));
        }
        if lines.len() >= MOST {
            lines.retain(|_, known| now.saturating_duration_since(known.logged) < EVERY);
        }
        if lines.len() >= MOST {
            return None;
        }
        lines.insert(line.to_owned(), Line { logged: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_logged_once_in_a_while_and_others_are_not_held_back() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!((complaints.happened("a", start), complaints.happened("b", start)), (Some(0), Some(0)));
        assert_eq!([1, 2, 299].map(|seconds| complaints.happened("a", at(seconds))), [None; 3]);
        assert_eq!(complaints.happened("a", at(300)), Some(3));
    }

    #[test]
    fn many_names_fill_neither_the_log_nor_the_memory() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let logged = |now| (0..2 * MOST).filter(|name| complaints.happened(&name.to_string(), now).is_some()).count();
        assert_eq!(logged(start), MOST);
        assert_eq!(complaints.0.lock().unwrap().len(), MOST);
        assert!(complaints.happened("late", start + EVERY).is_some());
    }
}
