//! Localities that share a part of the load by their weights, each of them among its own endpoints (Envoy, `LocalityWrr`).

use std::sync::Arc;

use crate::deadline::DeadlineQueue;
use crate::endpoints::{Endpoint, Endpoints};
use crate::lane::{Lane, Rules};
use crate::priority::Share;

/// The localities of one part of the load.
#[derive(Debug)]
pub(crate) struct Localities {
    turns: DeadlineQueue,
    /// What each weighs now, and its endpoints.
    lanes: Vec<(f64, Lane)>,
}

impl Localities {
    /// `None` if no locality has any weight: then all endpoints share alike.
    pub(crate) fn new(
        endpoints: &Endpoints,
        share: &Share,
        rules: Rules,
        random: &mut impl FnMut() -> u64,
    ) -> Option<Self> {
        let priority = endpoints.slice(&share.priority);
        let mut lanes = Vec::new();
        let mut start = share.endpoints.start;
        for group in endpoints.slice(&share.endpoints).chunk_by(is_of_one) {
            let range = start..start + group.len() as u32;
            start = range.end;
            let weight = effective_weight(group, priority, endpoints.overprovisioning_factor);
            if weight > 0.0 {
                lanes.push((weight, Lane::new(endpoints, range, rules, random)));
            }
        }
        let turns = DeadlineQueue::new((0..).zip(lanes.iter().map(|(weight, _)| *weight)), random);
        (!lanes.is_empty()).then_some(Self { turns, lanes })
    }

    /// The endpoints of the locality whose turn it is.
    pub(crate) fn next(&mut self) -> Option<&mut Lane> {
        let lanes = &self.lanes;
        let turn = self.turns.pick(|locality| lanes.get(locality as usize).map_or(1.0, |(weight, _)| *weight))?;
        self.lanes.get_mut(turn as usize).map(|(_, lane)| lane)
    }
}

/// A locality of which some endpoints cannot be used weighs less, unless those that are left can take it all.
fn effective_weight(usable: &[Endpoint], priority: &[Endpoint], overprovisioning_factor: u32) -> f64 {
    let Some(first) = usable.first() else { return 0.0 };
    let all = priority.iter().filter(|endpoint| is_of_one(endpoint, first)).count();
    let available = f64::from(overprovisioning_factor) / 100.0 * usable.len() as f64 / all.max(1) as f64;
    f64::from(first.locality_weight) * available.min(1.0)
}

/// Whether two are of the same entry of the assignment.
fn is_of_one(one: &Endpoint, other: &Endpoint) -> bool {
    Arc::ptr_eq(&one.locality, &other.locality)
}
