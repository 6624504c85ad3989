//! Endpoints that fail are left out for a while (Envoy, `intro/arch_overview/upstream/outlier`).
//!
//! Failures are counted over the whole process: a [`Detector`] belongs to all workers that use a cluster. An answer costs a look at one or two atomic numbers;
//! only an ejection, and the look at who may come back, take a lock. Whoever picks asks [`Detector::generation`] whether anything has changed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use xds_model::cluster::{Consecutive, OutlierDetection};
use xds_model::endpoint::EndpointAddress;

/// What is known of the endpoints of a cluster.
#[derive(Debug)]
pub struct Detector {
    config: OutlierDetection,
    hosts: Mutex<Hosts>,
    /// Grows when somebody is ejected, or comes back.
    generation: AtomicU64,
    begun: Instant,
    /// When to look next at who may come back, in milliseconds since `begun`.
    next_look: AtomicU64,
}

/// Failures of one endpoint in a row.
#[derive(Debug)]
pub struct Host {
    address: EndpointAddress,
    server_errors: AtomicU32,
    gateway_failures: AtomicU32,
    local_failures: AtomicU32,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Answered(u16),
    /// The connection failed, or broke off.
    Failed,
    /// It took too long.
    TimedOut,
    /// There is a connection, and an answer will follow.
    Connected,
    /// There is a connection, and nothing more will be known of it.
    ConnectedForGood,
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing.
    None,
    /// The endpoint is left out.
    Ejected,
    /// It would be, but too many are already.
    Overflow,
}

#[derive(Debug, Default)]
struct Hosts {
    known: HashMap<EndpointAddress, Known>,
    ejected: usize,
}

#[derive(Debug)]
struct Known {
    host: Arc<Host>,
    ejection: Option<Ejection>,
    /// How often it was ejected, less the looks that found it well.
    backoff: u32,
}

#[derive(Debug)]
struct Ejection {
    since: Instant,
    jitter: Duration,
}

impl Detector {
    /// Of a cluster whose endpoints are not known yet.
    pub fn new(config: OutlierDetection, now: Instant) -> Self {
        Self {
            hosts: Mutex::default(),
            generation: AtomicU64::new(0),
            begun: now,
            next_look: AtomicU64::new(milliseconds(config.interval)),
            config,
        }
    }

    /// How it was configured.
    pub fn config(&self) -> &OutlierDetection {
        &self.config
    }

    /// Says which endpoints there are. What is known of those that stay is kept.
    pub fn set_endpoints<'a>(&self, addresses: impl IntoIterator<Item = &'a EndpointAddress>) {
        let mut hosts = self.lock();
        let mut before = std::mem::take(&mut hosts.known);
        for address in addresses {
            let known = before.remove(address).unwrap_or_else(|| Known::new(address));
            hosts.known.entry(address.clone()).or_insert(known);
        }
        hosts.ejected = hosts.known.values().filter(|known| known.ejection.is_some()).count();
    }

    /// The counters of an endpoint, to [`Self::report`] with.
    pub fn host(&self, address: &EndpointAddress) -> Arc<Host> {
        let mut hosts = self.lock();
        hosts.known.entry(address.clone()).or_insert_with(|| Known::new(address)).host.clone()
    }

    /// Takes note of what became of a try.
    pub fn report(&self, host: &Host, outcome: Outcome, now: Instant, random: impl FnMut() -> u64) -> Consequence {
        let local = self.config.split_external_local_origin_errors;
        match outcome {
            Outcome::Answered(status) => self.answered(host, status, now, random),
            Outcome::Failed | Outcome::TimedOut if local => {
                let limit = self.config.consecutive_local_origin_failure;
                self.failed(host, &host.local_failures, limit, now, random)
            }
            Outcome::Connected | Outcome::ConnectedForGood if local => {
                reset(&host.local_failures);
                Consequence::None
            }
            Outcome::Failed => self.answered(host, 503, now, random),
            Outcome::TimedOut => self.answered(host, 504, now, random),
            Outcome::ConnectedForGood => self.answered(host, 200, now, random),
            Outcome::Connected => Consequence::None,
        }
    }

    /// Lets those come back whose time is over, if it is time to look. Cheap if it is not.
    pub fn look(&self, now: Instant) {
        let elapsed = milliseconds(now.saturating_duration_since(self.begun));
        let due = self.next_look.load(Ordering::Relaxed);
        if elapsed < due {
            return;
        }
        let next = elapsed + milliseconds(self.config.interval);
        if self.next_look.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.look_at_all(now);
        }
    }

    /// Changes whenever [`Self::ejected`] does.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Who is left out now.
    pub fn ejected(&self) -> HashSet<EndpointAddress> {
        let hosts = self.lock();
        let ejected = hosts.known.iter().filter(|(_, known)| known.ejection.is_some());
        ejected.map(|(address, _)| address.clone()).collect()
    }

    fn answered(&self, host: &Host, status: u16, now: Instant, mut random: impl FnMut() -> u64) -> Consequence {
        if !(500..600).contains(&status) {
            reset(&host.server_errors);
            reset(&host.gateway_failures);
            return Consequence::None;
        }
        let gateway = if matches!(status, 502..=504) {
            let limit = self.config.consecutive_gateway_failure;
            self.failed(host, &host.gateway_failures, limit, now, &mut random)
        } else {
            reset(&host.gateway_failures);
            Consequence::None
        };
        match self.failed(host, &host.server_errors, self.config.consecutive_5xx, now, random) {
            Consequence::None => gateway,
            consequence => consequence,
        }
    }

    fn failed(
        &self,
        host: &Host,
        counter: &AtomicU32,
        limit: Consecutive,
        now: Instant,
        random: impl FnMut() -> u64,
    ) -> Consequence {
        let failures = counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if failures != limit.failures {
            return Consequence::None;
        }
        reset(counter);
        self.eject(host, limit.enforcing, now, random)
    }

    #[cold]
    fn eject(&self, host: &Host, enforcing: u8, now: Instant, mut random: impl FnMut() -> u64) -> Consequence {
        let mut hosts = self.lock();
        let Hosts { known, ejected } = &mut *hosts;
        let all = known.len();
        let Some(known) = known.get_mut(&host.address).filter(|known| known.ejection.is_none()) else {
            return Consequence::None;
        };
        let is_allowed = (*ejected + 1) * 100 <= usize::from(self.config.max_ejection_percent) * all
            || self.config.always_eject_one_host && *ejected == 0;
        if !is_allowed {
            return Consequence::Overflow;
        }
        if random() % 100 >= u64::from(enforcing) {
            return Consequence::None;
        }
        let most = milliseconds(self.config.max_ejection_time_jitter);
        let jitter = Duration::from_millis(random().checked_rem(most).unwrap_or(0));
        known.ejection = Some(Ejection { since: now, jitter });
        if self.config.base_ejection_time * known.backoff
            < self.config.max_ejection_time + self.config.base_ejection_time
        {
            known.backoff += 1;
        }
        *ejected += 1;
        self.generation.fetch_add(1, Ordering::Release);
        Consequence::Ejected
    }

    #[cold]
    fn look_at_all(&self, now: Instant) {
        let mut hosts = self.lock();
        let Hosts { known, ejected } = &mut *hosts;
        let before = *ejected;
        for known in known.values_mut() {
            let Some(ejection) = &known.ejection else {
                known.backoff = known.backoff.saturating_sub(1);
                continue;
            };
            let time = (self.config.base_ejection_time * known.backoff).min(self.config.max_ejection_time);
            if now.saturating_duration_since(ejection.since) >= time + ejection.jitter {
                known.ejection = None;
                *ejected -= 1;
                let Host { server_errors, gateway_failures, local_failures, .. } = &*known.host;
                [server_errors, gateway_failures, local_failures].into_iter().for_each(reset);
            }
        }
        if *ejected != before {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        // A panic while the lock is held cannot leave them half-changed in a way that matters.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new(address: &EndpointAddress) -> Self {
        let host = Host {
            address: address.clone(),
            server_errors: AtomicU32::new(0),
            gateway_failures: AtomicU32::new(0),
            local_failures: AtomicU32::new(0),
        };
        Self { host: Arc::new(host), ejection: None, backoff: 0 }
    }
}

/// Most are 0 already: other cores are not disturbed for nothing.
fn reset(counter: &AtomicU32) {
    if counter.load(Ordering::Relaxed) != 0 {
        counter.store(0, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
