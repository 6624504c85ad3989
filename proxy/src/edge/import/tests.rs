use super::*;
use crate::edge::address_range::AddressRange;
use crate::edge::forms::MOST_PORTS;

fn service(host: &str, port: u16, healthy: bool) -> OfferedService {
    let ports = vec![Port { number: port, name: format!("http-{port}"), protocol: Protocol::Http }];
    let labels = BTreeMap::new();
    OfferedService { host: host.to_owned(), namespace: "shop".to_owned(), ports, labels, weight: 3, healthy }
}

fn edge(name: &str, services: Vec<OfferedService>) -> (String, Arc<Announcement>) {
    let announcement =
        Announcement { epoch: 1, sequence: 1, locality: format!("eu/{name}"), services, ..Announcement::default() };
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
    let heavy = OfferedService { weight: u32::MAX, ..service("heavy.global", 80, true) };
    let kubernetes = service("pay.shop.svc.cluster.local", 80, true);
    let more = service("cart.shop.svc.cluster.local", 80, true);
    let many = (0..5_000).map(|number| service(&format!("n{number}.global"), 80, true)).collect();
    let edges: KnownEdges =
        [edge("b", vec![service("db.example", 80, true), kubernetes, more, heavy]), edge("c", many)].into();
    let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
    let taken_hosts = BTreeSet::from(["db.example".to_owned()]);
    let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &taken_hosts, domain: "cluster.local" };
    let Imports { services: imports, refused, .. } = imports(&edges, &wanted, &mut addresses);
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
    let hosts = ["pay.shop.svc.corp.internal", "pay.shop.svc.cluster.local", "svc.corp.internal", "x.corp.internal"];
    let edges: KnownEdges = [edge("b", hosts.map(|host| service(host, 80, true)).into())].into();
    let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
    let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &BTreeSet::new(), domain: "corp.internal" };
    let imports = imports(&edges, &wanted, &mut addresses);
    let taken: Vec<_> = imports.services.iter().map(|import| import.host.as_str()).collect();
    assert_eq!(taken, ["pay.shop.svc.cluster.local", "svc.corp.internal", "x.corp.internal"]);
}

/// What is taken of them, by whoever takes all: each host with its namespace, its ports and its edges.
fn taken(addresses: &mut Addresses, edges: &[(String, Arc<Announcement>)]) -> Vec<String> {
    let rules = [Selection { hosts: vec!["*".to_owned()], ..Selection::default() }];
    let wanted = Wanted { own: "a", rules: &rules, taken_hosts: &BTreeSet::new(), domain: "cluster.local" };
    let imports = imports(&edges.into(), &wanted, addresses).services;
    let described = imports.iter().map(|Import { host, namespace, ports, endpoints, .. }| {
        let ports: Vec<_> = ports.iter().map(|(port, _)| port.name.as_str()).collect();
        let edges: Vec<_> = endpoints.iter().map(|endpoint| endpoint.edge.as_str()).collect();
        format!("{host} {namespace} {} {}", ports.join(","), edges.join(","))
    });
    described.collect()
}

#[test]
fn no_edge_takes_a_port_or_the_namespace_from_those_who_offered_a_service_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("addresses.json");
    let range = || AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
    let mut addresses = Addresses::open(&path, range()).unwrap();
    let good = || edge("b", vec![service("x.global", 80, true)]);
    assert_eq!(taken(&mut addresses, &[good()]), ["x.global shop http-80 b"]);

    // A name of a port takes nothing away.
    let port = |number, name: &str, protocol| Port { number, name: name.to_owned(), protocol };
    let of = |namespace: &str, ports| OfferedService {
        namespace: namespace.to_owned(),
        ports,
        ..service("x.global", 80, true)
    };
    let named = edge("aa", vec![of("shop", vec![port(9999, "http-80", Protocol::Tcp)])]);
    assert_eq!(taken(&mut addresses, &[named, good()]), ["x.global shop http-80,tcp-9999 aa,b"]);
    let moved = edge("aa", vec![of("evil", vec![port(9999, "http", Protocol::Tcp)])]);
    assert_eq!(taken(&mut addresses, &[moved.clone(), good()]), ["x.global shop http-80 b"]);
    let other = edge("aa", vec![of("shop", vec![port(80, "http", Protocol::Tcp)])]);
    assert_eq!(taken(&mut addresses, &[other.clone(), good()]), ["x.global shop http-80 b"]);

    // Neither after a start, nor while nobody answers at the other edge.
    addresses.save().unwrap();
    let mut addresses = Addresses::open(&path, range()).unwrap();
    assert_eq!(taken(&mut addresses, &[moved, good()]), ["x.global shop http-80 b"]);
    let ill = edge("b", vec![service("x.global", 80, false)]);
    assert_eq!(taken(&mut addresses, &[other.clone(), ill]), [""; 0]);
    assert_eq!(taken(&mut addresses, &[other.clone(), good()]), ["x.global shop http-80 b"]);
    // What nobody says any more is forgotten: a service may become something else.
    assert_eq!(taken(&mut addresses, &[other]), ["x.global shop tcp-80 aa"]);
}

#[test]
fn an_edge_is_one_endpoint_and_a_service_has_a_bound_of_ports() {
    let folder = tempfile::tempdir().unwrap();
    let range = AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
    let mut addresses = Addresses::open(&folder.path().join("addresses.json"), range).unwrap();
    let port = |number: u16| Port { number, name: format!("p{number}"), protocol: Protocol::Tcp };
    let with = |numbers: std::ops::Range<u16>| OfferedService {
        ports: numbers.map(port).collect(),
        ..service("x.global", 80, true)
    };
    let twice = edge("b", vec![with(1..41), with(1..41)]);
    let Ok([one]) = <[String; 1]>::try_from(taken(&mut addresses, &[twice, edge("c", vec![with(100..140)])])) else {
        panic!("one service")
    };
    assert!(one.ends_with(" b,c"), "{one}");
    assert_eq!(one.matches("tcp-").count(), MOST_PORTS);
}

#[test]
fn an_edge_that_always_offers_something_else_leaves_numbers_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let range = AddressRange::try_from("127.0.2.0/24".to_owned()).unwrap();
    let mut addresses = Addresses::open(&folder.path().join("addresses.json"), range).unwrap();
    let many = |round: u16| {
        let names = (0..MOST_PORTS_OF_EDGE).map(|number| service(&format!("r{round}n{number}.global"), 80, true));
        edge("aa", names.collect())
    };
    for round in 0..4 {
        assert_eq!(taken(&mut addresses, &[many(round)]).len(), MOST_PORTS_OF_EDGE, "round {round}");
    }
    let found = taken(&mut addresses, &[many(4), edge("b", vec![service("x.global", 80, true)])]);
    assert_eq!(
        (found.len(), found.last().map(String::as_str)),
        (MOST_PORTS_OF_EDGE + 1, Some("x.global shop http-80 b"))
    );
}
