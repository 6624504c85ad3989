//! What of other edges is needed at the next start: services that somebody here takes, and where edges can be dialled.

use std::sync::Arc;

use overlay::catalogue::{Announcement, OfferedService};

use crate::edge::config::{Candidate, EdgeConfig};
use crate::edge::import::KnownEdges;

/// What is known at a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) edges: KnownEdges,
    /// Says what is taken.
    pub(super) config: Arc<EdgeConfig>,
}

impl Known {
    /// What is needed of it by the edge of that name. What the configuration comes to select later, hubs tell again.
    pub(super) fn needed(&self, own: &str) -> KnownEdges {
        let others = self.edges.iter().filter(|(edge, _)| edge != own);
        let needed = others.map(|(edge, announcement)| (edge.clone(), self.of_edge(edge, announcement)));
        needed.filter(|(_, part)| !part.services.is_empty() || !part.addresses.is_empty()).collect()
    }

    fn of_edge(&self, edge: &str, whole: &Arc<Announcement>) -> Arc<Announcement> {
        if whole.services.iter().all(|service| self.takes(edge, service)) {
            return whole.clone();
        }
        let services = whole.services.iter().filter(|service| self.takes(edge, service)).cloned().collect();
        let Announcement { epoch, sequence, locality, addresses, .. } = &**whole;
        let (locality, addresses) = (locality.clone(), addresses.clone());
        Arc::new(Announcement { epoch: *epoch, sequence: *sequence, locality, addresses, services })
    }

    fn takes(&self, edge: &str, service: &OfferedService) -> bool {
        let OfferedService { host, namespace, labels, .. } = service;
        let candidate = Candidate { host, namespace, labels, edge };
        self.config.import.iter().any(|rule| rule.selects(&candidate))
            || self.config.datagrams.iter().any(|wanted| wanted.takes(host, edge))
    }
}
