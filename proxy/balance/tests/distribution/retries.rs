//! Further tries of a request: other endpoints, other priorities.

use std::num::NonZeroU32;

use selvedge_balance::PreviousPriorities;

use super::*;

#[test]
fn a_retry_draws_again() {
    let random = &mut random(9);
    let mut balancer = Balancer::new(weighted(&[1, 1]), Policy::Random, 50, random);
    let mut again = [0; 2];
    for _ in 0..PICKS {
        again[balancer.pick_avoiding(None, random, 2, |index| index == EndpointIndex(0), None).unwrap().index()] += 1;
    }
    // Only three draws of the avoided one in a row leave it.
    assert_shares(&again, &[1.0, 7.0]);
    let all = balancer.pick_avoiding(None, random, 5, |_| true, None);
    assert!(all.is_some(), "the last one is taken all the same");
}

/// Tries of one request, one after the other, by the priority of the endpoint drawn.
fn tries(balancer: &mut Balancer, update_frequency: u32, number: usize, random: &mut impl FnMut() -> u64) -> Vec<u32> {
    let mut previous = PreviousPriorities::new(NonZeroU32::new(update_frequency).unwrap());
    let mut priorities = Vec::new();
    for _ in 0..number {
        let picked = balancer.pick_avoiding(None, random, 0, |_| false, Some(&mut previous)).unwrap();
        let priority = balancer.endpoints().get(picked).unwrap().priority;
        previous.tries(priority);
        priorities.push(priority);
    }
    priorities
}

#[test]
fn retries_leave_priorities_that_were_tried() {
    use Health::{Healthy, Unhealthy};
    // 3 can take nothing, and 2 has no endpoints.
    let endpoints = compile(vec![
        group(0, &[(1, 1, Healthy), (2, 2, Healthy)]),
        group(1, &[(3, 1, Healthy), (4, 1, Healthy)]),
        group(3, &[(5, 1, Unhealthy)]),
        group(4, &[(6, 1, Healthy)]),
    ]);
    let random = &mut random(11);
    for policy in [LEAST_REQUEST, Policy::RoundRobin, Policy::Random] {
        for mut balancer in [
            Balancer::new(endpoints.clone(), policy, 0, random),
            Balancer::weighing_localities(endpoints.clone(), policy, 0, random),
        ] {
            assert_eq!(tries(&mut balancer, 2, 11, random), [0, 0, 1, 1, 4, 4, 0, 0, 1, 1, 4]);
            assert_eq!(tries(&mut balancer, 1, 7, random), [0, 1, 4, 0, 1, 4, 0]);
            assert_eq!(tries(&mut balancer, 100, 50, random), [0; 50]);
            // Other requests go where they always go.
            assert!(count(&mut balancer, 100, random)[2..].iter().all(|picks| *picks == 0));
            balancer.update(compile(vec![group(0, &[(1, 1, Healthy)]), group(9, &[(2, 1, Healthy)])]), random);
            assert_eq!(tries(&mut balancer, 1, 4, random), [0, 9, 0, 9]);
            balancer.update(endpoints.clone(), random);
        }
    }
}

#[test]
fn retries_share_what_is_left_by_health_and_weight() {
    use Health::{Healthy, Unhealthy};
    let endpoints = compile(vec![
        group(0, &[(1, 1, Healthy)]),
        group(1, &[(2, 1, Healthy), (3, 4, Healthy), (4, 1, Unhealthy), (5, 1, Unhealthy)]),
        group(2, &[(6, 1, Healthy)]),
    ]);
    let random = &mut random(12);
    let mut balancer = Balancer::new(endpoints, Policy::RoundRobin, 0, random);
    let mut counts = [0; 6];
    for _ in 0..PICKS {
        let mut previous = PreviousPriorities::new(NonZeroU32::MIN);
        previous.tries(0);
        counts[balancer.pick_avoiding(None, random, 0, |_| false, Some(&mut previous)).unwrap().index()] += 1;
    }
    assert_eq!([counts[0], counts[3], counts[4]], [0; 3]);
    assert_shares(&[counts[1], counts[2], counts[5]], &[14.0, 56.0, 30.0]);
}

#[test]
fn retries_in_panic_and_without_anybody() {
    use Health::Unhealthy;
    let endpoints = compile(vec![group(0, &[(1, 1, Unhealthy)]), group(1, &[(2, 1, Unhealthy)])]);
    let random = &mut random(13);
    let mut previous = PreviousPriorities::new(NonZeroU32::MIN);
    previous.tries(0);
    let mut calm = Balancer::new(endpoints.clone(), Policy::Random, 0, random);
    assert_eq!(calm.pick_avoiding(None, random, 5, |_| false, Some(&mut previous)), None);
    // Nobody can take anything: what all requests get is all there is.
    let mut panicking = Balancer::new(endpoints, Policy::Random, 50, random);
    let mut counts = [0; 2];
    for _ in 0..PICKS {
        previous.tries(0);
        counts[panicking.pick_avoiding(None, random, 0, |_| false, Some(&mut previous)).unwrap().index()] += 1;
    }
    assert_shares(&counts, &[1.0, 1.0]);
}
