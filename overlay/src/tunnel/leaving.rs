//! How tunnels end when another process of the edge has taken over.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::link::{Link, code};

/// Time for another edge to hear that a tunnel is not to be used any more: calls that it made before are on their way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How often it is looked whether such a tunnel is still used.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What other edges hear at the end.
pub(super) const TAKEN_OVER: &str = "another process of this edge has taken over";

/// When all tunnels end, once another process has taken over.
#[derive(Debug, Default)]
pub(super) struct Leaving(watch::Sender<Option<Instant>>);

impl Leaving {
    pub(super) fn begin(&self, deadline: Instant) {
        self.0.send_replace(Some(deadline));
    }

    /// Has another edge use a tunnel no more, which it has opened, and ends it when nothing uses it. Returns when it has ended.
    pub(super) async fn see_off(&self, link: &Link) {
        tokio::select! {
            _ = self.deadline() => {}
            _ = link.ended() => return,
        }
        link.go_away();
        sleep(ON_ITS_WAY).await;
        while link.end().is_none() && link.stream_count() > 0 {
            sleep(LOOK_EVERY).await;
        }
        link.close(code::GOING_AWAY, TAKEN_OVER);
        link.ended().await;
    }

    /// Returns when there is no more time.
    pub(super) async fn is_over(&self) {
        sleep_until(self.deadline().await).await;
    }

    /// Waits until another process has taken over.
    async fn deadline(&self) -> Instant {
        let begun = self.0.subscribe().wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
        match begun {
            Some(deadline) => deadline,
            None => pending().await,
        }
    }
}
