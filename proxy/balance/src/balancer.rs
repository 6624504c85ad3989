//! One worker's balancer over the endpoints of one cluster.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use xds_model::cluster;

use crate::endpoints::{EndpointIndex, Endpoints};
use crate::lane::Lane;
use crate::locality::Localities;
use crate::previous::PreviousPriorities;
use crate::priority::{self, Share};

/// Picks endpoints. Active requests are counted on this worker alone.
#[derive(Debug)]
pub struct Balancer {
    endpoints: Arc<Endpoints>,
    policy: cluster::Balancer,
    panic_threshold: u8,
    weighs_localities: bool,
    /// Requests under way, by endpoint.
    active: Vec<Rc<Cell<u32>>>,
    /// Endpoints that share the load.
    parts: Vec<Part>,
}

/// Endpoints that take a part of the load.
#[derive(Debug)]
struct Part {
    /// The running sum of the percents, with its own; 0 of one that only [`PreviousPriorities`] leave.
    up_to: u32,
    endpoints: Range<u32>,
    choice: Choice,
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
            Self { endpoints, policy, panic_threshold, weighs_localities: false, active, parts: Vec::new() };
        balancer.build_parts(random);
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
        balancer.build_parts(random);
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
        self.build_parts(random);
    }

    /// The endpoints that indices refer to.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// An endpoint for a new request; `None` if none may be used ("no healthy upstream"). Allocates nothing.
    pub fn pick(&mut self, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let part = match self.parts.as_slice() {
            [Part { up_to: 100.., .. }, ..] => 0,
            parts => {
                let percent = random() % 100;
                parts.iter().position(|part| percent < u64::from(part.up_to))?
            }
        };
        self.pick_of_part(part, random)
    }

    /// As [`pick`](Self::pick), drawing up to `attempts` times more while `avoid` holds for the endpoint drawn. The last one is taken
    /// even then (`host_selection_retry_max_attempts`). Those of `previous` priorities are drawn only if there are no others.
    pub fn pick_avoiding(
        &mut self,
        random: &mut impl FnMut() -> u64,
        attempts: u32,
        avoid: impl Fn(EndpointIndex) -> bool,
        previous: Option<&mut PreviousPriorities>,
    ) -> Option<EndpointIndex> {
        let shares = previous.and_then(|previous| self.shares_without(previous));
        let mut picked = self.pick_by(shares.as_deref(), random)?;
        for _ in 0..attempts {
            if !avoid(picked) {
                break;
            }
            picked = self.pick_by(shares.as_deref(), random)?;
        }
        Some(picked)
    }

    /// How the load is divided for who has tried these priorities; `None` for as always.
    fn shares_without(&self, previous: &mut PreviousPriorities) -> Option<Vec<Share>> {
        let left_out = previous.leave_out()?;
        let shares = priority::shares_without(&self.endpoints, self.panic_threshold, left_out);
        shares.or_else(|| {
            previous.begin_again();
            priority::shares_without(&self.endpoints, self.panic_threshold, &[])
        })
    }

    fn pick_by(&mut self, shares: Option<&[Share]>, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let Some(shares) = shares else { return self.pick(random) };
        let mut percent = (random() % 100) as u32;
        let share = shares.iter().find(|share| {
            let is_drawn = percent < share.percent;
            percent = percent.saturating_sub(share.percent);
            is_drawn
        })?;
        let known = self.parts.iter().position(|part| part.endpoints == share.endpoints);
        let part = known.unwrap_or_else(|| {
            self.parts.push(self.new_part(0, share.clone(), random));
            self.parts.len() - 1
        });
        self.pick_of_part(part, random)
    }

    fn pick_of_part(&mut self, part: usize, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let lane = match &mut self.parts.get_mut(part)?.choice {
            Choice::One(lane) => lane,
            Choice::ByLocality(localities) => localities.next()?,
        };
        let active = &self.active;
        let requests = |endpoint: u32| active.get(endpoint as usize).map_or(0, |count| count.get());
        lane.pick(&self.endpoints, requests, random).map(EndpointIndex)
    }

    /// Counts a request to an endpoint until the result is dropped.
    pub fn started(&self, endpoint: EndpointIndex) -> ActiveRequest {
        let count = self.active.get(endpoint.index()).map(Rc::clone).unwrap_or_default();
        count.set(count.get().saturating_add(1));
        ActiveRequest(count)
    }

    fn build_parts(&mut self, random: &mut impl FnMut() -> u64) {
        let mut sum = 0;
        let shares = priority::shares(&self.endpoints, self.panic_threshold).into_iter();
        self.parts = shares
            .map(|share| {
                sum += share.percent;
                self.new_part(sum, share, random)
            })
            .collect();
    }

    fn new_part(&self, up_to: u32, share: Share, random: &mut impl FnMut() -> u64) -> Part {
        let (endpoints, policy) = (&*self.endpoints, self.policy);
        let weighs = self.weighs_localities && !share.in_panic;
        let localities = weighs.then(|| Localities::new(endpoints, &share, policy, random)).flatten();
        let choice = match localities {
            Some(localities) => Choice::ByLocality(localities),
            None => Choice::One(Lane::new(endpoints, share.endpoints.clone(), policy, random)),
        };
        Part { up_to, endpoints: share.endpoints, choice }
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
