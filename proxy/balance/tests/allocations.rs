//! Picking allocates nothing. One test, because it counts the allocations of the whole process.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use selvedge_balance::{Balancer, Endpoints};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use xds_model::cluster::Balancer as Policy;
use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn endpoints(weight: impl Fn(u16) -> u32) -> Arc<Endpoints> {
    let endpoint = |port| Endpoint {
        address: EndpointAddress::Socket(([10, 0, 0, 1], port).into()),
        additional_addresses: Vec::new(),
        weight: weight(port),
        health: Health::Healthy,
        transport_match: Vec::new(),
        workload: None,
    };
    let group = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: 1,
        endpoints: (1..=1000).map(endpoint).collect(),
    };
    let assignment = ClusterLoadAssignment { localities: vec![group], ..ClusterLoadAssignment::default() };
    Arc::new(Endpoints::compile(&assignment))
}

#[test]
fn a_pick_allocates_nothing() {
    let mut random = SmallRng::seed_from_u64(1);
    let random = &mut || random.random();
    for endpoints in [endpoints(|_| 1), endpoints(u32::from)] {
        for policy in [Policy::LeastRequest { choices: 2 }, Policy::RoundRobin, Policy::Random] {
            let mut balancer = Balancer::new(Arc::clone(&endpoints), policy, 50, random);
            let mut round = || {
                let region = Region::new(ALLOCATOR);
                let start = Instant::now();
                for _ in 0..10_000 {
                    let picked = balancer.pick_avoiding(None, random, 5, |index| index.0 % 3 == 0, None).unwrap();
                    drop(balancer.started(picked));
                }
                let elapsed = start.elapsed();
                let change = region.change();
                println!("{policy:?}: {:?} a pick", elapsed / 10_000);
                change.allocations + change.reallocations
            };
            // The thread that waits for this test allocates, too, once.
            let fewest = (0..3).map(|_| round()).min();
            assert_eq!(fewest, Some(0), "{policy:?}");
        }
    }
}
