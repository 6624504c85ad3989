//! Places: their shares and their order, as a gateway at its own place sees them (istiod, `networking/core/loadbalancer`).

use std::collections::BTreeSet;

use xds_api::envoy::config::core::v3::Locality;
use xds_api::envoy::config::endpoint::v3::LocalityLbEndpoints;

use crate::object::destination_rule::{Distribution, Failover, TrafficPolicy};

/// How many distances there are between a gateway and endpoints.
const DISTANCES: u32 = 5;

/// `region/zone/sub-zone` in its parts.
pub(super) fn parse(locality: &str) -> Locality {
    let mut parts = locality.splitn(3, '/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Locality { region: next(), zone: next(), sub_zone: next() }
}

/// Sets weights and priorities of groups of endpoints as a policy wants it.
pub(super) fn balance(groups: &mut [LocalityLbEndpoints], policy: &TrafficPolicy, own: &Locality) {
    let balancing = policy.locality_balancing();
    if balancing.is_some_and(|balancing| !balancing.enabled) {
        return;
    }
    let distribute = balancing.map_or(&[][..], |balancing| &balancing.distribute);
    if !distribute.is_empty() {
        if let Some(distribution) = distribute.iter().find(|distribution| matches(&distribution.from, own)) {
            set_shares(groups, distribution);
        }
    } else if policy.outlier_detection.is_some() {
        let failover = balancing.map_or(&[][..], |balancing| &balancing.failover);
        // Labels stand in for places, unless both are asked for.
        if policy.failover_labels().is_empty() || !failover.is_empty() {
            add_distances(groups, failover, own);
        }
        close_gaps(groups);
    }
}

/// Each place of the distribution divides its share among the groups that it fits; groups that none fits get nothing.
fn set_shares(groups: &mut [LocalityLbEndpoints], distribution: &Distribution) {
    let mut taken = BTreeSet::new();
    for (place, percent) in &distribution.to {
        let fits = |(at, group): &(usize, &LocalityLbEndpoints)| !taken.contains(at) && is_at(group, place);
        let fitting: Vec<usize> = groups.iter().enumerate().filter(fits).map(|(at, _)| at).collect();
        let total: u64 = fitting.iter().map(|at| u64::from(weight(&groups[*at]))).sum();
        for at in &fitting {
            let share = (u64::from(weight(&groups[*at])) * u64::from(*percent)).div_ceil(total.max(1));
            if share > 0 {
                // No more than the percentage.
                groups[*at].load_balancing_weight = Some(share as u32);
            }
        }
        taken.extend(fitting);
    }
    for (_, group) in groups.iter_mut().enumerate().filter(|(at, _)| !taken.contains(at)) {
        group.lb_endpoints.clear();
    }
}

/// The nearest come first among those that were alike before.
fn add_distances(groups: &mut [LocalityLbEndpoints], failover: &[Failover], own: &Locality) {
    let distance = |group: &LocalityLbEndpoints| {
        let there = group.locality.clone().unwrap_or_default();
        match () {
            () if there == *own => 0,
            () if (&there.region, &there.zone) == (&own.region, &own.zone) => 1,
            () if there.region == own.region => 2,
            () => match failover.iter().find(|failover| failover.from == own.region) {
                Some(failover) if failover.to != there.region => 4,
                _ => 3,
            },
        }
    };
    for group in groups {
        group.priority = group.priority * DISTANCES + distance(group);
    }
}

/// Envoy takes priorities from 0 without one left out.
fn close_gaps(groups: &mut [LocalityLbEndpoints]) {
    let priorities: BTreeSet<u32> = groups.iter().map(|group| group.priority).collect();
    for group in groups {
        let before = priorities.range(..group.priority).count();
        group.priority = u32::try_from(before).unwrap_or(u32::MAX);
    }
}

fn is_at(group: &LocalityLbEndpoints, place: &str) -> bool {
    group.locality.as_ref().map_or_else(|| matches(place, &Locality::default()), |locality| matches(place, locality))
}

/// What is left out of a rule, or `*`, fits everything; a region must be there.
fn matches(rule: &str, locality: &Locality) -> bool {
    let rule = parse(rule);
    let part = |rule: &str, part: &str| matches!(rule, "*" | "") || rule == part;
    (rule.region == "*" || rule.region == locality.region)
        && part(&rule.zone, &locality.zone)
        && part(&rule.sub_zone, &locality.sub_zone)
}

fn weight(group: &LocalityLbEndpoints) -> u32 {
    group.load_balancing_weight.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use xds_api::envoy::config::endpoint::v3::LbEndpoint;

    use super::*;
    use crate::object::destination_rule::{LoadBalancing, LocalityBalancing, OutlierDetection};

    fn groups(localities: &[(&str, u32)]) -> Vec<LocalityLbEndpoints> {
        let group = |(locality, weight): &(&str, u32)| LocalityLbEndpoints {
            locality: Some(parse(locality)),
            load_balancing_weight: Some(*weight),
            lb_endpoints: vec![LbEndpoint::default()],
            ..LocalityLbEndpoints::default()
        };
        localities.iter().map(group).collect()
    }

    fn policy(balancing: LocalityBalancing, outlier: bool) -> TrafficPolicy {
        TrafficPolicy {
            load_balancer: Some(LoadBalancing { locality: Some(balancing), ..LoadBalancing::default() }),
            outlier_detection: outlier.then(OutlierDetection::default),
            ..TrafficPolicy::default()
        }
    }

    const NOTHING: LocalityBalancing = LocalityBalancing {
        enabled: true,
        distribute: Vec::new(),
        failover: Vec::new(),
        failover_priority: Vec::new(),
    };

    #[test]
    fn shares_are_divided_among_the_groups_of_a_place() {
        let to = BTreeMap::from([("r1/*".to_owned(), 70), ("r2/z1".to_owned(), 30)]);
        let other = Distribution { from: "r9/*".to_owned(), to: BTreeMap::new() };
        let distribute = vec![other, Distribution { from: "*".to_owned(), to }];
        let mut groups = groups(&[("r1/z1", 1), ("r1/z2", 2), ("r2/z1/s", 5), ("r3", 9)]);
        balance(&mut groups, &policy(LocalityBalancing { distribute, ..NOTHING }, true), &parse("r1/z1"));
        let weights: Vec<_> = groups.iter().map(|group| group.load_balancing_weight.unwrap()).collect();
        assert_eq!(weights, [24, 47, 30, 9]);
        let sizes: Vec<_> = groups.iter().map(|group| group.lb_endpoints.len()).collect();
        assert_eq!(sizes, [1, 1, 1, 0]);
        assert!(groups.iter().all(|group| group.priority == 0));
    }

    fn priorities(failover: &[(&str, &str)], outlier: bool) -> Vec<u32> {
        let failover = failover.iter().map(|(from, to)| Failover { from: (*from).into(), to: (*to).into() }).collect();
        let mut groups = groups(&[("r1/z1/s1", 1), ("r1/z1/s2", 1), ("r1/z2", 1), ("r2", 1), ("r3", 1)]);
        balance(&mut groups, &policy(LocalityBalancing { failover, ..NOTHING }, outlier), &parse("r1/z1/s2"));
        groups.iter().map(|group| group.priority).collect()
    }

    #[test]
    fn with_outlier_detection_the_nearest_come_first() {
        assert_eq!(priorities(&[], true), [1, 0, 2, 3, 3]);
        assert_eq!(priorities(&[("r1", "r3")], true), [1, 0, 2, 4, 3]);
        assert_eq!(priorities(&[("r9", "r3")], true), [1, 0, 2, 3, 3]);
        assert_eq!(priorities(&[], false), [0; 5]);
    }

    #[test]
    fn places_may_be_switched_off() {
        let mut groups = groups(&[("r1", 1), ("r2", 1)]);
        balance(&mut groups, &policy(LocalityBalancing { enabled: false, ..NOTHING }, true), &parse("r1"));
        assert!(groups.iter().all(|group| group.priority == 0));
    }
}
