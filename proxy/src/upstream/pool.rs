//! The connections of a worker to one endpoint: HTTP/1 ones, for one request at a time each and the last used first, and HTTP/2 ones,
//! which requests share.

mod connection;
mod count;
mod http2;
mod lent;
mod security;
mod target;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use balance::{Breaker, Endpoint, Permit};
use tokio::sync::Notify;

pub use self::connection::UpstreamConnection;
use self::count::{Opening, Queued};
pub use self::http2::SharedConnection;
use self::http2::SharedConnections;
pub use self::lent::Lent;
pub use self::target::Target;
use super::ClusterCounters;
use super::connector::{self, ConnectFailure, Connected, Http, Wanted};
use crate::config::snapshot::ClusterSnapshot;
use crate::worker::Core;
use crate::worker::timer::Alarm;

/// The endpoint may take this long to take what was sent last on a connection that closes.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// How often a request that waits for a connection asks the circuit breaker again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections of a worker to one endpoint.
#[derive(Debug)]
pub struct Pool {
    core: Rc<Core>,
    counters: Arc<ClusterCounters>,
    target: RefCell<Rc<Target>>,
    #[allow(clippy::vec_box, reason = "a connection moves between the pool and its request")]
    idle: RefCell<Vec<Box<UpstreamConnection>>>,
    shared: SharedConnections,
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
        counters: &Arc<ClusterCounters>,
        core: &Rc<Core>,
    ) -> Rc<Self> {
        Rc::new(Self {
            core: core.clone(),
            counters: counters.clone(),
            target: RefCell::new(Rc::new(Target::new(endpoint, snapshot, breaker))),
            idle: RefCell::default(),
            shared: SharedConnections::default(),
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
        loop {
            if self.closed.get() {
                return Err(ObtainFailure::Gone);
            }
            if wanted.http.may_be_shared() && self.shared.wait().await.inspect_err(|_| self.ejected())? {
                if let Some(connection) = self.take_free(wanted) {
                    return Ok(connection);
                }
                continue;
            }
            // As it is now: a request that has waited must not go out by rules that are not in force any more.
            let target = self.target();
            if let Some(permit) = self.permit(&target) {
                let connected = self.open(&target, wanted, permit).await;
                return connected.inspect_err(|_| self.ejected()).map_err(ObtainFailure::Connect);
            }
            if self.drop_unfit_idle(&target, wanted) {
                continue;
            }
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

    /// A connection of its own for a TCP client, never one that served requests. It is closed by dropping it.
    ///
    /// # Errors
    /// There is none to be had; nothing is waited for when the circuit breaker is open.
    pub async fn dial(self: &Rc<Self>, wanted: &Wanted<'_>) -> Result<Box<UpstreamConnection>, ObtainFailure> {
        if self.closed.get() {
            return Err(ObtainFailure::Gone);
        }
        let target = self.target();
        let Some(permit) = target.breaker.connections.acquire() else {
            self.counters.upstream_cx_overflow.increment();
            return Err(ObtainFailure::Overflow);
        };
        let connected = self.connect(&target, wanted).await.map_err(ObtainFailure::Connect)?;
        let mut connection = UpstreamConnection::new(self, &target, wanted, connected, permit);
        connection.counted = true;
        Ok(connection)
    }

    /// Tells it what its endpoint is like now.
    pub(super) fn refresh(&self, endpoint: &Endpoint, snapshot: &ClusterSnapshot, breaker: &Breaker) {
        *self.target.borrow_mut() = Rc::new(Target::new(endpoint, snapshot, breaker));
    }

    /// The endpoint is gone: idle connections close now, the others after their request.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.drop_idle(|_| true);
        self.shared.retire();
        self.returned.notify_waiters();
    }

    /// Closes idle connections that the other side closed, or that were idle for too long.
    pub(super) fn sweep(&self) {
        let timeout = self.target.borrow().model.idle_timeout;
        let now = self.core.io.clock.now();
        self.drop_idle(|connection| {
            let expired =
                timeout.is_some_and(|timeout| now.saturating_duration_since(connection.idle_since) >= timeout);
            if expired {
                self.counters.upstream_cx_idle_timeout.increment();
            }
            expired || !connection.stream.is_quiet()
        });
    }

    fn drop_idle(&self, mut doomed: impl FnMut(&UpstreamConnection) -> bool) {
        let mut dropped = Vec::new();
        let mut idle = self.idle.borrow_mut();
        let mut index = 0;
        while index < idle.len() {
            if idle.get(index).is_some_and(|connection| doomed(connection)) {
                dropped.push(idle.swap_remove(index));
            } else {
                index += 1;
            }
        }
        drop(idle);
        drop(dropped); // a dropped connection looks at its pool
    }

    /// Closes the oldest idle connection if it is of no use for the request; `true` if there was one.
    fn drop_unfit_idle(&self, target: &Target, wanted: &Wanted<'_>) -> bool {
        let unfit = {
            let mut idle = self.idle.borrow_mut();
            let index = idle.iter().position(|connection| !connection.fits(&target.transport, wanted));
            index.map(|index| idle.remove(index))
        };
        unfit.is_some() // dropped here: a dropped connection looks at its pool
    }

    fn take_free(&self, wanted: &Wanted<'_>) -> Option<Lent> {
        let target = self.target.borrow();
        if wanted.http.may_be_shared()
            && let Some(connection) = self.shared.ready(&target, wanted)
        {
            return Some(Lent::Http2(connection));
        }
        match wanted.http {
            Http::Version2 | Http::None => None,
            Http::Version1 | Http::Negotiated => self.take_idle(&target, wanted).map(Lent::Http1),
        }
    }

    fn take_idle(&self, target: &Target, wanted: &Wanted<'_>) -> Option<Box<UpstreamConnection>> {
        loop {
            let connection = {
                let mut idle = self.idle.borrow_mut();
                let index = idle.iter().rposition(|connection| connection.fits(&target.transport, wanted))?;
                idle.remove(index)
            };
            if connection.stream.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// The right to open another connection. An endpoint without any always gets one, as in Envoy, so that requests get somewhere.
    fn permit(&self, target: &Target) -> Option<Permit> {
        if let Some(permit) = target.breaker.connections.acquire() {
            return Some(permit);
        }
        self.counters.upstream_cx_overflow.increment();
        (self.open.get() == 0).then(|| target.breaker.connections.acquire_beyond())
    }

    /// Opens a connection for a request, and more if others can share it.
    async fn open(
        self: &Rc<Self>,
        target: &Target,
        wanted: &Wanted<'_>,
        permit: Permit,
    ) -> Result<Lent, ConnectFailure> {
        let begun = wanted.http.may_be_shared().then(|| self.shared.begin());
        let connected = match self.connect(target, wanted).await {
            Ok(connected) => connected,
            Err(failure) => {
                if let Some(begun) = begun {
                    begun.failed(&failure);
                }
                return Err(failure);
            }
        };
        let is_http2 = match wanted.http {
            Http::Version1 | Http::None => false,
            Http::Version2 => true,
            Http::Negotiated => {
                connected.stream.session(|session| session.alpn_protocol() == Some(b"h2")) == Some(true)
            }
        };
        if is_http2 {
            let shared = self.share(target, wanted, connected, permit);
            if wanted.is_upgrade {
                // Extended CONNECT must be offered before it is used (RFC 8441 section 3).
                shared.settled().await;
            }
            return Ok(Lent::Http2(shared));
        }
        self.counters.upstream_cx_http1_total.increment();
        Ok(Lent::Http1(UpstreamConnection::new(self, target, wanted, connected, permit)))
    }

    async fn connect(self: &Rc<Self>, target: &Target, wanted: &Wanted<'_>) -> Result<Connected, ConnectFailure> {
        let opening = Opening::new(self);
        // Boxed: connecting is rare and its state is large.
        let connected =
            Box::pin(connector::connect(&self.core, &target.model, &target.endpoint, &target.transport, wanted)).await;
        let connected = connected.inspect_err(|failure| {
            self.counters.upstream_cx_connect_fail.increment();
            if *failure == ConnectFailure::Timeout {
                self.counters.upstream_cx_connect_timeout.increment();
            }
        })?;
        opening.succeeded();
        Ok(connected)
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
