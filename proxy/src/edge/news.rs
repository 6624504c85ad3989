//! What other edges say, as it is listened to: at once, but not as often as they like to change it. Each time the whole of it is looked through and written.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::import::KnownEdges;

/// Between two times.
const AT_LEAST: Duration = Duration::from_millis(500);
/// The same on average, and how many times may come together after a time of quiet.
const ON_AVERAGE: Duration = Duration::from_secs(1);
const BURST: u32 = 30;

/// What they say.
#[derive(Debug)]
pub(super) struct News {
    known: watch::Receiver<KnownEdges>,
    heard: KnownEdges,
    /// Not before this it is listened to again.
    next: Instant,
    /// When so many times as there were would be over, had each taken the average time.
    even: Instant,
}

impl News {
    pub(super) fn new(mut known: watch::Receiver<KnownEdges>) -> Self {
        let (heard, now) = (known.borrow_and_update().clone(), Instant::now());
        Self { known, heard, next: now, even: now }
    }

    /// As of now, or a little before.
    pub(super) fn heard(&mut self) -> KnownEdges {
        let now = Instant::now();
        if now >= self.next {
            let known = self.known.borrow_and_update().clone();
            if !Arc::ptr_eq(&known, &self.heard) {
                self.heard = known;
                self.even = self.even.max(now) + ON_AVERAGE;
                let room = ON_AVERAGE * (BURST - 1);
                self.next = (now + AT_LEAST).max(self.even.checked_sub(room).unwrap_or(now));
            }
        }
        self.heard.clone()
    }

    /// Returns when there is something new to be heard; never, if nobody says anything any more.
    pub(super) async fn changed(&mut self) {
        tokio::time::sleep_until(self.next).await;
        if self.known.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use overlay::catalogue::Announcement;

    use super::*;

    fn edges(sequence: u64) -> KnownEdges {
        [("b".to_owned(), Arc::new(Announcement { sequence, ..Announcement::default() }))].into()
    }

    /// Changes every tenth of a second for so long; how often something new was heard.
    async fn heard_of_changes(news: &mut News, known: &watch::Sender<KnownEdges>, time: Duration) -> u32 {
        let (end, mut times, mut sequence) = (Instant::now() + time, 0, 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while Instant::now() < end {
            tokio::select! {
                () = news.changed() => {
                    news.heard();
                    times += 1;
                }
                _ = ticks.tick() => {
                    sequence += 1;
                    known.send_replace(edges(sequence));
                }
            }
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_heard_at_once_and_many_are_heard_seldom() {
        let known = watch::Sender::default();
        let mut news = News::new(known.subscribe());
        for sequence in 0..20 {
            known.send_replace(edges(sequence));
            let start = Instant::now();
            news.changed().await;
            assert_eq!((news.heard(), start.elapsed()), (edges(sequence), Duration::ZERO));
            tokio::time::sleep(ON_AVERAGE).await;
        }
        let first = heard_of_changes(&mut news, &known, AT_LEAST * 5).await;
        assert!((5..=6).contains(&first), "{first}");
        let later = heard_of_changes(&mut news, &known, ON_AVERAGE * 20).await;
        assert!((20..=20 + BURST).contains(&later), "{later}");
        // In the end the last word is heard.
        known.send_replace(edges(7));
        news.changed().await;
        assert_eq!(news.heard(), edges(7));
    }
}
