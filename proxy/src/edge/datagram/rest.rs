//! Between two flows of the overlay for one client. Whoever sends on where nobody listens would have one after the other, each a call and a socket at another edge.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::flows::Flows;
use super::inbox::Inbox;

/// A flow that lasted for so long was a good one: the next one follows at once.
const GOOD: Duration = Duration::from_secs(10);
/// After the first that was not; doubled after each further one.
const FIRST: Duration = Duration::from_millis(100);
/// At most.
const LONGEST: Duration = Duration::from_secs(10);

/// Grows from flow to flow.
pub(super) struct Rest(Duration);

impl Default for Rest {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Rest {
    /// Waits for the next flow after one that began then has ended; `false` if the client's is to end instead. Who has waited is in line with clients that are
    /// new.
    pub(super) async fn after(&mut self, began: Instant, inbox: &Inbox, flows: &Flows) -> bool {
        if began.elapsed() >= GOOD {
            *self = Self::default();
            return true;
        }
        let mut pause = self.0;
        self.0 = (self.0 * 2).min(LONGEST);
        while timeout(pause, inbox.closed()).await.is_err() {
            if flows.may_begin() {
                return true;
            }
            pause = FIRST;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flows_that_come_to_nothing_follow_each_other_more_and_more_seldom() {
        let (inbox, flows, mut rest) = (Inbox::new(), Flows::default(), Rest::default());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            assert!(rest.after(began, &inbox, &flows).await);
            pauses.push(began.elapsed().as_millis());
        }
        // The clock of tokio counts whole milliseconds, and may add one.
        let expected = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
        assert!(
            pauses.iter().zip(expected).all(|(pause, expected)| (expected..=expected + 1).contains(pause)),
            "{pauses:?}"
        );

        let began = Instant::now();
        tokio::time::advance(GOOD).await;
        assert!(rest.after(began, &inbox, &flows).await);
        assert_eq!(began.elapsed(), GOOD);
        let began = Instant::now();
        assert!(rest.after(began, &inbox, &flows).await);
        assert!(began.elapsed() < FIRST * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_on_has_no_more_flows_than_others_may_begin_and_ends_when_it_must() {
        let (inbox, flows, mut rest) = (Inbox::new(), Flows::default(), Rest::default());
        let began = Instant::now();
        let taking = async {
            // Whoever else is there takes all that may begin, for 5 s.
            while began.elapsed() < FIRST * 50 {
                while flows.may_begin() {}
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let (went_on, ()) = tokio::join!(rest.after(began, &inbox, &flows), taking);
        assert!(went_on && began.elapsed() >= FIRST * 50, "{:?}", began.elapsed());
        inbox.close();
        assert!(!rest.after(Instant::now(), &inbox, &flows).await);
    }
}
