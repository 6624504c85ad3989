use std::sync::Arc;

use hashbrown::HashMap;
use twox_hash::XxHash64;
use xds_model::cluster::Balancer as Policy;
use xds_model::endpoint::{self, ClusterLoadAssignment, EndpointAddress, Health, Locality, LocalityEndpoints};

use crate::balancer::Balancer;
use crate::endpoints::{EndpointIndex, Endpoints};

const RING: Policy = Policy::RingHash { minimum_size: 1024, maximum_size: 8_388_608 };
const MAGLEV: Policy = Policy::Maglev { table_size: 65537 };

/// Localities, each with its weight and the weights of its endpoints, of which the first is number `first`.
fn endpoints(localities: &[(u32, u8, &[u32])]) -> Arc<Endpoints> {
    let locality = |(weight, first, weights): &(u32, u8, &[u32])| LocalityEndpoints {
        weight: *weight,
        endpoints: (*first..).zip(*weights).map(|(number, weight)| new_endpoint(number, *weight)).collect(),
        locality: Locality::default(),
        priority: 0,
    };
    let localities = localities.iter().map(locality).collect();
    Arc::new(Endpoints::compile(&ClusterLoadAssignment { localities, ..ClusterLoadAssignment::default() }))
}

fn new_endpoint(number: u8, weight: u32) -> endpoint::Endpoint {
    endpoint::Endpoint {
        address: EndpointAddress::Socket(([10, 0, 0, number], 80).into()),
        additional_addresses: Vec::new(),
        weight,
        health: Health::Healthy,
        transport_match: Vec::new(),
        workload: None,
    }
}

fn alike(numbers: u8) -> Arc<Endpoints> {
    endpoints(&[(1, 1, &vec![1; usize::from(numbers)])])
}

fn hash(number: u32) -> u64 {
    XxHash64::oneshot(7, &number.to_be_bytes())
}

/// Where each of many hashes leads.
fn picks(balancer: &mut Balancer) -> Vec<EndpointAddress> {
    let none = &mut || panic!("nothing is left to chance");
    let all = (0..20_000).map(|number| balancer.pick(Some(hash(number)), none).unwrap());
    let indices: Vec<EndpointIndex> = all.collect();
    indices.iter().map(|index| balancer.endpoints().get(*index).unwrap().address.clone()).collect()
}

fn counts(picks: &[EndpointAddress]) -> HashMap<EndpointAddress, f64> {
    let mut counts = HashMap::new();
    for pick in picks {
        *counts.entry(pick.clone()).or_default() += 1.0 / picks.len() as f64;
    }
    counts
}

fn address(number: u8) -> EndpointAddress {
    new_endpoint(number, 1).address
}

#[test]
fn the_points_of_a_ring_are_those_of_envoy() {
    // The test of Envoy (ring_hash_lb_test.cc, "Basic"): six hosts, a ring of 12 points, and where some hashes lead.
    let list = (90..96).map(|port| endpoint::Endpoint {
        address: EndpointAddress::Socket(([127, 0, 0, 1], port).into()),
        ..new_endpoint(0, 1)
    });
    let locality =
        LocalityEndpoints { endpoints: list.collect(), weight: 1, locality: Locality::default(), priority: 0 };
    let assignment = ClusterLoadAssignment { localities: vec![locality], ..ClusterLoadAssignment::default() };
    let policy = Policy::RingHash { minimum_size: 12, maximum_size: 8_388_608 };
    let none = &mut || panic!("nothing is left to chance");
    let mut balancer = Balancer::new(Arc::new(Endpoints::compile(&assignment)), policy, 50, none);
    let mut port_of = |hash: u64, attempts: u32| {
        let avoided = std::cell::Cell::new(attempts);
        let avoid = |_| avoided.replace(avoided.get().saturating_sub(1)) > 0;
        let picked = balancer.pick_avoiding(Some(hash), none, attempts, avoid, None).unwrap();
        match &balancer.endpoints().get(picked).unwrap().address {
            EndpointAddress::Socket(address) => address.port(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(port_of(0, 0), 94);
    assert_eq!(port_of(u64::MAX, 0), 94);
    assert_eq!(port_of(3_551_244_743_356_806_947, 0), 95);
    assert_eq!(port_of(3_551_244_743_356_806_948, 0), 93);
    assert_eq!(port_of(0, 1), 92);
    assert_eq!(port_of(0, 2), 90);
}

#[test]
fn shares_follow_weights() {
    for policy in [RING, MAGLEV] {
        let random = &mut || 0;
        let mut balancer = Balancer::new(endpoints(&[(1, 1, &[1, 2, 5])]), policy, 50, random);
        let counts = counts(&picks(&mut balancer));
        for (number, share) in [(1, 0.125), (2, 0.25), (3, 0.625)] {
            let seen = counts.get(&address(number)).copied().unwrap_or_default();
            assert!((seen - share).abs() < 0.05, "{policy:?}: {number} has {seen} instead of {share}");
        }
    }
}

#[test]
fn localities_have_their_share_first() {
    for policy in [RING, MAGLEV] {
        let random = &mut || 0;
        let endpoints = endpoints(&[(1, 1, &[1]), (3, 2, &[1, 1]), (0, 4, &[9])]);
        let mut balancer = Balancer::weighing_localities(endpoints, policy, 50, random);
        let counts = counts(&picks(&mut balancer));
        for (number, share) in [(1, 0.25), (2, 0.375), (3, 0.375), (4, 0.0)] {
            let seen = counts.get(&address(number)).copied().unwrap_or_default();
            assert!((seen - share).abs() < 0.05, "{policy:?}: {number} has {seen} instead of {share}");
        }
    }
}

#[test]
fn few_requests_move_when_an_endpoint_goes() {
    for (policy, most) in [(RING, 0.1), (MAGLEV, 0.1)] {
        let random = &mut || 0;
        let before = picks(&mut Balancer::new(alike(10), policy, 50, random));
        let mut balancer = Balancer::new(alike(10), policy, 50, random);
        balancer.update(alike(9), random);
        let after = picks(&mut balancer);
        let stays = before.iter().zip(&after).filter(|(before, _)| **before != address(10));
        let (stays, moved): (usize, usize) =
            stays.fold((0, 0), |(all, moved), (before, after)| (all + 1, moved + usize::from(before != after)));
        assert!(moved as f64 <= most * stays as f64, "{policy:?}: {moved} of {stays} moved");
        let moved: Vec<_> =
            before.iter().zip(after).filter(|(before, _)| **before == address(10)).map(|(_, now)| now).collect();
        assert_eq!(counts(&moved).len(), 9, "all others take a part");
    }
}

#[test]
fn those_that_are_left_out_come_back_to_the_same() {
    for policy in [RING, MAGLEV] {
        let random = &mut || 0;
        let all = alike(5);
        let mut balancer = Balancer::new(all.clone(), policy, 0, random);
        let before = picks(&mut balancer);
        balancer.update(Arc::new(all.without(&[address(2)].into_iter().collect())), random);
        assert!(!picks(&mut balancer).contains(&address(2)));
        balancer.update(all, random);
        assert_eq!(picks(&mut balancer), before);
    }
}

#[test]
fn a_request_without_a_hash_goes_anywhere() {
    for policy in [RING, MAGLEV] {
        let mut next = 0;
        let random = &mut || {
            next += 1;
            hash(next)
        };
        let mut balancer = Balancer::new(alike(4), policy, 50, random);
        let mut seen: Vec<_> = (0..200).filter_map(|_| balancer.pick(None, random)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }
}

#[test]
fn the_order_of_endpoints_does_not_matter() {
    for policy in [RING, MAGLEV] {
        let random = &mut || 0;
        let locality = |numbers: &[u8]| LocalityEndpoints {
            endpoints: numbers.iter().map(|number| new_endpoint(*number, 1)).collect(),
            weight: 1,
            locality: Locality::default(),
            priority: 0,
        };
        let mut picks_of = |numbers: &[u8]| {
            let localities = vec![locality(numbers)];
            let assignment = ClusterLoadAssignment { localities, ..ClusterLoadAssignment::default() };
            picks(&mut Balancer::new(Arc::new(Endpoints::compile(&assignment)), policy, 50, random))
        };
        assert_eq!(picks_of(&[1, 2, 3, 10, 20]), picks_of(&[20, 3, 10, 1, 2]));
    }
}

#[test]
fn nobody_is_nobody() {
    for policy in [RING, MAGLEV] {
        let mut balancer = Balancer::new(alike(0), policy, 50, &mut || 0);
        assert_eq!(balancer.pick(Some(1), &mut || 0), None);
    }
}
