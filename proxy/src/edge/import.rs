//! What is taken from other edges, and the addresses under which the mesh knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use overlay::catalogue::{Announcement, Port, Protocol};

use super::addresses::Addresses;
use super::config::{Candidate, Selection};
use super::tables::Destination;

/// Ports that are taken of one edge: it cannot use up all numbers.
const MOST_PORTS_OF_EDGE: usize = 4_096;
/// No edge outweighs the others by more.
const MOST_WEIGHT: u32 = 1_000;
/// Names of Services, which are offered under other names.
const KUBERNETES_NAMES: &str = ".svc.cluster.local";

/// What edges announce, by their names.
pub(super) type KnownEdges = Arc<[(String, Arc<Announcement>)]>;

/// A service of other edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) host: String,
    pub(super) namespace: String,
    /// Its ports, and the port that stands for each on the addresses of edges.
    pub(super) ports: Vec<(Port, u16)>,
    pub(super) endpoints: Vec<ImportedEndpoint>,
    /// With the Service that has the same name and namespace here.
    pub(super) merges_with_local: bool,
}

/// An edge that has the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImportedEndpoint {
    pub(super) edge: String,
    /// Stands for the edge.
    pub(super) address: Ipv4Addr,
    pub(super) locality: String,
    pub(super) weight: u32,
}

/// What an edge takes of others.
pub(super) struct Wanted<'a> {
    /// The name of the edge itself.
    pub(super) own: &'a str,
    pub(super) rules: &'a [Selection],
    /// Hosts that are not taken, because they are defined here: whoever may offer anything could otherwise answer for them.
    pub(super) taken_hosts: &'a BTreeSet<String>,
}

/// Services that any rule selects, of all edges but our own, sorted by host. Whoever has nobody to answer is left out.
pub(super) fn imports(edges: &KnownEdges, wanted: &Wanted<'_>, addresses: &mut Addresses) -> Vec<Import> {
    let Wanted { own, rules, taken_hosts } = wanted;
    let mut imports: BTreeMap<&str, Import> = BTreeMap::new();
    for (edge, announcement) in edges.iter().filter(|(edge, _)| edge != own) {
        let mut ports_left = MOST_PORTS_OF_EDGE;
        for service in announcement.services.iter().filter(|service| service.healthy) {
            let (host, namespace, labels) = (&service.host, &service.namespace, &service.labels);
            // The first one that selects it says how it is taken.
            let selects = |rule: &&Selection| rule.selects(&Candidate { host, namespace, labels, edge });
            let Some(rule) = rules.iter().find(selects) else { continue };
            if taken_hosts.contains(host) || host.ends_with(KUBERNETES_NAMES) {
                tracing::warn!(edge, host, "is not used: this name is for services here alone");
                continue;
            }
            let Some(left) = ports_left.checked_sub(service.ports.len()) else {
                tracing::warn!(edge, "offers more than {MOST_PORTS_OF_EDGE} ports: the rest is not used");
                break;
            };
            ports_left = left;
            let Some(address) = addresses.of_edge(edge) else {
                tracing::warn!(edge, "is not used: importAddresses has no more addresses");
                break;
            };
            let import = imports.entry(&service.host).or_insert_with(|| Import {
                host: service.host.clone(),
                namespace: service.namespace.clone(),
                ports: Vec::new(),
                endpoints: Vec::new(),
                merges_with_local: rule.merge_with_local,
            });
            for port in &service.ports {
                add_port(import, port, addresses);
            }
            let locality = announcement.locality.clone();
            let weight = service.weight.clamp(1, MOST_WEIGHT);
            import.endpoints.push(ImportedEndpoint { edge: edge.clone(), address, locality, weight });
        }
    }
    imports.into_values().filter(|import| !import.ports.is_empty()).collect()
}

/// What the first edge says of a port counts. An edge that does not have it says so when it is called.
fn add_port(import: &mut Import, port: &Port, addresses: &mut Addresses) {
    // No endpoint of the mesh has it: see `datagram/`.
    let is_packets = port.protocol == Protocol::Udp;
    if is_packets || import.ports.iter().any(|(known, _)| known.number == port.number || known.name == port.name) {
        return;
    }
    match addresses.of_service(&import.host, port.number) {
        Some(target) => import.ports.push((port.clone(), target)),
        None => tracing::warn!(host = import.host, port = port.number, "is not used: there are no more ports"),
    }
}

/// Where the addresses lead.
pub(super) fn destinations(imports: &[Import]) -> impl Iterator<Item = (SocketAddr, Destination)> {
    imports.iter().flat_map(|import| {
        let host: Arc<str> = import.host.as_str().into();
        import.endpoints.iter().flat_map(move |endpoint| {
            let (host, edge): (_, Arc<str>) = (host.clone(), endpoint.edge.as_str().into());
            import.ports.iter().map(move |(port, target)| {
                let destination = Destination { edge: edge.clone(), host: host.clone(), port: port.number };
                (SocketAddr::new(endpoint.address.into(), *target), destination)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use overlay::catalogue::Service;

    use super::super::config::AddressRange;
    use super::*;

    fn service(host: &str, port: u16, healthy: bool) -> Service {
        let ports = vec![Port { number: port, name: format!("http-{port}"), protocol: Protocol::Http }];
        let labels = BTreeMap::new();
        Service { host: host.to_owned(), namespace: "shop".to_owned(), ports, labels, weight: 3, healthy }
    }

    fn edge(name: &str, services: Vec<Service>) -> (String, Arc<Announcement>) {
        let announcement = Announcement { epoch: 1, sequence: 1, locality: format!("eu/{name}"), services, ..Announcement::default() };
        (name.to_owned(), Arc::new(announcement))
    }

    #[test]
    fn edges_with_one_service_are_its_endpoints() {
        let folder = tempfile::tempdir().unwrap();
        let range = AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
        let mut addresses = Addresses::open(&folder.path().join("addresses.json"), range).unwrap();
        let edges: KnownEdges = [
            edge("a", vec![service("x.global", 80, true)]),
            edge("b", vec![service("x.global", 80, true), service("y.global", 81, true)]),
            edge("c", vec![service("x.global", 80, true), service("y.global", 81, false)]),
        ]
        .into();
        let all = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
        let nothing = BTreeSet::new();
        let wanted = |rules| Wanted { own: "a", rules, taken_hosts: &nothing };
        assert_eq!(imports(&edges, &wanted(&[]), &mut addresses), []);
        let imports = imports(&edges, &wanted(&all), &mut addresses);
        let names = |import: &Import| import.endpoints.iter().map(|one| one.edge.clone()).collect::<Vec<_>>();
        assert_eq!(imports.iter().map(names).collect::<Vec<_>>(), [vec!["b", "c"], vec!["b"]]);
        assert_eq!(imports[0].endpoints[0].locality, "eu/b");

        let table: BTreeMap<_, _> = destinations(&imports).collect();
        assert_eq!(table.len(), 3, "no two have the same address and port");
        let [first, second] = [&imports[0], &imports[1]];
        let address = |import: &Import| SocketAddr::new(import.endpoints[0].address.into(), import.ports[0].1);
        assert_eq!((&*table[&address(first)].host, table[&address(first)].port), ("x.global", 80));
        assert_eq!((&*table[&address(second)].host, table[&address(second)].port), ("y.global", 81));
    }

    #[test]
    fn an_edge_cannot_answer_for_services_here_nor_outweigh_others_nor_take_all_ports() {
        let folder = tempfile::tempdir().unwrap();
        let range = AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
        let mut addresses = Addresses::open(&folder.path().join("addresses.json"), range).unwrap();
        let heavy = Service { weight: u32::MAX, ..service("heavy.global", 80, true) };
        let kubernetes = service("pay.shop.svc.cluster.local", 80, true);
        let many = (0..5_000).map(|number| service(&format!("n{number}.global"), 80, true)).collect();
        let edges: KnownEdges =
            [edge("b", vec![service("db.example", 80, true), kubernetes, heavy]), edge("c", many)].into();
        let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
        let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &BTreeSet::from(["db.example".to_owned()]) };
        let imports = imports(&edges, &wanted, &mut addresses);
        let of = |edge: &str| imports.iter().filter(move |import| import.endpoints[0].edge == edge).collect::<Vec<_>>();
        assert_eq!((of("b").len(), of("b")[0].host.as_str()), (1, "heavy.global"));
        assert_eq!(of("b")[0].endpoints[0].weight, MOST_WEIGHT);
        assert_eq!(of("c").len(), MOST_PORTS_OF_EDGE);
    }
}
