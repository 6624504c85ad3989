//! What every part of a worker needs.

use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use balance::outlier::Detector;
use balance::{Breaker, Limit};
use hashbrown::{HashMap, HashSet};
use xds_model::cluster::{CircuitBreaker, OutlierDetection};
use xds_model::endpoint::EndpointAddress;

use super::clock::Clock;
use super::random::Random;
use super::tasks::Tasks;
use super::timer::Timers;
use crate::edge::EdgeNode;
use crate::http::{MinimumRate, replay_limit};
use crate::http2::SpareHeads;
use crate::io::{Driver, Io};
use crate::overload::{ConnectionLimitSettings, Overload};
use crate::telemetry::counter::Registry;
use crate::telemetry::seldom::Seldom;

/// What all workers of the process share.
#[derive(Debug)]
pub struct Process {
    /// All counters.
    pub registry: Registry,
    /// Our own address: it goes into `x-forwarded-for` in place of a loopback peer, as Envoy does.
    pub local_address: IpAddr,
    /// Name of the machine, for `%HOSTNAME%`.
    pub host_name: String,
    /// What is kept of request bodies for another try.
    pub replay_limit: Limit,
    /// What clients must send and take of bodies.
    pub minimum_rate: Option<MinimumRate>,
    /// What drives sockets.
    pub driver: Driver,
    /// What there is too much of.
    pub overload: Overload,
    /// Circuit breakers count over the whole process.
    breakers: Mutex<HashMap<Arc<str>, (CircuitBreaker, Breaker)>>,
    /// So do failures of endpoints.
    outliers: Mutex<HashMap<Arc<str>, Arc<Detector>>>,
}

impl Process {
    /// Without limits of connections.
    pub fn new(local_address: IpAddr, host_name: String) -> Self {
        Self::with_limits(local_address, host_name, &ConnectionLimitSettings::default())
    }

    /// With limits of connections.
    pub fn with_limits(local_address: IpAddr, host_name: String, limits: &ConnectionLimitSettings) -> Self {
        let registry = Registry::default();
        Self {
            overload: Overload::new(limits, &registry),
            registry,
            driver: Driver::default(),
            local_address,
            host_name,
            replay_limit: replay_limit(),
            minimum_rate: None,
            breakers: Mutex::default(),
            outliers: Mutex::default(),
        }
    }

    /// The circuit breakers of a cluster; the same for every worker as long as the thresholds are.
    pub fn breaker(&self, cluster: &Arc<str>, thresholds: CircuitBreaker) -> Breaker {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        if thresholds == CircuitBreaker::UNLIMITED {
            breakers.remove(cluster);
            return Breaker::new(thresholds);
        }
        match breakers.get(cluster) {
            Some((known, breaker)) if *known == thresholds => breaker.clone(),
            _ => {
                let breaker = Breaker::new(thresholds);
                breakers.insert(cluster.clone(), (thresholds, breaker.clone()));
                breaker
            }
        }
    }

    /// The outlier detection of a cluster; the same for every worker as long as it is configured alike.
    pub fn outliers(
        &self,
        cluster: &Arc<str>,
        config: Option<OutlierDetection>,
        now: Instant,
    ) -> Option<Arc<Detector>> {
        let mut outliers = self.outliers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(config) = config else {
            outliers.remove(cluster);
            return None;
        };
        match outliers.get(cluster) {
            Some(known) if *known.config() == config => Some(known.clone()),
            _ => {
                let detector = Arc::new(Detector::new(config, now));
                outliers.insert(cluster.clone(), detector.clone());
                Some(detector)
            }
        }
    }

    /// Endpoints of a cluster that are left out now.
    pub fn ejected(&self, cluster: &str) -> HashSet<EndpointAddress> {
        let outliers = self.outliers.lock().unwrap_or_else(PoisonError::into_inner);
        outliers.get(cluster).map(|detector| detector.ejected()).unwrap_or_default()
    }

    /// Forgets what is known of endpoints of clusters that no worker has any more.
    pub fn forget_unused_outliers(&self) {
        let mut outliers = self.outliers.lock().unwrap_or_else(PoisonError::into_inner);
        outliers.retain(|_, detector| Arc::strong_count(detector) > 1);
    }

    /// Forgets the circuit breakers that no worker holds any more. Until the last request of a removed cluster has ended they
    /// count on: the cluster may come back.
    pub fn forget_unused_breakers(&self) {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.retain(|_, (_, breaker)| breaker.is_shared());
        if breakers.len() < breakers.capacity() / 4 {
            breakers.shrink_to_fit();
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new(IpAddr::V4(Ipv4Addr::LOCALHOST), String::new())
    }
}

/// What every part of a worker needs: connections, time, chance, tasks.
#[derive(Debug)]
pub struct Core {
    /// Connections.
    pub io: Rc<Io>,
    /// Deadlines.
    pub timers: Rc<Timers>,
    /// Random numbers.
    pub random: Random,
    /// Memory for heads of HTTP/2.
    pub spare_heads: Rc<SpareHeads>,
    /// The tasks that serve clients.
    pub tasks: Tasks,
    /// The tasks that drive shared connections to endpoints; nobody waits for their end.
    pub background: Tasks,
    /// Clients whose HTTP/2 connections were closed because they passed a limit.
    pub client_floods: Seldom,
    /// Endpoints, likewise.
    pub endpoint_floods: Seldom,
    /// Endpoints whose HTTP/2 connections were closed because they broke the protocol.
    pub endpoint_protocol_errors: Seldom,
    /// Endpoints that closed HTTP/2 connections because of something that we did.
    pub endpoint_complaints: Seldom,
    /// The way to other edges, if this process is an edge.
    pub edge: OnceCell<Rc<EdgeNode>>,
    /// What all workers share.
    pub process: Arc<Process>,
}

impl Core {
    /// For one worker.
    ///
    /// # Errors
    /// The system refuses what drives sockets.
    pub fn new(process: Arc<Process>) -> io::Result<Rc<Self>> {
        let clock = Rc::new(Clock::new());
        Ok(Rc::new(Self {
            io: Io::new(clock.clone(), process.driver)?,
            timers: Timers::new(clock),
            random: Random::new(),
            spare_heads: Rc::default(),
            tasks: Tasks::default(),
            background: Tasks::default(),
            client_floods: Seldom::default(),
            endpoint_floods: Seldom::default(),
            endpoint_protocol_errors: Seldom::default(),
            endpoint_complaints: Seldom::default(),
            edge: OnceCell::new(),
            process,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakers_are_forgotten_with_their_last_user() {
        let process = Process::default();
        let known = || process.breakers.lock().unwrap().len();
        let thresholds = CircuitBreaker { max_requests: 1, ..CircuitBreaker::UNLIMITED };
        let name: Arc<str> = "cluster".into();
        let held = process.breaker(&name, thresholds);
        drop(process.breaker(&"gone".into(), thresholds));
        assert_eq!(known(), 2);
        process.forget_unused_breakers();
        assert_eq!(known(), 1);

        let request = held.requests.acquire().unwrap();
        drop(held);
        process.forget_unused_breakers();
        let again = process.breaker(&name, thresholds);
        assert!(again.requests.acquire().is_none(), "the request of before is still under way");
        drop((request, again));
        process.forget_unused_breakers();
        assert_eq!(known(), 0);
    }
}
