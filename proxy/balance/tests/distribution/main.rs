//! Simulations with seeds: who gets how many of many picks.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod retries;
mod warm_up;

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use selvedge_balance::{ActiveRequest, Balancer, EndpointIndex, Endpoints};
use xds_model::cluster::Balancer as Policy;
use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};

const PICKS: usize = 100_000;
const LEAST_REQUEST: Policy = Policy::LeastRequest { choices: 2 };

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut random = SmallRng::seed_from_u64(seed);
    move || random.random()
}

fn group(priority: u32, endpoints: &[(u16, u32, Health)]) -> LocalityEndpoints {
    let endpoint = |(port, weight, health): &(u16, u32, Health)| Endpoint {
        address: EndpointAddress::Socket(([10, 0, 0, 1], *port).into()),
        additional_addresses: Vec::new(),
        weight: *weight,
        health: *health,
        transport_match: Vec::new(),
        workload: None,
    };
    LocalityEndpoints {
        locality: Locality::default(),
        priority,
        weight: 1,
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

fn compile(localities: Vec<LocalityEndpoints>) -> Arc<Endpoints> {
    Arc::new(Endpoints::compile(&ClusterLoadAssignment { localities, ..ClusterLoadAssignment::default() }))
}

fn weighted(weights: &[u32]) -> Arc<Endpoints> {
    let endpoints: Vec<_> = (1..).zip(weights).map(|(port, weight)| (port, *weight, Health::Healthy)).collect();
    compile(vec![group(0, &endpoints)])
}

fn count(balancer: &mut Balancer, picks: usize, random: &mut impl FnMut() -> u64) -> Vec<usize> {
    let mut counts = vec![0; balancer.endpoints().list().len()];
    for _ in 0..picks {
        counts[balancer.pick(None, random).unwrap().index()] += 1;
    }
    counts
}

/// Chi-square against expected shares; with up to 9 degrees of freedom a value over 40 has a probability below 1e-5.
fn assert_shares(counts: &[usize], shares: &[f64]) {
    let total: f64 = counts.iter().sum::<usize>() as f64;
    let whole: f64 = shares.iter().sum();
    let terms = counts.iter().zip(shares).map(|(count, share)| {
        let expected = total * share / whole;
        (*count as f64 - expected).powi(2) / expected
    });
    let chi_square: f64 = terms.sum();
    assert!(chi_square < 40.0, "{counts:?} is not {shares:?}: {chi_square}");
}

#[test]
fn all_but_random_choices_follow_the_weights() {
    for weights in [&[1, 1, 1, 1][..], &[1, 2, 3, 4], &[1, 1, 1, 97], &[5], &[1, 1000, 30, 4_000_000]] {
        let shares: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
        for (policy, shares) in
            [(LEAST_REQUEST, &shares), (Policy::RoundRobin, &shares), (Policy::Random, &vec![1.0; weights.len()])]
        {
            let random = &mut random(7);
            let mut balancer = Balancer::new(weighted(weights), policy, 50, random);
            assert_shares(&count(&mut balancer, PICKS, random), shares);
        }
    }
}

#[test]
fn round_robin_is_even_at_every_moment() {
    let random = &mut random(1);
    let mut balancer = Balancer::new(weighted(&[1, 1, 1]), Policy::RoundRobin, 50, random);
    for _ in 0..100 {
        assert_eq!(count(&mut balancer, 3, random), [1, 1, 1]);
    }
    let mut balancer = Balancer::new(weighted(&[1, 3]), Policy::RoundRobin, 50, random);
    for _ in 0..100 {
        assert_eq!(count(&mut balancer, 4, random), [1, 3]);
    }
}

#[test]
fn workers_do_not_start_with_the_same_endpoint() {
    for weights in [[1; 8], [1, 1, 1, 1, 1, 1, 1, 2]] {
        let mut first = [0; 8];
        for seed in 0..400 {
            let random = &mut random(seed);
            let mut balancer = Balancer::new(weighted(&weights), Policy::RoundRobin, 50, random);
            first[balancer.pick(None, random).unwrap().index()] += 1;
        }
        assert!(first.iter().all(|count| (20..=150).contains(count)), "{first:?}");
    }
}

#[test]
fn least_request_avoids_the_busy() {
    let random = &mut random(2);
    let mut balancer = Balancer::new(weighted(&[1, 1, 1, 1]), LEAST_REQUEST, 50, random);
    let busy: Vec<ActiveRequest> = (0..5).map(|_| balancer.started(EndpointIndex(2))).collect();
    // Two draws of four, with replacement: the busy one is taken if it is drawn twice, 1 in 16.
    assert_shares(&count(&mut balancer, PICKS, random), &[5.0, 5.0, 1.0, 5.0]);
    drop(busy);
    assert_eq!(balancer.active_requests(EndpointIndex(2)), 0);
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0; 4]);
}

#[test]
fn more_choices_avoid_the_busy_more() {
    let random = &mut random(3);
    let mut balancer = Balancer::new(weighted(&[1, 1]), Policy::LeastRequest { choices: 4 }, 50, random);
    let _busy = balancer.started(EndpointIndex(0));
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0, 15.0]);
}

#[test]
fn a_busy_endpoint_weighs_less() {
    let random = &mut random(4);
    let mut balancer = Balancer::new(weighted(&[1, 3, 4]), LEAST_REQUEST, 50, random);
    // weight / (active + 1): 1, 1, 4.
    let _busy = [balancer.started(EndpointIndex(1)), balancer.started(EndpointIndex(1))];
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0, 1.0, 4.0]);
}

#[test]
fn least_request_evens_out_slow_endpoints() {
    let random = &mut random(5);
    let mut balancer = Balancer::new(weighted(&[1, 1, 1, 1]), LEAST_REQUEST, 50, random);
    let mut under_way: Vec<(usize, EndpointIndex, ActiveRequest)> = Vec::new();
    let mut to_slow = 0;
    for turn in 0..20_000 {
        under_way.retain(|(end, ..)| *end > turn);
        let picked = balancer.pick(None, random).unwrap();
        let duration = if picked.index() == 0 { 80 } else { 8 };
        under_way.push((turn + duration, picked, balancer.started(picked)));
        to_slow += usize::from(picked.index() == 0);
    }
    // Blind picks would send it a quarter; it is drawn twice in a row once in 16 times.
    assert!(to_slow < 20_000 / 10, "{to_slow}");
}

#[test]
fn load_fails_over_by_priority() {
    use Health::{Degraded, Healthy, Unhealthy};
    let endpoints =
        compile(vec![group(0, &[(1, 1, Healthy), (2, 1, Unhealthy)]), group(1, &[(3, 1, Healthy), (4, 1, Healthy)])]);
    for policy in [LEAST_REQUEST, Policy::RoundRobin, Policy::Random] {
        let random = &mut random(6);
        let mut balancer = Balancer::new(Arc::clone(&endpoints), policy, 50, random);
        let counts = count(&mut balancer, PICKS, random);
        assert_eq!(counts[1], 0);
        assert_shares(&[counts[0], counts[2], counts[3]], &[70.0, 15.0, 15.0]);
        let failed = compile(vec![group(0, &[(1, 1, Unhealthy)]), group(1, &[(3, 1, Degraded), (4, 1, Unhealthy)])]);
        balancer.update(failed, random);
        assert_eq!(count(&mut balancer, 1000, random), [0, 1000, 0]);
    }
}

#[test]
fn panic_uses_all_unless_it_is_off() {
    use Health::{Draining, Healthy, Unhealthy};
    let endpoints = compile(vec![group(0, &[(1, 1, Healthy), (2, 1, Unhealthy), (3, 1, Unhealthy), (4, 1, Draining)])]);
    let random = &mut random(8);
    let mut balancer = Balancer::new(Arc::clone(&endpoints), LEAST_REQUEST, 50, random);
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0; 4]);
    let mut balancer = Balancer::new(endpoints, LEAST_REQUEST, 0, random);
    assert_eq!(count(&mut balancer, 1000, random), [1000, 0, 0, 0]);
    let down = compile(vec![group(0, &[(2, 1, Unhealthy)])]);
    balancer.update(down, random);
    assert_eq!(balancer.pick(None, random), None);
    balancer.update(compile(Vec::new()), random);
    assert_eq!(balancer.pick(None, random), None);
}

#[test]
fn active_requests_survive_updates() {
    let random = &mut random(10);
    let healthy = |ports: &[u16]| {
        let endpoints: Vec<_> = ports.iter().map(|port| (*port, 1, Health::Healthy)).collect();
        compile(vec![group(0, &endpoints)])
    };
    let mut balancer = Balancer::new(healthy(&[1, 2, 3]), LEAST_REQUEST, 50, random);
    let kept = [balancer.started(EndpointIndex(2)), balancer.started(EndpointIndex(2))];
    let removed = balancer.started(EndpointIndex(0));
    balancer.update(healthy(&[3, 4]), random);
    assert_eq!([0, 1].map(|index| balancer.active_requests(EndpointIndex(index))), [2, 0]);
    drop(removed);
    balancer.update(healthy(&[1, 3]), random);
    assert_eq!([0, 1].map(|index| balancer.active_requests(EndpointIndex(index))), [0, 2]);
    drop(kept);
    assert_eq!(balancer.active_requests(EndpointIndex(1)), 0);
    drop(balancer.started(EndpointIndex(99)));
    assert_eq!(balancer.active_requests(EndpointIndex(99)), 0);
}

/// Groups of so many endpoints, of which so many are healthy, with their weights.
fn localities(groups: &[(u32, u16, u16)]) -> Arc<Endpoints> {
    let mut ports = 1_u16..;
    let group = |(weight, size, healthy): &(u32, u16, u16)| {
        let health = |number| if number < *healthy { Health::Healthy } else { Health::Unhealthy };
        let endpoints: Vec<_> = (0..*size).zip(&mut ports).map(|(number, port)| (port, 1, health(number))).collect();
        LocalityEndpoints { weight: *weight, ..group(0, &endpoints) }
    };
    compile(groups.iter().map(group).collect())
}

/// Picks in each locality.
fn by_locality(groups: &[(u32, u16, u16)], policy: Policy, panic_threshold: u8) -> Vec<usize> {
    let random = &mut random(5);
    let endpoints = localities(groups);
    let mut balancer = Balancer::weighing_localities(endpoints.clone(), policy, panic_threshold, random);
    let mut counts = vec![0; groups.len()];
    for (picks, endpoint) in count(&mut balancer, PICKS, random).into_iter().zip(endpoints.list()) {
        let EndpointAddress::Socket(address) = &endpoint.address else { panic!("no address") };
        let mut last = 0;
        let locality = groups.iter().position(|(_, size, _)| {
            last += size;
            address.port() <= last
        });
        counts[locality.unwrap()] += picks;
    }
    counts
}

#[test]
fn localities_share_by_their_weights_whatever_their_size() {
    for policy in [LEAST_REQUEST, Policy::RoundRobin, Policy::Random] {
        assert_shares(&by_locality(&[(70, 1, 1), (20, 5, 5), (10, 2, 2)], policy, 50), &[70.0, 20.0, 10.0]);
    }
}

/// The examples of Envoy's `arch_overview/upstream/load_balancing/locality_weight`: X has weight 1, Y has 2, and some of Y are not healthy.
#[test]
fn a_locality_that_is_partly_unhealthy_gets_less_beyond_overprovisioning() {
    for (healthy, x, y) in [(100, 33.3, 66.6), (70, 33.8, 66.2), (50, 41.6, 58.3), (25, 58.8, 41.2), (0, 100.0, 0.0)] {
        let counts = by_locality(&[(1, 100, 100), (2, 100, healthy)], Policy::Random, 0);
        let share = |count: usize| count as f64 * 100.0 / PICKS as f64;
        assert!((share(counts[0]) - x).abs() < 1.0 && (share(counts[1]) - y).abs() < 1.0, "{healthy}: {counts:?}");
    }
}

#[test]
fn in_panic_and_without_weights_localities_do_not_count() {
    assert_shares(&by_locality(&[(99, 1, 0), (1, 3, 1)], Policy::Random, 50), &[25.0, 75.0]);
    assert_shares(&by_locality(&[(0, 1, 1), (0, 3, 3)], Policy::Random, 50), &[25.0, 75.0]);
    let counts = by_locality(&[(0, 1, 1), (5, 3, 3)], Policy::Random, 50);
    assert_eq!(counts[0], 0, "a locality without weight gets nothing");
}
