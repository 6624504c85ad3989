//! Who is woken by a change: those whom it concerns.

use std::cell::RefCell;

use hashbrown::HashMap;
use tokio::sync::watch;

use crate::node::Peer;

/// Those who wait for changes.
#[derive(Debug)]
pub(super) struct Notices {
    /// For hubs, which pass on everything.
    all: watch::Sender<()>,
    /// For edges, by their tenant.
    tenants: RefCell<HashMap<String, watch::Sender<()>>>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { all: watch::channel(()).0, tenants: RefCell::default() }
    }
}

impl Notices {
    /// Changes whenever there is something to tell this peer.
    pub(super) fn of(&self, peer: &Peer) -> watch::Receiver<()> {
        match peer {
            Peer::Hub { .. } => self.all.subscribe(),
            Peer::Edge { tenant, .. } => {
                let mut tenants = self.tenants.borrow_mut();
                tenants.entry(tenant.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
            }
        }
    }

    /// Of all changes.
    pub(super) fn of_all(&self) -> watch::Receiver<()> {
        self.all.subscribe()
    }

    /// Something of a tenant has changed.
    pub(super) fn tell(&self, tenant: &str) {
        self.all.send_replace(());
        let mut tenants = self.tenants.borrow_mut();
        let Some(edges) = tenants.get(tenant) else { return };
        edges.send_replace(());
        if edges.receiver_count() == 0 {
            tenants.remove(tenant);
        }
    }

    /// Something has changed that concerns everybody.
    pub(super) fn tell_all(&self) {
        self.all.send_replace(());
        self.tenants.borrow_mut().retain(|_, edges| {
            edges.send_replace(());
            edges.receiver_count() > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_hear_of_their_own_tenant_and_hubs_of_all() {
        let notices = Notices::default();
        let edge = |tenant: &str| Peer::Edge { name: "a".into(), tenant: tenant.into() };
        let mut waiting = [edge("acme"), edge("other"), Peer::Hub { name: "h".into() }].map(|peer| notices.of(&peer));
        let mut told = || {
            waiting.each_mut().map(|one| {
                let is_told = one.has_changed().is_ok_and(|changed| changed);
                one.mark_unchanged();
                is_told
            })
        };
        assert_eq!(told(), [false; 3]);
        notices.tell("acme");
        assert_eq!(told(), [true, false, true]);
        notices.tell("nobody");
        assert_eq!(told(), [false, false, true]);
        notices.tell_all();
        assert_eq!(told(), [true; 3]);
    }

    #[test]
    fn tenants_whose_edges_are_gone_are_forgotten() {
        let notices = Notices::default();
        drop(notices.of(&Peer::Edge { name: "a".into(), tenant: "acme".into() }));
        notices.tell("acme");
        assert_eq!(notices.tenants.borrow().len(), 0);
    }
}
