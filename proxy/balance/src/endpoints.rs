//! The endpoints of a cluster, as all workers share them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::{HashMap, HashSet};
use xds_model::endpoint::{self, ClusterLoadAssignment, EndpointAddress, Health, Locality, LocalityEndpoints};

/// Envoy's default overprovisioning factor, percent.
const DEFAULT_OVERPROVISIONING: u32 = 140;

/// Position of an endpoint in one version of a cluster's [`Endpoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointIndex(pub u32);

impl EndpointIndex {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One endpoint; an address occurs once in a priority.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Further addresses of the same endpoint (dual stack).
    pub additional_addresses: Box<[EndpointAddress]>,
    /// Its share of the priority's requests; at least 1.
    pub weight: u32,
    /// 0 is used first.
    pub priority: u32,
    /// What the control plane knows of its health.
    pub health: Health,
    /// `envoy.transport_socket_match` metadata, sorted by key.
    pub transport_match: Box<[(String, String)]>,
    /// Region, zone and sub-zone.
    pub locality: Arc<Locality>,
    /// Share of its locality, where the cluster weighs localities.
    pub locality_weight: u32,
    /// `istio.workload` metadata.
    pub workload: Option<Box<str>>,
    /// Since when it is known; `None` if that does not matter.
    pub since: Option<Instant>,
}

/// All endpoints of a cluster, by priority and, within it, healthy ones first, degraded ones next.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoints {
    list: Box<[Endpoint]>,
    pub(crate) priorities: Box<[Priority]>,
    pub(crate) overprovisioning_factor: u32,
}

/// Positions of the endpoints of one priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    /// As the control plane counts them; those without endpoints are missing here.
    pub(crate) number: u32,
    pub(crate) all: Range<u32>,
    pub(crate) healthy: Range<u32>,
    pub(crate) degraded: Range<u32>,
}

impl Endpoints {
    /// Compiles an assignment. An address that occurs several times in a priority becomes one endpoint with the sum of the weights
    /// and the best health: istiod repeats the gateway of a remote network in each locality (Envoy keeps the first copy alone and
    /// loses the rest of the weight, envoyproxy/envoy#22417). Its other properties are those of the first copy.
    pub fn compile(assignment: &ClusterLoadAssignment) -> Self {
        let overprovisioning_factor = match assignment.overprovisioning_factor {
            0 => DEFAULT_OVERPROVISIONING,
            factor => factor,
        };
        Self::arrange(merged(assignment), overprovisioning_factor)
    }

    /// As [`compile`](Self::compile), of a version that comes after `old`: endpoints that are not known yet are so since `now`.
    pub fn compile_after(assignment: &ClusterLoadAssignment, old: Option<&Self>, now: Instant) -> Self {
        let mut endpoints = Self::compile(assignment);
        let carried = old.map(|old| endpoints.carried_from(old)).unwrap_or_default();
        let mut carried = carried.into_iter();
        for endpoint in &mut endpoints.list {
            let known = carried.next().flatten().and_then(|index| old?.get(index));
            endpoint.since = known.map_or(Some(now), |known| known.since);
        }
        endpoints
    }

    /// The same, where some are not to be used: they count as unhealthy.
    pub fn without(&self, ejected: &HashSet<EndpointAddress>) -> Self {
        let mut list = self.list.to_vec();
        for endpoint in list.iter_mut().filter(|endpoint| ejected.contains(&endpoint.address)) {
            endpoint.health = Health::Unhealthy;
        }
        Self::arrange(list, self.overprovisioning_factor)
    }

    /// Those of one locality stay together among those that are equally healthy.
    fn arrange(mut list: Vec<Endpoint>, overprovisioning_factor: u32) -> Self {
        list.sort_by_key(|endpoint| (endpoint.priority, health_order(endpoint.health)));
        Self { priorities: priorities(&list), list: list.into_boxed_slice(), overprovisioning_factor }
    }

    /// All of them, by [`EndpointIndex`].
    pub fn list(&self) -> &[Endpoint] {
        &self.list
    }

    pub(crate) fn slice(&self, range: &Range<u32>) -> &[Endpoint] {
        self.list.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// One of them.
    pub fn get(&self, index: EndpointIndex) -> Option<&Endpoint> {
        self.list.get(index.index())
    }

    /// For each endpoint its position in `old`, by address (an address of several priorities keeps to its own if it can), so that what
    /// a worker keeps for each endpoint can be carried over.
    pub fn carried_from(&self, old: &Self) -> Vec<Option<EndpointIndex>> {
        let positions = || (0u32..).map(EndpointIndex).zip(&old.list);
        let by_address: HashMap<_, _> = positions().map(|(index, endpoint)| (&endpoint.address, index)).collect();
        let exactly: HashMap<_, _> =
            positions().map(|(index, endpoint)| ((endpoint.priority, &endpoint.address), index)).collect();
        let find = |endpoint: &Endpoint| {
            let same_priority = exactly.get(&(endpoint.priority, &endpoint.address));
            same_priority.or_else(|| by_address.get(&endpoint.address)).copied()
        };
        self.list.iter().map(find).collect()
    }
}

fn merged(assignment: &ClusterLoadAssignment) -> Vec<Endpoint> {
    let mut list: Vec<Endpoint> = Vec::new();
    let mut positions: HashMap<(u32, &EndpointAddress), usize> = HashMap::new();
    for group in &assignment.localities {
        let locality = Arc::new(group.locality.clone());
        for endpoint in &group.endpoints {
            let position = *positions.entry((group.priority, &endpoint.address)).or_insert(list.len());
            match list.get_mut(position) {
                Some(known) => {
                    known.weight = known.weight.saturating_add(endpoint.weight);
                    known.health = std::cmp::min_by_key(known.health, endpoint.health, |health| health_order(*health));
                }
                None => list.push(new_endpoint(endpoint, group, &locality)),
            }
        }
    }
    list
}

fn new_endpoint(endpoint: &endpoint::Endpoint, group: &LocalityEndpoints, locality: &Arc<Locality>) -> Endpoint {
    Endpoint {
        address: endpoint.address.clone(),
        additional_addresses: endpoint.additional_addresses.as_slice().into(),
        weight: endpoint.weight.max(1),
        priority: group.priority,
        health: endpoint.health,
        transport_match: endpoint.transport_match.as_slice().into(),
        locality: Arc::clone(locality),
        locality_weight: group.weight,
        workload: endpoint.workload.as_deref().map(Into::into),
        since: None,
    }
}

/// Empty priorities get no requests and change nothing for the others, so only those with endpoints are kept.
fn priorities(list: &[Endpoint]) -> Box<[Priority]> {
    let mut start = 0;
    let groups = list.chunk_by(|left, right| left.priority == right.priority);
    let ranges = groups.map(|group| {
        let end_of = |order| start + group.partition_point(|endpoint| health_order(endpoint.health) <= order) as u32;
        let (healthy_end, degraded_end, end) = (end_of(0), end_of(1), start + group.len() as u32);
        let number = group.first().map_or(0, |endpoint| endpoint.priority);
        let (healthy, degraded) = (start..healthy_end, healthy_end..degraded_end);
        let priority = Priority { number, all: start..end, healthy, degraded };
        start = end;
        priority
    });
    ranges.collect()
}

/// Draining endpoints count as unhealthy, as in Envoy: they get requests in panic only.
fn health_order(health: Health) -> u8 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Unhealthy | Health::Draining => 2,
    }
}

#[cfg(test)]
mod tests;
