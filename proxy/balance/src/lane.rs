//! Picking among endpoints that are equally good: least request, round robin, random.

use std::ops::Range;

use xds_model::cluster;

use crate::deadline::DeadlineQueue;
use crate::endpoints::Endpoints;
use crate::warm_up::WarmUp;

/// One set of endpoints and the state of the policy over it.
#[derive(Debug)]
pub(crate) struct Lane {
    endpoints: Range<u32>,
    picker: Picker,
}

/// How endpoints of a lane are picked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) policy: cluster::Balancer,
    pub(crate) warm_up: WarmUp,
}

#[derive(Debug)]
enum Picker {
    /// The least busy of some random endpoints.
    LeastRequest { choices: u32 },
    /// In turn, by weight, where a busy endpoint weighs less.
    WeightedLeastRequest(DeadlineQueue),
    /// In turn.
    RoundRobin { next: u32 },
    /// In turn, by weight.
    WeightedRoundRobin(DeadlineQueue),
    /// Any.
    Random,
}

impl Lane {
    /// As in Envoy, weights cost something only where they differ, and mean nothing to a random choice.
    pub(crate) fn new(
        endpoints: &Endpoints,
        range: Range<u32>,
        rules: Rules,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        let list = endpoints.slice(&range);
        let weighted = list.windows(2).any(|pair| matches!(pair, [left, right] if left.weight != right.weight));
        let weighted = weighted || rules.warm_up.concerns(list);
        // The first turn of who is new comes as soon as that of others: only from then on it counts for less.
        let turns = range.clone().zip(list.iter().map(|endpoint| f64::from(endpoint.weight)));
        let picker = match rules.policy {
            cluster::Balancer::LeastRequest { .. } if weighted => {
                Picker::WeightedLeastRequest(DeadlineQueue::new(turns, random))
            }
            cluster::Balancer::LeastRequest { choices } => Picker::LeastRequest { choices },
            cluster::Balancer::RoundRobin if weighted => Picker::WeightedRoundRobin(DeadlineQueue::new(turns, random)),
            cluster::Balancer::RoundRobin => Picker::RoundRobin { next: uniform(random(), &range) },
            // Those that go by hashes have no lanes.
            cluster::Balancer::Random | cluster::Balancer::RingHash { .. } | cluster::Balancer::Maglev { .. } => {
                Picker::Random
            }
        };
        Self { endpoints: range, picker }
    }

    /// The next endpoint; `active` tells how many requests one has under way.
    pub(crate) fn pick(
        &mut self,
        endpoints: &Endpoints,
        warm_up: WarmUp,
        active: impl Fn(u32) -> u32,
        random: &mut impl FnMut() -> u64,
    ) -> Option<u32> {
        let range = &self.endpoints;
        let weight =
            |endpoint| endpoints.list().get(endpoint as usize).map_or(1.0, |endpoint| warm_up.weight(endpoint));
        match &mut self.picker {
            Picker::LeastRequest { choices } => Some(least_busy(range, *choices, active, random)),
            // `active_request_bias` is 1.0, Envoy's default; istiod does not set it.
            Picker::WeightedLeastRequest(queue) => {
                queue.pick(|endpoint: u32| weight(endpoint) / (f64::from(active(endpoint)) + 1.0))
            }
            Picker::RoundRobin { next } => {
                let endpoint = *next;
                *next = if endpoint + 1 < range.end { endpoint + 1 } else { range.start };
                Some(endpoint)
            }
            Picker::WeightedRoundRobin(queue) => queue.pick(weight),
            Picker::Random => Some(uniform(random(), range)),
        }
    }
}

/// Envoy draws with replacement, and the first drawn wins a tie.
fn least_busy(range: &Range<u32>, choices: u32, active: impl Fn(u32) -> u32, random: &mut impl FnMut() -> u64) -> u32 {
    if range.len() == 1 {
        return range.start;
    }
    let mut best = uniform(random(), range);
    let mut fewest = active(best);
    for _ in 1..choices {
        let other = uniform(random(), range);
        let requests = active(other);
        if requests < fewest {
            (best, fewest) = (other, requests);
        }
    }
    best
}

/// A member of a range that is not empty.
fn uniform(random: u64, range: &Range<u32>) -> u32 {
    let length = u64::from(range.end.saturating_sub(range.start));
    range.start + random.checked_rem(length).unwrap_or(0) as u32
}
