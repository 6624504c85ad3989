//! One cluster in use on one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use balance::{ActiveRequest, Balancer, Breaker, Endpoint, EndpointIndex, Endpoints, Permit, PreviousPriorities};
use tokio::sync::Notify;
use xds_model::cluster as model;

use super::ClusterCounters;
use super::outliers::Outliers;
use super::pool::Pool;
use crate::config::snapshot::{ClientTransport, ClusterSnapshot};
use crate::worker::Core;

/// A cluster that something uses: its balancer, its pools and its counters.
#[derive(Debug)]
pub struct Cluster {
    name: Arc<str>,
    core: Rc<Core>,
    counters: Arc<ClusterCounters>,
    state: RefCell<State>,
    endpoints_arrived: Notify,
    retired: Cell<bool>,
}

#[derive(Debug)]
struct State {
    snapshot: Arc<ClusterSnapshot>,
    breaker: Breaker,
    balancer: Option<Balancer>,
    /// As the control plane said last, before any are left out.
    endpoints: Option<Arc<Endpoints>>,
    outliers: Option<Outliers>,
    /// By endpoint index; made at first use.
    pools: Vec<Option<Rc<Pool>>>,
}

/// An endpoint chosen for one try. The endpoint counts as busy until this is dropped.
#[derive(Debug)]
pub struct Pick {
    /// The connections to the endpoint.
    pub pool: Rc<Pool>,
    /// That of the endpoint; 0 is used first.
    pub priority: u32,
    _active: ActiveRequest,
}

/// Why no endpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickFailure {
    /// The endpoints are not known yet; see [`Cluster::endpoints_known`].
    Warming,
    /// None may be used.
    NoHealthyUpstream,
}

impl Cluster {
    /// Of a snapshot, without any connection yet.
    pub(super) fn new(name: Arc<str>, snapshot: Arc<ClusterSnapshot>, core: &Rc<Core>) -> Rc<Self> {
        let counters = core.process.registry.register(ClusterCounters::new(format!("cluster.{name}.")));
        let breaker = core.process.breaker(&name, snapshot.model.limits);
        let mut state = State {
            snapshot: snapshot.clone(),
            breaker,
            balancer: None,
            endpoints: None,
            outliers: None,
            pools: Vec::new(),
        };
        state.watch_outliers(&name, core);
        state.use_endpoints(snapshot.endpoints.as_ref(), core);
        Rc::new(Self {
            name,
            core: core.clone(),
            counters,
            state: RefCell::new(state),
            endpoints_arrived: Notify::new(),
            retired: Cell::new(false),
        })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its counters on this worker.
    pub fn counters(&self) -> &ClusterCounters {
        &self.counters
    }

    /// As the control plane said.
    pub fn model(&self) -> Arc<model::Cluster> {
        self.state.borrow().snapshot.model.clone()
    }

    /// What it speaks.
    pub fn protocol(&self) -> model::UpstreamProtocol {
        self.state.borrow().snapshot.model.protocol
    }

    /// Whether `istio.alpn` is switched off for it.
    pub fn keeps_its_protocols(&self) -> bool {
        self.state.borrow().snapshot.model.istio.alpn_override_disabled
    }

    /// The right to one more request under way; `None` if its circuit breaker allows no more.
    pub fn admit_request(&self) -> Option<Permit> {
        self.state.borrow().breaker.requests.acquire()
    }

    /// The right to one more retry under way; `None` if its circuit breaker allows no more.
    pub fn admit_retry(&self) -> Option<Permit> {
        self.state.borrow().breaker.admit_retry()
    }

    /// Whether it was removed; whoever holds it must look it up again.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether the hash of a request decides where it goes.
    pub fn balances_by_hash(&self) -> bool {
        self.state.borrow().snapshot.model.balancer.is_by_hash()
    }

    /// Chooses an endpoint, by the hash of the request if the cluster balances by it. Endpoints of `tried` are drawn again up to
    /// `attempts` times; of `previous` priorities is what [`Balancer::pick_avoiding`] says.
    ///
    /// # Errors
    /// There is none to choose.
    pub fn pick(
        &self,
        hash: Option<u64>,
        tried: &[Rc<Pool>],
        attempts: u32,
        previous: Option<&mut PreviousPriorities>,
    ) -> Result<Pick, PickFailure> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.outliers.as_ref().is_some_and(|outliers| outliers.have_changed(&self.core)) {
            state.arrange(&self.core);
        }
        let balancer = state.balancer.as_mut().ok_or(PickFailure::Warming)?;
        if state.snapshot.model.slow_start.is_some() {
            balancer.pass_time(self.core.io.clock.now());
        }
        let mut random = || self.core.random.next();
        let picked = if tried.is_empty() && previous.is_none() {
            balancer.pick(hash, &mut random)
        } else {
            let pools = &state.pools;
            let was_tried = |pool: &Rc<Pool>| tried.iter().any(|tried| Rc::ptr_eq(tried, pool));
            let avoid = |index: EndpointIndex| pools.get(index.index()).and_then(Option::as_ref).is_some_and(was_tried);
            balancer.pick_avoiding(hash, &mut random, attempts, avoid, previous)
        };
        let chosen = picked.and_then(|index| {
            let endpoint = balancer.endpoints().get(index)?;
            let slot = state.pools.get_mut(index.index())?;
            let pool = slot.get_or_insert_with(|| {
                let monitor = state.outliers.as_ref().map(|outliers| outliers.monitor(endpoint, &self.core));
                Pool::new(endpoint, &state.snapshot, &state.breaker, monitor, &self.counters, &self.core)
            });
            Some(Pick { pool: pool.clone(), priority: endpoint.priority, _active: balancer.started(index) })
        });
        if chosen.is_none() {
            self.counters.upstream_cx_none_healthy.increment();
        }
        chosen.ok_or(PickFailure::NoHealthyUpstream)
    }

    /// Waits until the endpoints are known.
    pub async fn endpoints_known(&self) {
        while self.state.borrow().balancer.is_none() && !self.retired.get() {
            self.endpoints_arrived.notified().await;
        }
    }

    /// Takes over a new snapshot. Connections to endpoints that stay are kept; those of vanished endpoints finish what is under way.
    pub(super) fn update(&self, snapshot: &Arc<ClusterSnapshot>) {
        let mut state = self.state.borrow_mut();
        if state.snapshot.model.limits != snapshot.model.limits {
            state.breaker = self.core.process.breaker(&self.name, snapshot.model.limits);
        }
        let same_balancer = state.snapshot.model.balancer == snapshot.model.balancer
            && state.snapshot.model.slow_start == snapshot.model.slow_start
            && state.snapshot.model.panic_threshold == snapshot.model.panic_threshold
            && state.snapshot.model.weighs_localities == snapshot.model.weighs_localities;
        if !same_balancer {
            state.rebuild_balancer(snapshot, &self.core);
        }
        state.snapshot = snapshot.clone();
        state.watch_outliers(&self.name, &self.core);
        state.use_endpoints(snapshot.endpoints.as_ref(), &self.core);
        if state.balancer.is_some() {
            self.endpoints_arrived.notify_waiters();
        }
    }

    /// The cluster is gone: what is under way finishes, nothing new begins.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        for pool in self.state.borrow_mut().pools.drain(..).flatten() {
            pool.close();
        }
        self.endpoints_arrived.notify_waiters();
    }

    /// Closes idle connections whose time has come.
    pub(super) fn sweep(&self) {
        for pool in self.state.borrow().pools.iter().flatten() {
            pool.sweep();
        }
    }
}

impl State {
    /// Goes on with these endpoints. Endpoints that were known once stay known while a newer set is on its way.
    fn use_endpoints(&mut self, endpoints: Option<&Arc<Endpoints>>, core: &Rc<Core>) {
        if let Some(endpoints) = endpoints {
            self.endpoints = Some(endpoints.clone());
        }
        self.arrange(core);
    }

    /// Balances between those of the endpoints that are not left out.
    fn arrange(&mut self, core: &Rc<Core>) {
        let Some(endpoints) = &self.endpoints else {
            self.refresh_pools(core);
            return;
        };
        let endpoints = &match &mut self.outliers {
            Some(outliers) => outliers.arrange(endpoints),
            None => endpoints.clone(),
        };
        let mut random = || core.random.next();
        match &mut self.balancer {
            None => {
                self.balancer = Some(new_balancer(endpoints, &self.snapshot.model, core.io.clock.now(), &mut random));
                self.pools = std::iter::repeat_with(|| None).take(endpoints.list().len()).collect();
            }
            Some(balancer) if Arc::ptr_eq(balancer.endpoints(), endpoints) => {}
            Some(balancer) => {
                let carried = endpoints.carried_from(balancer.endpoints());
                let kept =
                    carried.iter().map(|old| old.and_then(|old| self.pools.get_mut(old.index())?.take())).collect();
                for gone in std::mem::replace(&mut self.pools, kept).into_iter().flatten() {
                    gone.close();
                }
                balancer.pass_time(core.io.clock.now());
                balancer.update(endpoints.clone(), &mut random);
            }
        }
        self.refresh_pools(core);
    }

    /// Goes on with the outlier detection that is configured now.
    fn watch_outliers(&mut self, name: &Arc<str>, core: &Rc<Core>) {
        let config = self.snapshot.model.outlier_detection;
        let detector = core.process.outliers(name, config, core.io.clock.now());
        let is_known = match (&self.outliers, &detector) {
            (Some(known), Some(detector)) => known.is(detector),
            (None, None) => true,
            _ => false,
        };
        if !is_known {
            self.outliers = detector.map(|detector| Outliers::new(name, detector, core));
        }
    }

    fn rebuild_balancer(&mut self, snapshot: &ClusterSnapshot, core: &Core) {
        if let Some(balancer) = &self.balancer {
            let endpoints = balancer.endpoints().clone();
            let now = core.io.clock.now();
            self.balancer = Some(new_balancer(&endpoints, &snapshot.model, now, &mut || core.random.next()));
        }
    }

    /// Tells the pools what their endpoint is like now.
    fn refresh_pools(&self, core: &Rc<Core>) {
        let Some(balancer) = &self.balancer else { return };
        for (pool, endpoint) in self.pools.iter().zip(balancer.endpoints().list()) {
            if let Some(pool) = pool {
                let monitor = self.outliers.as_ref().map(|outliers| outliers.monitor(endpoint, core));
                pool.refresh(endpoint, &self.snapshot, &self.breaker, monitor);
            }
        }
    }
}

fn new_balancer(
    endpoints: &Arc<Endpoints>,
    model: &model::Cluster,
    now: Instant,
    random: &mut impl FnMut() -> u64,
) -> Balancer {
    let (endpoints, policy, panic_threshold) = (endpoints.clone(), model.balancer, model.panic_threshold);
    let balancer = match model.weighs_localities {
        true => Balancer::weighing_localities(endpoints, policy, panic_threshold, random),
        false => Balancer::new(endpoints, policy, panic_threshold, random),
    };
    match model.slow_start {
        Some(rule) => balancer.starting_slowly(rule, now, random),
        None => balancer,
    }
}

/// How an endpoint is reached: by the first transport whose criteria its metadata meets, else by the default.
pub(super) fn transport_for(endpoint: &Endpoint, snapshot: &ClusterSnapshot) -> ClientTransport {
    let matches = &snapshot.model.transport.matches;
    let fits = |criteria: &[(String, String)]| {
        criteria.iter().all(|(key, value)| endpoint.transport_match.iter().any(|(k, v)| k == key && v == value))
    };
    let index = matches.iter().position(|candidate| fits(&candidate.criteria)).unwrap_or(matches.len());
    snapshot.transports.get(index).cloned().unwrap_or(ClientTransport::Raw)
}
