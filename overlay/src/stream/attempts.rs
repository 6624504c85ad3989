//! Attempts to open a leg: when the next one is due, and which links were tried.

use std::time::Duration;

use tokio::time::Instant;

use crate::node::LinkId;

/// Between two attempts where one failed, or none could be made, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Attempts {
    not_before: Instant,
    pause: Duration,
    /// Since there was a leg to send on.
    links: Vec<LinkId>,
}

impl Attempts {
    pub(super) fn new(now: Instant) -> Self {
        Self { not_before: now, pause: FIRST_PAUSE, links: Vec::new() }
    }

    /// No leg is opened before.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Links that were tried.
    pub(super) fn links(&self) -> &[LinkId] {
        &self.links
    }

    /// One begins over a link. If that one was tried already, so were all others.
    pub(super) fn begin(&mut self, link: LinkId, now: Instant) {
        if self.links.contains(&link) {
            self.links.clear();
        }
        self.links.push(link);
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// There is a leg to send on: the next attempt need not wait for long.
    pub(super) fn succeeded(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// The link is good: any other one may be tried again.
    pub(super) fn forget_links(&mut self) {
        self.links.clear();
    }
}
