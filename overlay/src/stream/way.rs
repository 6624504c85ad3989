//! Whether a stream has a way to the other edge: for whoever would rather hear that there is none than wait until there is one again.

use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;

/// So long the other edge may be without a link to any hub, because it or the hub was cut off, before it counts as away.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// That of one stream.
#[derive(Clone)]
pub(crate) struct Way(Weak<Shared>);

impl fmt::Debug for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Way").field("is_lost", &self.is_lost()).finish()
    }
}

impl Way {
    pub(super) fn of(shared: &Rc<Shared>) -> Self {
        Self(Rc::downgrade(shared))
    }

    /// Whether hubs have said for some time that the other edge has no link to them. The stream goes on waiting.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.upgrade().and_then(|shared| shared.without_way.get()).is_some_and(|since| since.elapsed() >= AWAY_AFTER)
    }

    /// Whether there is one. If a hub has just said that there is none, that is waited for until it is clear.
    pub(crate) async fn is_there(&self) -> bool {
        while self.0.upgrade().is_some_and(|shared| shared.without_way.get().is_some()) && !self.is_lost() {
            sleep(LOOK_EVERY).await;
        }
        !self.is_lost()
    }

    /// Returns when it [is lost](Self::is_lost).
    pub(crate) async fn lost(&self) {
        while !self.is_lost() {
            sleep(LOOK_EVERY).await;
        }
    }
}
