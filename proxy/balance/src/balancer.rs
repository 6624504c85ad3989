//! One worker's balancer over the endpoints of one cluster.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use xds_model::cluster;

use crate::endpoints::{EndpointIndex, Endpoints};
use crate::lane::Lane;
use crate::locality::Localities;
use crate::priority;

/// Picks endpoints. Active requests are counted on this worker alone.
#[derive(Debug)]
pub struct Balancer {
    endpoints: Arc<Endpoints>,
    policy: cluster::Balancer,
    panic_threshold: u8,
    weighs_localities: bool,
    /// Requests under way, by endpoint.
    active: Vec<Rc<Cell<u32>>>,
    /// Endpoints that share the load, with the running sum of their percents.
    lanes: Vec<(u32, Choice)>,
}

/// Who may be picked for a part of the load.
#[derive(Debug)]
enum Choice {
    /// Any of these.
    One(Lane),
    /// One of a locality, when it is its turn.
    ByLocality(Localities),
}

/// A request under way; dropping it ends it. It may outlive the version of the endpoints that it was started with.
#[derive(Debug)]
pub struct ActiveRequest(Rc<Cell<u32>>);

impl Balancer {
    /// A balancer with `policy` (`Cluster.lb_policy`) that ignores health where less than `panic_threshold` percent of a priority's
    /// endpoints are available (0: never).
    pub fn new(
        endpoints: Arc<Endpoints>,
        policy: cluster::Balancer,
        panic_threshold: u8,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        let active = endpoints.list().iter().map(|_| Rc::default()).collect();
        let mut balancer =
            Self { endpoints, policy, panic_threshold, weighs_localities: false, active, lanes: Vec::new() };
        balancer.build_lanes(random);
        balancer
    }

    /// As [`Self::new`], where each locality of a priority gets its share first (`locality_weighted_lb_config`).
    pub fn weighing_localities(
        endpoints: Arc<Endpoints>,
        policy: cluster::Balancer,
        panic_threshold: u8,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        let mut balancer = Self::new(endpoints, policy, panic_threshold, random);
        balancer.weighs_localities = true;
        balancer.build_lanes(random);
        balancer
    }

    /// Goes on with other endpoints. Those that stay, by address, keep their active requests.
    pub fn update(&mut self, endpoints: Arc<Endpoints>, random: &mut impl FnMut() -> u64) {
        let carried = endpoints.carried_from(&self.endpoints);
        self.active = carried
            .into_iter()
            .map(|old| old.and_then(|old| self.active.get(old.index())).map(Rc::clone).unwrap_or_default())
            .collect();
        self.endpoints = endpoints;
        self.build_lanes(random);
    }

    /// The endpoints that indices refer to.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// An endpoint for a new request; `None` if none may be used ("no healthy upstream"). Allocates nothing.
    pub fn pick(&mut self, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let choice = match self.lanes.as_mut_slice() {
            [(100.., only)] => only,
            lanes => {
                let percent = random() % 100;
                lanes.iter_mut().find(|(sum, _)| percent < u64::from(*sum)).map(|(_, choice)| choice)?
            }
        };
        let lane = match choice {
            Choice::One(lane) => lane,
            Choice::ByLocality(localities) => localities.next()?,
        };
        let active = &self.active;
        let requests = |endpoint: u32| active.get(endpoint as usize).map_or(0, |count| count.get());
        lane.pick(&self.endpoints, requests, random).map(EndpointIndex)
    }

    /// As [`pick`](Self::pick), drawing up to `attempts` times more while `avoid` holds for the endpoint drawn. The last one is taken
    /// even then (`host_selection_retry_max_attempts`).
    pub fn pick_avoiding(
        &mut self,
        random: &mut impl FnMut() -> u64,
        attempts: u32,
        avoid: impl Fn(EndpointIndex) -> bool,
    ) -> Option<EndpointIndex> {
        let mut picked = self.pick(random)?;
        for _ in 0..attempts {
            if !avoid(picked) {
                break;
            }
            picked = self.pick(random)?;
        }
        Some(picked)
    }

    /// Counts a request to an endpoint until the result is dropped.
    pub fn started(&self, endpoint: EndpointIndex) -> ActiveRequest {
        let count = self.active.get(endpoint.index()).map(Rc::clone).unwrap_or_default();
        count.set(count.get().saturating_add(1));
        ActiveRequest(count)
    }

    fn build_lanes(&mut self, random: &mut impl FnMut() -> u64) {
        let (endpoints, policy, weighs) = (&*self.endpoints, self.policy, self.weighs_localities);
        let mut sum = 0;
        let shares = priority::shares(endpoints, self.panic_threshold).into_iter();
        self.lanes = shares
            .map(|share| {
                sum += share.percent;
                let localities =
                    (weighs && !share.in_panic).then(|| Localities::new(endpoints, &share, policy, random)).flatten();
                let choice = match localities {
                    Some(localities) => Choice::ByLocality(localities),
                    None => Choice::One(Lane::new(endpoints, share.endpoints, policy, random)),
                };
                (sum, choice)
            })
            .collect();
    }

    /// Requests under way to an endpoint on this worker.
    pub fn active_requests(&self, endpoint: EndpointIndex) -> u32 {
        self.active.get(endpoint.index()).map_or(0, |count| count.get())
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
