//! Asking a peer to tell again what is not known here. There is no message for it; but over a new link a peer tells all that it knows.

use std::cell::RefCell;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::Directory;
use crate::link::{Link, code};
use crate::node::Peer;

/// All streams of a link move to another one: so seldom.
const EVERY: Duration = Duration::from_mins(1);
/// Between hubs a link carries the streams of all tenants, and the edges of one may have brought it about.
const EVERY_BETWEEN_HUBS: Duration = Duration::from_mins(10);

/// Who was asked, and when. Hubs count as one: an edge does not end its links to all of them at a time.
#[derive(Debug, Default)]
pub(super) struct Asked(RefCell<HashMap<Option<String>, Instant>>);

impl Asked {
    fn is_due(&self, peer: &Peer, every: Duration) -> bool {
        self.0.borrow().get(&name_of_edge(peer)).is_none_or(|asked| asked.elapsed() >= every)
    }

    fn note(&self, peer: &Peer) {
        let mut asked = self.0.borrow_mut();
        asked.retain(|_, asked| asked.elapsed() < EVERY_BETWEEN_HUBS);
        asked.insert(name_of_edge(peer), Instant::now());
    }
}

fn name_of_edge(peer: &Peer) -> Option<String> {
    matches!(peer, Peer::Edge { .. }).then(|| peer.name().to_owned())
}

impl Directory {
    /// Whether a peer may be asked now.
    pub(super) fn may_ask(&self, peer: &Peer) -> bool {
        let is_between_hubs = matches!((self.identity.borrow().peer(), peer), (Peer::Hub { .. }, Peer::Hub { .. }));
        self.asked.is_due(peer, if is_between_hubs { EVERY_BETWEEN_HUBS } else { EVERY })
    }

    /// Has it tell again what an edge announces.
    pub(super) fn ask_again(&self, peer: &Peer, link: &Link, edge: &str) {
        self.asked.note(peer);
        self.catalogue.borrow_mut().asked(edge);
        tracing::info!(peer = peer.name(), edge, "has to tell again what this edge announces: the link is closed");
        link.close(code::FAILED, &format!("what {edge} announces is not known here: it is to be told again"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_hub_is_asked_at_a_time_and_each_edge() {
        let asked = Asked::default();
        let hub = |name: &str| Peer::Hub { name: name.into() };
        let edge = |name: &str| Peer::Edge { name: name.into(), tenant: "acme".into() };
        asked.note(&hub("h1"));
        asked.note(&edge("a"));
        let are_due = || [hub("h1"), hub("h2"), edge("a"), edge("b")].map(|peer| asked.is_due(&peer, EVERY));
        assert_eq!(are_due(), [false, false, false, true]);
        tokio::time::advance(EVERY).await;
        assert_eq!((are_due(), asked.is_due(&hub("h1"), EVERY_BETWEEN_HUBS)), ([true; 4], false));
        tokio::time::advance(EVERY_BETWEEN_HUBS).await;
        asked.note(&edge("b"));
        assert_eq!(asked.0.borrow().len(), 1);
    }
}
