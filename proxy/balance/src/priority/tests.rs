use xds_model::endpoint::{ClusterLoadAssignment, Endpoint, EndpointAddress, Health, Locality, LocalityEndpoints};

use super::*;

/// Hundred endpoints in each priority, so many of them healthy and degraded.
fn endpoints(priorities: &[(usize, usize)]) -> Endpoints {
    let sized: Vec<_> = priorities.iter().map(|(healthy, degraded)| (100, *healthy, *degraded)).collect();
    sized_endpoints(&sized)
}

/// Number, healthy and degraded endpoints of each priority.
fn sized_endpoints(priorities: &[(usize, usize, usize)]) -> Endpoints {
    let group = |(priority, (size, healthy, degraded)): (u32, &(usize, usize, usize))| {
        let endpoint = |number: usize| Endpoint {
            address: EndpointAddress::Name(format!("{priority}-{number}"), 80),
            additional_addresses: Vec::new(),
            weight: 1,
            health: match number {
                _ if number < *healthy => Health::Healthy,
                _ if number < healthy + degraded => Health::Degraded,
                _ => Health::Unhealthy,
            },
            transport_match: Vec::new(),
            workload: None,
        };
        LocalityEndpoints {
            locality: Locality::default(),
            priority,
            weight: 1,
            endpoints: (0..*size).map(endpoint).collect(),
        }
    };
    let localities = (0..).zip(priorities).map(group).collect();
    Endpoints::compile(&ClusterLoadAssignment { localities, ..ClusterLoadAssignment::default() })
}

/// Percent of each priority, and whether all of its endpoints are used.
fn loads(endpoints: &Endpoints, panic_threshold: u8) -> Vec<(u32, bool)> {
    by_priority(endpoints, &shares(endpoints, panic_threshold))
}

fn by_priority(endpoints: &Endpoints, shares: &[Share]) -> Vec<(u32, bool)> {
    let of_priority = |priority: &Priority| {
        let own = shares.iter().filter(|share| priority.all.contains(&share.endpoints.start));
        own.fold((0, false), |(percent, all), share| (percent + share.percent, all || share.endpoints == priority.all))
    };
    endpoints.priorities.iter().map(of_priority).collect()
}

fn percents(healthy: &[usize]) -> Vec<u32> {
    let priorities: Vec<_> = healthy.iter().map(|healthy| (*healthy, 0)).collect();
    loads(&endpoints(&priorities), 0).into_iter().map(|(percent, _)| percent).collect()
}

/// The tables of Envoy's `arch_overview/upstream/load_balancing/priority`.
#[test]
fn load_spills_over_to_lower_priorities() {
    let cases: [(&[usize], &[u32]); 20] = [
        (&[100, 100], &[100, 0]),
        (&[72, 100], &[100, 0]),
        (&[71, 100], &[99, 1]),
        (&[50, 100], &[70, 30]),
        (&[25, 100], &[35, 65]),
        (&[0, 100], &[0, 100]),
        (&[72, 72], &[100, 0]),
        (&[71, 71], &[99, 1]),
        (&[50, 50], &[70, 30]),
        (&[25, 25], &[50, 50]),
        (&[100, 100, 100], &[100, 0, 0]),
        (&[72, 72, 100], &[100, 0, 0]),
        (&[71, 71, 100], &[99, 1, 0]),
        (&[50, 50, 100], &[70, 30, 0]),
        (&[25, 100, 100], &[35, 65, 0]),
        (&[25, 25, 100], &[35, 35, 30]),
        // The table rounds this to 36, 36, 28; Envoy rounds down and gives the rest to the first.
        (&[25, 25, 20], &[37, 35, 28]),
        (&[15, 22], &[42, 58]),
        (&[0, 0], &[0, 0]),
        (&[0, 1], &[0, 100]),
    ];
    for (healthy, expected) in cases {
        assert_eq!(percents(healthy), expected, "{healthy:?}");
    }
}

/// The table of `arch_overview/upstream/load_balancing/degraded`.
#[test]
fn degraded_endpoints_come_last() {
    let cases =
        [((100, 0), [100, 0]), ((71, 0), [100, 0]), ((71, 29), [99, 1]), ((25, 65), [35, 65]), ((5, 0), [100, 0])];
    for (priority, [to_healthy, to_degraded]) in cases {
        let endpoints = endpoints(&[priority]);
        let shares = shares(&endpoints, 0);
        let of = |part: &Range<u32>| {
            shares.iter().filter(|share| share.endpoints == *part).map(|share| share.percent).sum::<u32>()
        };
        assert_eq!(of(&endpoints.priorities[0].healthy), to_healthy, "{priority:?}");
        if priority.1 > 0 {
            assert_eq!(of(&endpoints.priorities[0].degraded), to_degraded, "{priority:?}");
        }
    }
    // Healthy endpoints of a lower priority come before degraded ones of a higher priority.
    assert_eq!(loads(&endpoints(&[(50, 50), (100, 0)]), 50), [(70, false), (30, true)]);
}

/// The tables of `arch_overview/upstream/load_balancing/panic_threshold`, at its default of 50 %.
#[test]
fn health_is_ignored_in_panic() {
    let cases = [
        ((72, 100), [(100, false), (0, false)]),
        ((71, 100), [(99, false), (1, true)]),
        ((25, 100), [(35, false), (65, true)]),
        ((0, 100), [(0, false), (100, true)]),
        ((71, 71), [(99, false), (1, false)]),
        ((25, 25), [(50, true), (50, true)]),
        ((5, 65), [(8, true), (92, false)]),
        ((0, 0), [(50, true), (50, true)]),
    ];
    for ((first, second), expected) in cases {
        assert_eq!(loads(&endpoints(&[(first, 0), (second, 0)]), 50), expected, "{first} {second}");
    }
}

#[test]
fn total_panic_follows_the_number_of_endpoints() {
    let loads = |priorities: &[_], threshold| loads(&sized_endpoints(priorities), threshold);
    assert_eq!(loads(&[(10, 1, 0), (30, 1, 0)], 50), [(25, true), (75, true)]);
    assert_eq!(loads(&[(1, 0, 0), (1, 0, 0), (1, 0, 0)], 50), [(34, true), (33, true), (33, true)]);
    assert_eq!(loads(&[(4, 0, 0)], 1), [(100, true)]);
}

#[test]
fn without_panic_nothing_unhealthy_is_used() {
    let shares = |priorities: &[_]| shares(&sized_endpoints(priorities), 0);
    let whole = |endpoints, priority| Share { percent: 100, endpoints, priority, in_panic: false };
    assert_eq!(shares(&[(4, 0, 0), (4, 0, 0)]), []);
    assert_eq!(shares(&[]), []);
    assert_eq!(shares(&[(4, 1, 0)]), [whole(0..1, 0..4)]);
    // One in 200 is less than a percent of availability.
    assert_eq!(shares(&[(200, 0, 0), (200, 1, 0)]), [whole(200..201, 200..400)]);
}

#[test]
fn all_load_is_given_out() {
    for first in (0..=100).step_by(7) {
        for second in (0..=100).step_by(9) {
            for degraded in [0, 10, 40] {
                let endpoints = endpoints(&[(first, degraded.min(100 - first)), (second, 0), (3, 1)]);
                for threshold in [0, 50, 100] {
                    let sum: u32 = shares(&endpoints, threshold).iter().map(|share| share.percent).sum();
                    assert_eq!(sum, 100, "{first} {second} {degraded} {threshold}");
                }
            }
        }
    }
}

#[test]
fn what_is_left_out_is_divided_among_the_others() {
    let cases: [(&[usize], &[u32], &[u32]); 8] = [
        (&[100, 100, 100], &[], &[100, 0, 0]),
        (&[100, 100, 100], &[0], &[0, 100, 0]),
        (&[100, 100, 100], &[0, 1], &[0, 0, 100]),
        (&[100, 100, 100], &[2, 1], &[100, 0, 0]),
        (&[100, 50, 100], &[0], &[0, 70, 30]),
        // The only one left need not be whole.
        (&[100, 25], &[0], &[0, 100]),
        (&[100, 10, 20], &[0], &[0, 34, 66]),
        (&[100, 0, 100], &[0, 7], &[0, 0, 100]),
    ];
    for (healthy, left_out, expected) in cases {
        let priorities: Vec<_> = healthy.iter().map(|healthy| (*healthy, 0)).collect();
        let endpoints = endpoints(&priorities);
        let shares = shares_without(&endpoints, 0, left_out).unwrap_or_default();
        let loads: Vec<_> = by_priority(&endpoints, &shares).into_iter().map(|(percent, _)| percent).collect();
        assert_eq!(loads, expected, "{healthy:?} without {left_out:?}");
    }
}

#[test]
fn nothing_is_left_where_no_other_can_take_anything() {
    for (priorities, left_out) in [(&[(100, 0), (100, 0)][..], &[0, 1][..]), (&[(100, 0), (0, 0)], &[0]), (&[], &[])] {
        assert_eq!(shares_without(&endpoints(priorities), 50, left_out), None, "{priorities:?} without {left_out:?}");
    }
}

#[test]
fn degraded_endpoints_of_others_come_after_healthy_ones_of_others() {
    let endpoints = endpoints(&[(100, 0), (0, 100), (50, 0)]);
    let without_first = shares_without(&endpoints, 0, &[0]).unwrap_or_default();
    assert_eq!(by_priority(&endpoints, &without_first), [(0, false), (30, true), (70, false)]);
    let without_healthy = shares_without(&endpoints, 0, &[0, 2]).unwrap_or_default();
    let of_degraded = Share::new(100, &endpoints.priorities[1].degraded, &endpoints.priorities[1]);
    assert_eq!(without_healthy, [of_degraded]);
}

/// As in Envoy, which keeps what it found when all counted.
#[test]
fn whether_there_is_panic_does_not_depend_on_what_is_left_out() {
    let endpoints_in_panic = endpoints(&[(25, 0), (25, 0)]);
    let shares = shares_without(&endpoints_in_panic, 50, &[0]).unwrap_or_default();
    assert_eq!(by_priority(&endpoints_in_panic, &shares), [(0, false), (100, true)]);
    let calm = endpoints(&[(100, 0), (25, 0)]);
    let shares = shares_without(&calm, 50, &[0]).unwrap_or_default();
    assert_eq!(by_priority(&calm, &shares), [(0, false), (100, false)]);
}
