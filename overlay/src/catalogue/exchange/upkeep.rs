//! What changes without a message: time passes, certificates are renewed, nodes are revoked.

use std::rc::Rc;
use std::time::Duration;

use overlay_wire::catalogue::LIFETIME;
use tokio::time::{Instant, sleep_until};

use super::room::Passed;
use super::{Directory, Known, Origin};
use crate::catalogue::message::{CONFIRMATION, Confirmation, Message, Signed};
use crate::identity::Trust;
use crate::node::Peer;

/// How often an edge confirms what it announces: so often that three may be lost.
const CONFIRM: Duration = Duration::from_secs(LIFETIME.as_secs() / 4);

impl Directory {
    /// Confirms what this edge announces, and shows no more what others do not confirm.
    pub(super) async fn keep(self: Rc<Self>) {
        let mut next = Instant::now() + CONFIRM;
        let mut changes = self.notices.of_all();
        loop {
            let deadline = self.catalogue.borrow().deadline().map(|deadline| self.epoch + deadline);
            let due = deadline.map_or(next, |deadline| deadline.min(next));
            tokio::select! {
                () = sleep_until(due) => {}
                _ = changes.changed() => continue,
            }
            if Instant::now() >= next {
                next = Instant::now() + CONFIRM;
                self.confirm_own();
            }
            let expired = self.catalogue.borrow_mut().expire(self.now());
            for edge in &expired {
                tracing::warn!(%edge, "nothing was heard of it for too long");
                self.node.forget_way(edge);
            }
            if !expired.is_empty() {
                self.changed();
            }
        }
    }

    /// Others believe an announcement for as long as the certificate is good that signed it: a new one signs it anew.
    pub(super) async fn follow_identity(self: Rc<Self>) {
        let mut identity = self.identity.clone();
        while identity.changed().await.is_ok() {
            let Some(offer) = self.offered.borrow().clone() else { continue };
            if let Err(error) = self.offer(offer) {
                tracing::error!("cannot announce with the new certificate: {error}");
            }
        }
        // Whoever renews it is gone, as it is in tests: it stays as it is.
        std::future::pending().await
    }

    /// Passes on whom to believe, and forgets what those announce who are let in no longer.
    pub(super) async fn follow_trust(self: Rc<Self>) {
        let trust = self.identity.borrow().trust().clone();
        let mut number = 0;
        loop {
            (number, _) = trust.next_after(number).await;
            for edge in self.denied_edges(&trust) {
                tracing::warn!(edge, "was revoked");
                self.catalogue.borrow_mut().withdraw(&edge, self.now());
                self.node.forget_way(&edge);
                self.changed();
            }
            self.notices.tell_all();
        }
    }

    fn denied_edges(&self, trust: &Trust) -> Vec<String> {
        let catalogue = self.catalogue.borrow();
        let is_denied = |edge: &str, known: &Known| {
            trust.denies(&Peer::Edge { name: edge.to_owned(), tenant: known.tenant.clone() })
        };
        let denied = catalogue.iter().filter(|(edge, _, known)| is_denied(edge, known));
        denied.map(|(edge, ..)| edge.to_owned()).collect()
    }

    pub(super) fn confirm_own(&self) {
        let identity = self.identity.borrow().clone();
        let Peer::Edge { name, tenant } = identity.peer().clone() else { return };
        if self.own.get().sequence == 0 {
            return;
        }
        self.offer_what_had_no_room(&name, &tenant);
        let beat = self.beat.get() + 1;
        self.beat.set(beat);
        let stamp = self.own.get();
        let confirmation = Confirmation { epoch: stamp.epoch, sequence: stamp.sequence, beat };
        let payload = serde_json::to_vec(&confirmation).unwrap_or_default();
        match identity.sign(CONFIRMATION, &payload) {
            Ok(signature) => {
                let message = Message::Confirm(Signed { payload, signature }).to_bytes();
                self.confirm(&Origin { edge: name, tenant }, &confirmation, Passed::new(message, None), false);
            }
            Err(error) => tracing::error!("cannot confirm what this edge announces: {error}"),
        }
    }
    /// This edge knows as much of its tenant as a hub: there may have been no room for what it offers.
    fn offer_what_had_no_room(&self, name: &str, tenant: &str) {
        let is_missing = self.catalogue.borrow_mut().is_missing(name, tenant, self.own.get(), self.now());
        let offered = self.offered.borrow().clone().filter(|_| is_missing);
        if let Some(offer) = offered
            && let Err(error) = self.offer(offer)
        {
            tracing::error!("cannot announce again: {error}");
        }
    }
}
