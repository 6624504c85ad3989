//! Whether a stream has a way to the other edge: for whoever would rather hear that there is none than wait until there is one again.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::node::LinkId;

/// So long the other edge may be without a link to any hub, because it or the hub was cut off, before it counts as away.
const AWAY_AFTER: Duration = Duration::from_secs(2);

/// That of one stream, whoever has the stream by now.
#[derive(Clone)]
pub(crate) struct Way(Rc<State>);

struct State {
    /// Hubs say that they have no way to the other edge, and there is no leg, since then.
    missing_since: Cell<Option<Instant>>,
    /// The link of the leg that is sent on.
    link: Cell<LinkId>,
    changed: Notify,
}

impl fmt::Debug for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Way").field("is_lost", &self.is_lost()).finish()
    }
}

impl Default for Way {
    fn default() -> Self {
        let (missing_since, link) = (Cell::default(), Cell::new(LinkId::NONE));
        Self(Rc::new(State { missing_since, link, changed: Notify::new() }))
    }
}

impl Way {
    /// A hub says that there is none.
    pub(super) fn is_missing(&self) {
        if self.0.missing_since.get().is_none() {
            self.0.missing_since.set(Some(Instant::now()));
            self.0.changed.notify_waiters();
        }
    }

    /// There is one.
    pub(super) fn is_found(&self) {
        if self.0.missing_since.take().is_some() {
            self.0.changed.notify_waiters();
        }
    }

    pub(super) fn leads_over(&self, link: LinkId) {
        self.0.link.set(link);
    }

    /// The link of the leg that is sent on; none while there is none.
    pub(crate) fn link(&self) -> LinkId {
        self.0.link.get()
    }

    /// Whether hubs have said for some time that the other edge has no link to them. The stream goes on waiting.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.missing_since.get().is_some_and(|since| since.elapsed() >= AWAY_AFTER)
    }

    /// Whether there is one. If a hub has just said that there is none, that is waited for until it is clear.
    pub(crate) async fn is_there(&self) -> bool {
        while self.0.missing_since.get().is_some() && !self.is_lost() {
            self.next_news().await;
        }
        !self.is_lost()
    }

    /// Returns when it [is lost](Self::is_lost).
    pub(crate) async fn lost(&self) {
        while !self.is_lost() {
            self.next_news().await;
        }
    }

    /// Returns when it may be lost, or found.
    async fn next_news(&self) {
        let changed = self.0.changed.notified();
        match self.0.missing_since.get() {
            None => changed.await,
            Some(since) => tokio::select! {
                () = changed => {}
                () = sleep_until(since + AWAY_AFTER) => {}
            },
        }
    }
}
