use std::time::{Duration, Instant};

use xds_model::cluster::SlowStart;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

/// Two endpoints that are known for long, and one that has just come.
fn one_is_new(now: Instant) -> Arc<Endpoints> {
    let assignment = |ports: &[u16]| {
        let endpoints: Vec<_> = ports.iter().map(|port| (*port, 1, Health::Healthy)).collect();
        ClusterLoadAssignment { localities: vec![group(0, &endpoints)], ..ClusterLoadAssignment::default() }
    };
    let long_ago = now.checked_sub(2 * WINDOW).unwrap();
    let before = Endpoints::compile_after(&assignment(&[1, 2]), None, long_ago);
    Arc::new(Endpoints::compile_after(&assignment(&[1, 2, 3]), Some(&before), now))
}

#[test]
fn a_new_endpoint_gets_its_share_little_by_little() {
    let now = Instant::now();
    for policy in [LEAST_REQUEST, Policy::RoundRobin] {
        for (aggression, passed, share) in [
            (1.0, 0, 0.1),
            (1.0, 3, 0.3),
            (1.0, 5, 0.5),
            (2.0, 0, 0.1),
            (2.0, 4, 0.4_f64.sqrt()),
            (0.5, 5, 0.25),
            (1.0, 10, 1.0),
            (1.0, 100, 1.0),
        ] {
            let random = &mut random(passed);
            let rule = SlowStart { window: WINDOW, aggression, minimum: 0.1 };
            let mut balancer = Balancer::new(one_is_new(now), policy, 50, random).starting_slowly(rule, now, random);
            balancer.pass_time(now + Duration::from_secs(passed));
            assert_shares(&count(&mut balancer, PICKS, random), &[1.0, 1.0, share]);
        }
    }
}

#[test]
fn endpoints_that_are_all_new_share_alike() {
    let now = Instant::now();
    let group = group(0, &[(1, 1, Health::Healthy), (2, 3, Health::Healthy)]);
    let assignment = ClusterLoadAssignment { localities: vec![group], ..ClusterLoadAssignment::default() };
    let endpoints = Arc::new(Endpoints::compile_after(&assignment, None, now));
    let random = &mut random(1);
    let rule = SlowStart { window: WINDOW, aggression: 1.0, minimum: 0.1 };
    let mut balancer = Balancer::new(endpoints, Policy::RoundRobin, 50, random).starting_slowly(rule, now, random);
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0, 3.0]);
}

#[test]
fn who_is_left_out_for_a_while_is_not_new() {
    let now = Instant::now();
    let endpoints = one_is_new(now);
    let random = &mut random(2);
    let rule = SlowStart { window: WINDOW, aggression: 1.0, minimum: 0.1 };
    let mut balancer =
        Balancer::new(endpoints.clone(), Policy::RoundRobin, 50, random).starting_slowly(rule, now, random);
    let left_out = [endpoints.get(EndpointIndex(0)).unwrap().address.clone()].into_iter().collect();
    balancer.update(Arc::new(endpoints.without(&left_out)), random);
    balancer.pass_time(now + 2 * WINDOW);
    balancer.update(endpoints, random);
    assert_shares(&count(&mut balancer, PICKS, random), &[1.0, 1.0, 1.0]);
}
