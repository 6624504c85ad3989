//! What workers look up: where an address leads over the overlay, and what others may call here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use overlay::status::{ExportStatus, ImportEntryStatus, ImportStatus};

use super::address_range::AddressRange;
use super::callers::Callers;
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

/// A service that other edges may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its ports, and the cluster that each leads to.
    pub ports: Vec<(u16, Arc<str>)>,
    /// Its ports of UDP, and who answers there.
    pub datagrams: Vec<(u16, Arc<[SocketAddr]>)>,
    /// Who may call it.
    pub may_call: MayCall,
}

/// Who may call a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayCall {
    /// All edges of the tenant.
    All,
    /// These edges.
    Edges(BTreeSet<String>),
}

/// Why there is no cluster for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCluster {
    /// Nothing of that name and port is offered.
    NotOffered,
    /// It is offered, but not to this edge.
    NotToThisEdge,
}

/// All tables, replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Addresses of endpoints that stand for services of other edges.
    pub imports: HashMap<SocketAddr, Destination>,
    /// By the name under which a service is offered.
    pub exports: HashMap<String, Exported>,
    /// UDP services of other edges.
    pub datagrams: DatagramTables,
    /// For whom other edges may speak.
    pub callers: Callers,
    /// Addresses that stand for edges, all that there may be.
    pub reserved: AddressRange,
    /// What each entry of `import` says, and how many services it selects.
    pub import_entries: Vec<(String, usize)>,
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

    /// For who asks whether each entry of `import` is good for something.
    pub fn import_entry_status(&self) -> Vec<ImportEntryStatus> {
        let entries = self.import_entries.iter().enumerate();
        let status = entries.map(|(at, (says, services))| ImportEntryStatus {
            entry: format!("import[{at}] {says}"),
            services: *services,
        });
        status.collect()
    }

    /// For who asks what is offered.
    pub fn export_status(&self) -> Vec<ExportStatus> {
        let status = self.exports.iter().map(|(host, exported)| {
            let connections = exported.ports.iter().map(|(port, _)| *port);
            let ports: BTreeSet<u16> = connections.chain(exported.datagrams.iter().map(|(port, _)| *port)).collect();
            ExportStatus { host: host.clone(), ports: ports.into_iter().collect() }
        });
        let mut status: Vec<_> = status.collect();
        status.sort();
        status
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
    ///
    /// # Errors
    /// It may not be called.
    pub fn cluster(&self, edge: &str, host: &str, port: u16) -> Result<&Arc<str>, NoCluster> {
        self.offered(edge, host, |exported| exported.ports.iter().find(|(number, _)| *number == port))
    }

    /// Who answers a flow of another edge.
    ///
    /// # Errors
    /// It may not be called.
    pub fn endpoints(&self, edge: &str, host: &str, port: u16) -> Result<&Arc<[SocketAddr]>, NoCluster> {
        self.offered(edge, host, |exported| exported.datagrams.iter().find(|(number, _)| *number == port))
    }

    fn offered<T>(
        &self,
        edge: &str,
        host: &str,
        find: impl FnOnce(&Exported) -> Option<&(u16, T)>,
    ) -> Result<&T, NoCluster> {
        let exported = self.exports.get(host).ok_or(NoCluster::NotOffered)?;
        let (_, found) = find(exported).ok_or(NoCluster::NotOffered)?;
        match &exported.may_call {
            MayCall::Edges(edges) if !edges.contains(edge) => Err(NoCluster::NotToThisEdge),
            MayCall::Edges(_) | MayCall::All => Ok(found),
        }
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
    #[test]
    fn a_call_leads_to_what_is_offered_to_the_edge_that_makes_it() {
        let cluster: Arc<str> = "outbound|80||x".into();
        let endpoints: Arc<[SocketAddr]> = Arc::from([([10, 0, 0, 1], 53).into()]);
        let offered = |may_call| Exported {
            ports: vec![(80, cluster.clone())],
            datagrams: vec![(53, endpoints.clone())],
            may_call,
        };
        let some = offered(MayCall::Edges(BTreeSet::from(["b".to_owned()])));
        let exports = HashMap::from([("x.global".into(), offered(MayCall::All)), ("y.global".into(), some)]);
        let tables = Tables { exports, ..Tables::default() };
        assert_eq!(tables.cluster("c", "x.global", 80), Ok(&cluster));
        assert_eq!(tables.cluster("b", "y.global", 80), Ok(&cluster));
        assert_eq!(tables.cluster("c", "y.global", 80), Err(NoCluster::NotToThisEdge));
        assert_eq!(tables.endpoints("b", "y.global", 53), Ok(&endpoints));
        assert_eq!(tables.endpoints("c", "y.global", 53), Err(NoCluster::NotToThisEdge));
        assert_eq!(tables.endpoints("b", "y.global", 80), Err(NoCluster::NotOffered));
        for (host, port) in [("x.global", 81), ("y.global", 81), ("z.global", 80)] {
            assert_eq!(tables.cluster("b", host, port), Err(NoCluster::NotOffered));
        }
    }
}
