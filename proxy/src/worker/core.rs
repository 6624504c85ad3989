//! What every part of a worker needs.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use balance::{Breaker, Limit};
use hashbrown::HashMap;
use xds_model::cluster::CircuitBreaker;

use super::clock::Clock;
use super::random::Random;
use super::tasks::Tasks;
use super::timer::Timers;
use crate::http::replay_limit;
use crate::io::Io;
use crate::overload::{ConnectionLimitSettings, Overload};
use crate::telemetry::counter::Registry;

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
    /// What there is too much of.
    pub overload: Overload,
    /// Circuit breakers count over the whole process.
    breakers: Mutex<HashMap<Arc<str>, (CircuitBreaker, Breaker)>>,
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
            local_address,
            host_name,
            replay_limit: replay_limit(),
            breakers: Mutex::default(),
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
    /// The tasks that serve clients.
    pub tasks: Tasks,
    /// The tasks that drive shared connections to endpoints; nobody waits for their end.
    pub background: Tasks,
    /// What all workers share.
    pub process: Arc<Process>,
}

impl Core {
    /// For one worker.
    pub fn new(process: Arc<Process>) -> Rc<Self> {
        let clock = Rc::new(Clock::new());
        Rc::new(Self {
            io: Io::new(clock.clone()),
            timers: Timers::new(clock),
            random: Random::new(),
            tasks: Tasks::default(),
            background: Tasks::default(),
            process,
        })
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
