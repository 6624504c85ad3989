//! What workers look up: where an address leads over the overlay, and what others may call here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use overlay::status::{ExportStatus, ImportStatus};

use super::callers::Callers;
use super::config::AddressRange;
use super::datagram::DatagramTables;

/// A service of another edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The edge.
    pub edge: Arc<str>,
    /// The service, by the name under which it is offered.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
}

/// All tables, replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Addresses of endpoints that stand for services of other edges.
    pub imports: HashMap<SocketAddr, Destination>,
    /// By the name under which a service is offered: its ports, and the cluster that each leads to.
    pub exports: HashMap<String, Vec<(u16, Arc<str>)>>,
    /// UDP services, here and elsewhere.
    pub datagrams: DatagramTables,
    /// For whom other edges may speak.
    pub callers: Callers,
    /// Addresses that stand for edges, all that there may be.
    pub reserved: AddressRange,
}

/// Where an address leads that stands for an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a service.
    Edge(Destination),
    /// To nobody, at least not any more.
    Nobody,
}

impl Tables {
    /// For who asks what is taken.
    pub fn import_status(&self) -> Vec<ImportStatus> {
        let mut edges_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for destination in self.imports.values() {
            edges_of.entry(&destination.host).or_default().insert(&destination.edge);
        }
        for (host, edge) in self.datagrams.imported() {
            edges_of.entry(host).or_default().insert(edge);
        }
        let status = edges_of.into_iter().map(|(host, edges)| ImportStatus {
            host: host.to_owned(),
            edges: edges.into_iter().map(str::to_owned).collect(),
        });
        status.collect()
    }

    /// For who asks what is offered.
    pub fn export_status(&self) -> Vec<ExportStatus> {
        let mut ports_of: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
        let connections =
            self.exports.iter().flat_map(|(host, ports)| ports.iter().map(|(port, _)| (host.as_str(), *port)));
        for (host, port) in connections.chain(self.datagrams.exported()) {
            ports_of.entry(host).or_default().insert(port);
        }
        let status = ports_of
            .into_iter()
            .map(|(host, ports)| ExportStatus { host: host.to_owned(), ports: ports.into_iter().collect() });
        status.collect()
    }

    /// Where an address leads, if it is one of those that stand for edges: nothing is ever sent to these, who may be ourselves.
    pub fn way(&self, address: SocketAddr) -> Option<Way> {
        if let Some(destination) = self.imports.get(&address) {
            return Some(Way::Edge(destination.clone()));
        }
        let IpAddr::V4(ip) = address.ip() else { return None };
        self.reserved.contains(ip).then_some(Way::Nobody)
    }

    /// The cluster that a call from another edge goes to.
    pub fn cluster(&self, host: &str, port: u16) -> Option<&Arc<str>> {
        let ports = self.exports.get(host)?;
        ports.iter().find(|(number, _)| *number == port).map(|(_, cluster)| cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_an_edge_leads_there_or_nowhere() {
        let destination = Destination { edge: "b".into(), host: "x.global".into(), port: 80 };
        let known: SocketAddr = ([127, 98, 0, 1], 20_001).into();
        let tables = Tables { imports: HashMap::from([(known, destination.clone())]), ..Tables::default() };
        assert_eq!(tables.way(known), Some(Way::Edge(destination)));
        assert_eq!(tables.way(([127, 98, 0, 1], 20_002).into()), Some(Way::Nobody));
        assert_eq!(tables.way(([127, 98, 7, 7], 15_008).into()), Some(Way::Nobody));
        assert_eq!(tables.way(([127, 97, 0, 1], 20_001).into()), None);
        assert_eq!(tables.way("[::1]:20001".parse().unwrap()), None);
    }
}
