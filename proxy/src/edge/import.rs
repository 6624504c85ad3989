//! What is taken from other edges, and the addresses under which the mesh knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use overlay::catalogue::{Announcement, Port, Protocol};

use super::addresses::Addresses;
use super::config::{Candidate, Selection};
use super::refusals::Refusals;
use super::tables::Destination;

/// Ports that are taken of one edge: it cannot use up all numbers.
const MOST_PORTS_OF_EDGE: usize = 4_096;
const TOO_MANY_PORTS: &str = "services are not taken: the edge offers more than 4,096 ports";
/// No edge outweighs the others by more.
const MOST_WEIGHT: u32 = 1_000;

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

/// What is taken, and what is not although a rule selects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// Sorted by host.
    pub(super) services: Vec<Import>,
    pub(super) refused: Refusals,
}

/// What an edge takes of others.
pub(super) struct Wanted<'a> {
    /// The name of the edge itself.
    pub(super) own: &'a str,
    pub(super) rules: &'a [Selection],
    /// Hosts that are not taken, because they are defined here: whoever may offer anything could otherwise answer for them.
    pub(super) taken_hosts: &'a BTreeSet<String>,
    /// The end of names of Services, which are offered under other names: `cluster.local`.
    pub(super) domain: &'a str,
}

/// Services that any rule selects, of all edges but our own. Whoever has nobody to answer is left out.
pub(super) fn imports(edges: &KnownEdges, wanted: &Wanted<'_>, addresses: &mut Addresses) -> Imports {
    let Wanted { own, rules, taken_hosts, domain } = wanted;
    let is_of_kubernetes = |host: &str| host.strip_suffix(domain).is_some_and(|name| name.ends_with(".svc."));
    let mut refused = Refusals::default();
    let mut imports: BTreeMap<&str, Import> = BTreeMap::new();
    for (edge, announcement) in edges.iter().filter(|(edge, _)| edge != own) {
        let mut ports_left = MOST_PORTS_OF_EDGE;
        for service in announcement.services.iter().filter(|service| service.healthy) {
            let (host, namespace, labels) = (&service.host, &service.namespace, &service.labels);
            // The first one that selects it says how it is taken.
            let selects = |rule: &&Selection| rule.selects(&Candidate { host, namespace, labels, edge });
            let Some(rule) = rules.iter().find(selects) else { continue };
            if taken_hosts.contains(host) || is_of_kubernetes(host) {
                refused.take(edge, host, "services are not taken: such names are for services here alone");
                continue;
            }
            let Some(left) = ports_left.checked_sub(service.ports.len()) else {
                refused.take(edge, host, TOO_MANY_PORTS);
                ports_left = 0;
                continue;
            };
            ports_left = left;
            let Some(address) = addresses.of_edge(edge) else {
                refused.take(edge, host, "services are not taken: importAddresses has no more addresses");
                continue;
            };
            let import = imports.entry(&service.host).or_insert_with(|| Import {
                host: service.host.clone(),
                namespace: service.namespace.clone(),
                ports: Vec::new(),
                endpoints: Vec::new(),
                merges_with_local: rule.merge_with_local,
            });
            for port in &service.ports {
                if !add_port(import, port, addresses) {
                    refused.take(edge, host, "ports of services are not taken: there are no more numbers for them");
                }
            }
            let locality = announcement.locality.clone();
            let weight = service.weight.clamp(1, MOST_WEIGHT);
            import.endpoints.push(ImportedEndpoint { edge: edge.clone(), address, locality, weight });
        }
    }
    Imports { services: imports.into_values().filter(|import| !import.ports.is_empty()).collect(), refused }
}

/// What the first edge says of a port counts. An edge that does not have it says so when it is called. Whether there was a number left for it.
fn add_port(import: &mut Import, port: &Port, addresses: &mut Addresses) -> bool {
    // No endpoint of the mesh has it: see `datagram/`.
    let is_packets = port.protocol == Protocol::Udp;
    if is_packets || import.ports.iter().any(|(known, _)| known.number == port.number || known.name == port.name) {
        return true;
    }
    let target = addresses.of_service(&import.host, port.number);
    import.ports.extend(target.map(|target| (port.clone(), target)));
    target.is_some()
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
        let wanted = |rules| Wanted { own: "a", rules, taken_hosts: &nothing, domain: "cluster.local" };
        assert_eq!(imports(&edges, &wanted(&[]), &mut addresses), Imports::default());
        let imports = imports(&edges, &wanted(&all), &mut addresses).services;
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
        let more = service("cart.shop.svc.cluster.local", 80, true);
        let many = (0..5_000).map(|number| service(&format!("n{number}.global"), 80, true)).collect();
        let edges: KnownEdges =
            [edge("b", vec![service("db.example", 80, true), kubernetes, more, heavy]), edge("c", many)].into();
        let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
        let taken_hosts = BTreeSet::from(["db.example".to_owned()]);
        let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &taken_hosts, domain: "cluster.local" };
        let Imports { services: imports, refused } = imports(&edges, &wanted, &mut addresses);
        let of = |edge: &str| imports.iter().filter(move |import| import.endpoints[0].edge == edge).collect::<Vec<_>>();
        assert_eq!((of("b").len(), of("b")[0].host.as_str()), (1, "heavy.global"));
        assert_eq!(of("b")[0].endpoints[0].weight, MOST_WEIGHT);
        assert_eq!(of("c").len(), MOST_PORTS_OF_EDGE);
        assert_eq!((refused.count(Some("b")), refused.count(Some("c"))), (vec![3], vec![5_000 - MOST_PORTS_OF_EDGE]));
    }
    #[test]
    fn names_of_services_are_those_of_the_domain_of_the_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let range = AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
        let mut addresses = Addresses::open(&folder.path().join("addresses.json"), range).unwrap();
        let hosts =
            ["pay.shop.svc.corp.internal", "pay.shop.svc.cluster.local", "svc.corp.internal", "x.corp.internal"];
        let edges: KnownEdges = [edge("b", hosts.map(|host| service(host, 80, true)).into())].into();
        let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
        let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &BTreeSet::new(), domain: "corp.internal" };
        let imports = imports(&edges, &wanted, &mut addresses);
        let taken: Vec<_> = imports.services.iter().map(|import| import.host.as_str()).collect();
        assert_eq!(taken, ["pay.shop.svc.cluster.local", "svc.corp.internal", "x.corp.internal"]);
    }
}
