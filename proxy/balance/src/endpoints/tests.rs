use super::*;

fn endpoint(port: u16, weight: u32, health: Health) -> endpoint::Endpoint {
    endpoint::Endpoint {
        address: address(port),
        additional_addresses: Vec::new(),
        weight,
        health,
        transport_match: vec![("tlsMode".into(), format!("{port}-{weight}"))],
        workload: Some(format!(";;;;cluster-{weight}")),
    }
}

fn address(port: u16) -> EndpointAddress {
    EndpointAddress::Socket(([10, 0, 0, 1], port).into())
}

fn group(zone: &str, priority: u32, endpoints: Vec<endpoint::Endpoint>) -> LocalityEndpoints {
    let locality = Locality { zone: zone.into(), ..Locality::default() };
    LocalityEndpoints { locality, priority, weight: 1, endpoints }
}

fn compile(localities: Vec<LocalityEndpoints>) -> Endpoints {
    Endpoints::compile(&ClusterLoadAssignment { localities, ..ClusterLoadAssignment::default() })
}

#[test]
fn an_address_occurs_once_in_a_priority() {
    let endpoints = compile(vec![
        group("a", 0, vec![endpoint(1, 3, Health::Unhealthy), endpoint(2, 1, Health::Healthy)]),
        group("b", 0, vec![endpoint(1, 4, Health::Healthy), endpoint(3, u32::MAX, Health::Healthy)]),
        group("a", 1, vec![endpoint(1, 5, Health::Healthy)]),
        group("c", 0, vec![endpoint(3, 1, Health::Healthy)]),
    ]);
    let found: Vec<_> = endpoints.list().iter().map(|found| (found.priority, &found.address, found.weight)).collect();
    let expected = [(0, address(1), 7), (0, address(2), 1), (0, address(3), u32::MAX), (1, address(1), 5)];
    assert_eq!(found, expected.iter().map(|(p, address, weight)| (*p, address, *weight)).collect::<Vec<_>>());
    let first = endpoints.get(EndpointIndex(0)).unwrap();
    assert_eq!(first.health, Health::Healthy);
    assert_eq!(first.locality.zone, "a");
    assert_eq!(first.transport_match[0].1, "1-3");
    assert_eq!(first.workload.as_deref(), Some(";;;;cluster-3"));
}

#[test]
fn priorities_are_ranges_ordered_by_health() {
    let endpoints = compile(vec![
        group("a", 3, vec![endpoint(1, 1, Health::Draining), endpoint(2, 1, Health::Healthy)]),
        group("b", 1, vec![]),
        group("c", 0, vec![endpoint(3, 1, Health::Degraded), endpoint(4, 0, Health::Healthy)]),
        group("d", 3, vec![endpoint(5, 1, Health::Degraded), endpoint(6, 1, Health::Unhealthy)]),
    ]);
    let ports: Vec<_> = endpoints.list().iter().map(|found| found.address.clone()).collect();
    assert_eq!(ports, [4, 3, 2, 5, 1, 6].map(address));
    assert_eq!(
        *endpoints.priorities,
        [
            Priority { number: 0, all: 0..2, healthy: 0..1, degraded: 1..2 },
            Priority { number: 3, all: 2..6, healthy: 2..3, degraded: 3..4 },
        ]
    );
    assert_eq!(endpoints.list()[0].weight, 1, "a weight is at least 1");
    assert_eq!(endpoints.overprovisioning_factor, 140);
}

#[test]
fn what_is_kept_of_an_endpoint_follows_its_address() {
    let healthy = |port| endpoint(port, 1, Health::Healthy);
    let old = compile(vec![group("a", 0, vec![healthy(1), healthy(2)]), group("a", 1, vec![healthy(1)])]);
    let new = compile(vec![
        group("a", 0, vec![healthy(9), healthy(2), healthy(1)]),
        group("a", 1, vec![healthy(1), healthy(2)]),
    ]);
    let expected = [None, Some(1), Some(0), Some(2), Some(1)].map(|index| index.map(EndpointIndex));
    assert_eq!(new.carried_from(&old), expected);
}
