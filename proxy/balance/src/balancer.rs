//! One worker's balancer over the endpoints of one cluster.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use xds_model::cluster::{self, SlowStart};

use crate::by_hash::HashTable;
use crate::endpoints::{EndpointIndex, Endpoints};
use crate::lane::{Lane, Rules};
use crate::locality::Localities;
use crate::previous::PreviousPriorities;
use crate::priority::{self, Share};
use crate::warm_up::WarmUp;

/// Picks endpoints. Active requests are counted on this worker alone.
#[derive(Debug)]
pub struct Balancer {
    endpoints: Arc<Endpoints>,
    rules: Rules,
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
    /// The one that the hash of the request leads to.
    ByHash(HashTable),
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
        Self::build(endpoints, policy, panic_threshold, false, random)
    }

    /// As [`Self::new`], where each locality of a priority gets its share first (`locality_weighted_lb_config`).
    pub fn weighing_localities(
        endpoints: Arc<Endpoints>,
        policy: cluster::Balancer,
        panic_threshold: u8,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        Self::build(endpoints, policy, panic_threshold, true, random)
    }

    fn build(
        endpoints: Arc<Endpoints>,
        policy: cluster::Balancer,
        panic_threshold: u8,
        weighs_localities: bool,
        random: &mut impl FnMut() -> u64,
    ) -> Self {
        let active = endpoints.list().iter().map(|_| Rc::default()).collect();
        let rules = Rules { policy, warm_up: WarmUp::default() };
        let mut balancer = Self { endpoints, rules, panic_threshold, weighs_localities, active, parts: Vec::new() };
        balancer.build_parts(random);
        balancer
    }

    /// The same, where endpoints that are new (see [`Endpoints::compile_after`]) get less than their share.
    pub fn starting_slowly(mut self, rule: SlowStart, now: Instant, random: &mut impl FnMut() -> u64) -> Self {
        self.rules.warm_up = WarmUp::new(Some(rule), now);
        self.build_parts(random);
        self
    }

    /// Says what time it is, which counts for endpoints that are new.
    pub fn pass_time(&mut self, now: Instant) {
        self.rules.warm_up.pass(now);
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

    /// An endpoint for a new request; `None` if none may be used ("no healthy upstream"). Equal hashes lead to one endpoint, where the
    /// policy goes by them; a request without a hash goes anywhere. Allocates nothing.
    pub fn pick(&mut self, hash: Option<u64>, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let hash = self.hash_that_counts(hash, random);
        self.draw(hash, 0, random)
    }

    /// As [`pick`](Self::pick), drawing up to `attempts` times more while `avoid` holds for the endpoint drawn. The last one is taken
    /// even then (`host_selection_retry_max_attempts`). Those of `previous` priorities are drawn only if there are no others.
    pub fn pick_avoiding(
        &mut self,
        hash: Option<u64>,
        random: &mut impl FnMut() -> u64,
        attempts: u32,
        avoid: impl Fn(EndpointIndex) -> bool,
        previous: Option<&mut PreviousPriorities>,
    ) -> Option<EndpointIndex> {
        let hash = self.hash_that_counts(hash, random);
        let shares = previous.and_then(|previous| self.shares_without(previous));
        let mut picked = self.draw_by(shares.as_deref(), hash, 0, random)?;
        for attempt in 1..=attempts {
            if !avoid(picked) {
                break;
            }
            picked = self.draw_by(shares.as_deref(), hash, attempt, random)?;
        }
        Some(picked)
    }

    /// As in Envoy, where the policy goes by hashes, a request without one gets any.
    fn hash_that_counts(&self, hash: Option<u64>, random: &mut impl FnMut() -> u64) -> Option<u64> {
        self.rules.policy.is_by_hash().then(|| hash.unwrap_or_else(random))
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

    fn draw(&mut self, hash: Option<u64>, attempt: u32, random: &mut impl FnMut() -> u64) -> Option<EndpointIndex> {
        let part = match self.parts.as_slice() {
            [Part { up_to: 100.., .. }, ..] => 0,
            parts => {
                let percent = hash.unwrap_or_else(&mut *random) % 100;
                parts.iter().position(|part| percent < u64::from(part.up_to))?
            }
        };
        self.draw_of_part(part, hash, attempt, random)
    }

    fn draw_by(
        &mut self,
        shares: Option<&[Share]>,
        hash: Option<u64>,
        attempt: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Option<EndpointIndex> {
        let Some(shares) = shares else { return self.draw(hash, attempt, random) };
        let mut percent = (hash.unwrap_or_else(&mut *random) % 100) as u32;
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
        self.draw_of_part(part, hash, attempt, random)
    }

    fn draw_of_part(
        &mut self,
        part: usize,
        hash: Option<u64>,
        attempt: u32,
        random: &mut impl FnMut() -> u64,
    ) -> Option<EndpointIndex> {
        let lane = match &mut self.parts.get_mut(part)?.choice {
            Choice::One(lane) => lane,
            Choice::ByLocality(localities) => localities.next()?,
            Choice::ByHash(table) => return table.pick(hash?, attempt).map(EndpointIndex),
        };
        let active = &self.active;
        let requests = |endpoint: u32| active.get(endpoint as usize).map_or(0, |count| count.get());
        lane.pick(&self.endpoints, self.rules.warm_up, requests, random).map(EndpointIndex)
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
        let (endpoints, rules) = (&*self.endpoints, self.rules);
        if let Some(table) = HashTable::new(endpoints, &share, rules.policy, self.weighs_localities) {
            return Part { up_to, endpoints: share.endpoints, choice: Choice::ByHash(table) };
        }
        let weighs = self.weighs_localities && !share.in_panic;
        let localities = weighs.then(|| Localities::new(endpoints, &share, rules, random)).flatten();
        let choice = match localities {
            Some(localities) => Choice::ByLocality(localities),
            None => Choice::One(Lane::new(endpoints, share.endpoints.clone(), rules, random)),
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
