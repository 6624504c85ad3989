//! What edges that offer one service have to agree on. What was known first stays: no edge takes a port away from others, or makes it something else.

use std::collections::BTreeMap;

use overlay::catalogue::{OfferedService, Protocol};
use serde::{Deserialize, Serialize};

/// Ports of a service, over all edges that have it.
pub(super) const MOST_PORTS: usize = 64;

/// The namespace of a service, and what is spoken on its ports. Those of UDP are not endpoints of the mesh: see `datagram/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) namespace: String,
    pub(super) ports: BTreeMap<u16, Protocol>,
}

/// By host.
pub(super) type Forms = BTreeMap<String, Form>;

impl Form {
    /// As one edge has it.
    pub(super) fn of(service: &OfferedService) -> Self {
        Self { namespace: service.namespace.clone(), ports: BTreeMap::new() }
    }

    /// What of it any edge still says; `None` if that is nothing.
    pub(super) fn still_said<'a>(&self, offers: impl Iterator<Item = &'a OfferedService>) -> Option<Self> {
        let mut kept = None;
        for service in offers.filter(|service| service.namespace == self.namespace) {
            let kept = kept.get_or_insert_with(|| Self::of(service));
            let same = connections(service).filter(|(number, protocol)| self.ports.get(number) == Some(protocol));
            kept.ports.extend(same);
        }
        kept
    }

    /// Whether a service can be the same.
    pub(super) fn agrees(&self, service: &OfferedService) -> bool {
        let is_other = |(number, protocol)| self.ports.get(&number).is_some_and(|known| *known != protocol);
        service.namespace == self.namespace && !connections(service).any(is_other)
    }

    /// Adds the ports that are not known yet. Whether there was room for them.
    pub(super) fn extend(&mut self, service: &OfferedService) -> bool {
        for (number, protocol) in connections(service) {
            if self.ports.len() >= MOST_PORTS && !self.ports.contains_key(&number) {
                return false;
            }
            self.ports.entry(number).or_insert(protocol);
        }
        true
    }
}

/// Ports that are connected to.
pub(super) fn connections(service: &OfferedService) -> impl Iterator<Item = (u16, Protocol)> {
    let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Udp);
    ports.map(|port| (port.number, port.protocol))
}
