//! The time between two attempts to get a link.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep_until};

/// At first. Each pause is up to a half longer at random, so that not all edges dial a node that comes back at once.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A link that lived for so long was a good one: the next attempt follows soon.
const GOOD: Duration = Duration::from_secs(10);

/// Grows from attempt to attempt.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
    longest: Duration,
    /// Of the pause that has begun.
    end: Option<Instant>,
}

impl Pause {
    pub(super) fn up_to(longest: Duration) -> Self {
        Self { next: FIRST_PAUSE, longest, end: None }
    }

    /// Waits for the next attempt.
    ///
    /// Cancel safe: it goes on as if it had not been left.
    pub(super) async fn pass(&mut self) {
        let length = self.next + rand::rng().random_range(Duration::ZERO..self.next / 2);
        sleep_until(*self.end.get_or_insert_with(|| Instant::now() + length)).await;
        self.end = None;
        self.next = (self.next * 2).min(self.longest);
    }

    /// A link has ended. It counts from when it came: an attempt may take as long as a good link lives, and come to nothing.
    pub(super) fn link_ended(&mut self, came: Instant) {
        if came.elapsed() >= GOOD {
            self.next = FIRST_PAUSE;
        }
    }
}
