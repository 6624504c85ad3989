//! The connections of a worker to one endpoint: HTTP/1 ones, for one request at a time each and the last used first, and HTTP/2 ones,
//! which requests share.

mod connection;
mod count;
mod http2;
mod idle;
mod lent;
mod open;
mod security;
mod target;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use balance::outlier::Outcome;
use balance::{Breaker, Endpoint};
use tokio::sync::Notify;

pub use self::connection::UpstreamConnection;
use self::count::Queued;
pub use self::http2::SharedConnection;
use self::http2::SharedConnections;
use self::idle::IdleConnections;
pub use self::lent::Lent;
pub use self::target::Target;
use super::ClusterCounters;
use super::connector::{ConnectFailure, Http, Wanted};
use super::outliers::Monitor;
use crate::config::snapshot::ClusterSnapshot;
use crate::worker::Core;
use crate::worker::timer::Alarm;

/// How often a request that waits for a connection asks the circuit breaker again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections of a worker to one endpoint.
#[derive(Debug)]
pub struct Pool {
    core: Rc<Core>,
    counters: Arc<ClusterCounters>,
    target: RefCell<Rc<Target>>,
    idle: IdleConnections,
    shared: SharedConnections,
    /// The endpoint agreed on HTTP/1.1 when it was last asked by ALPN.
    chose_http1: Cell<bool>,
    /// Of both protocols, idle ones included.
    open: Cell<u32>,
    /// The endpoint is gone.
    closed: Cell<bool>,
    /// Requests that wait for a connection to come back.
    queued: Cell<u32>,
    returned: Notify,
}

/// Why there is no connection for a request.
#[derive(Debug)]
pub enum ObtainFailure {
    /// A circuit breaker is open.
    Overflow,
    /// Connecting failed.
    Connect(ConnectFailure),
    /// The endpoint vanished while the request waited.
    Gone,
}

impl Pool {
    pub(super) fn new(
        endpoint: &Endpoint,
        snapshot: &ClusterSnapshot,
        breaker: &Breaker,
        monitor: Option<Monitor>,
        counters: &Arc<ClusterCounters>,
        core: &Rc<Core>,
    ) -> Rc<Self> {
        Rc::new(Self {
            core: core.clone(),
            counters: counters.clone(),
            target: RefCell::new(Rc::new(Target::new(endpoint, snapshot, breaker, monitor))),
            idle: IdleConnections::default(),
            shared: SharedConnections::default(),
            chose_http1: Cell::new(false),
            open: Cell::new(0),
            closed: Cell::new(false),
            queued: Cell::new(0),
            returned: Notify::new(),
        })
    }

    /// What the endpoint is like now.
    pub fn target(&self) -> Rc<Target> {
        self.target.borrow().clone()
    }

    /// Whether anybody wants to know what becomes of tries with the endpoint.
    pub fn is_monitored(&self) -> bool {
        self.target.borrow().monitor.is_some()
    }

    /// Takes note of what became of a try with the endpoint.
    pub fn report(&self, outcome: Outcome) {
        if let Some(monitor) = &self.target.borrow().monitor {
            monitor.report(outcome);
        }
    }

    /// A connection that is free for a request, if there is one. No system call.
    pub fn checkout(&self, wanted: &Wanted<'_>) -> Option<Lent> {
        if self.queued.get() > 0 {
            return None;
        }
        self.take_free(wanted)
    }

    /// A connection for one request: a free one, a new one, or the next that becomes free if no more may be opened.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn obtain(self: &Rc<Self>, wanted: &Wanted<'_>) -> Result<Lent, ObtainFailure> {
        if let Some(connection) = self.checkout(wanted) {
            return Ok(connection);
        }
        let Some(_pending) = self.target().breaker.pending_requests.acquire() else {
            self.counters.upstream_rq_pending_overflow.increment();
            return Err(ObtainFailure::Overflow);
        };
        self.counters.upstream_rq_pending_total.increment();
        let _waiting = self.counters.upstream_rq_pending_active.hold();
        let mut overflowed = false;
        loop {
            if self.closed.get() {
                return Err(ObtainFailure::Gone);
            }
            if self.expects_to_share(wanted) && self.shared.wait().await.inspect_err(|_| self.ejected())? {
                if let Some(connection) = self.take_free(wanted) {
                    return Ok(connection);
                }
                continue;
            }
            // As it is now: a request that has waited must not go out by rules that are not in force any more.
            let target = self.target();
            if let Some(permit) = self.permit(&target, &mut overflowed) {
                let connected = self.open(&target, wanted, permit).await;
                return connected.inspect_err(|_| self.ejected()).map_err(ObtainFailure::Connect);
            }
            if self.idle.drop_unfit(&target, wanted) {
                continue;
            }
            self.shared.retire_unfit(&target, wanted);
            self.shared.tell_of_room();
            self.next_return().await;
            if let Some(connection) = self.take_free(wanted) {
                return Ok(connection);
            }
        }
    }

    /// A request fails because its connection did.
    fn ejected(&self) {
        self.counters.upstream_rq_pending_failure_eject.increment();
    }

    /// Tells it what its endpoint is like now.
    pub(super) fn refresh(
        &self,
        endpoint: &Endpoint,
        snapshot: &ClusterSnapshot,
        breaker: &Breaker,
        monitor: Option<Monitor>,
    ) {
        *self.target.borrow_mut() = Rc::new(Target::new(endpoint, snapshot, breaker, monitor));
    }

    /// The endpoint is gone: idle connections close now, the others after their request.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.idle.drop_where(|_| true);
        self.shared.retire();
        self.returned.notify_waiters();
    }

    /// Closes idle connections that the other side closed, or that were idle for too long.
    pub(super) fn sweep(&self) {
        let timeout = self.target.borrow().model.idle_timeout;
        let now = self.core.io.clock.now();
        self.idle.drop_where(|connection| {
            let expired =
                timeout.is_some_and(|timeout| now.saturating_duration_since(connection.idle_since) >= timeout);
            if expired {
                self.counters.upstream_cx_idle_timeout.increment();
            }
            expired || !connection.stream.is_quiet()
        });
    }

    fn take_free(&self, wanted: &Wanted<'_>) -> Option<Lent> {
        let target = self.target.borrow();
        if wanted.http.may_be_shared()
            && let Some(connection) = self.shared.ready(&target, wanted)
        {
            return Some(Lent::Http2(connection));
        }
        if wanted.http.may_be_exclusive() { self.idle.take(&target, wanted).map(Lent::Http1) } else { None }
    }

    /// Whether a request waits for the connection that another one opens. Of an endpoint whose protocol ALPN decides HTTP/2 is assumed until it
    /// chose HTTP/1.1, as in Envoy: then each request needs a connection of its own.
    fn expects_to_share(&self, wanted: &Wanted<'_>) -> bool {
        match wanted.http {
            Http::Version2 => true,
            Http::Negotiated => !self.chose_http1.get(),
            Http::Version1 | Http::None => false,
        }
    }

    /// Waits for a connection of this pool, but not for ever: the circuit breaker may have room again thanks to another one.
    async fn next_return(&self) {
        let _queued = Queued::new(&self.queued);
        let alarm = Alarm::new(&self.core.timers);
        alarm.set_after(Some(LOOK_AGAIN));
        alarm.limit(self.returned.notified()).await;
    }

    fn connection_gone(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        if self.queued.get() > 0 {
            self.returned.notify_one();
        }
    }
}
