//! A connection between its requests and within one.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use balance::Permit;

use super::security::Security;
use super::{Pool, Target};
use crate::config::snapshot::ClientTransport;
use crate::io::{Stream, Traffic};
use crate::upstream::connector::{Connected, Wanted};

/// A connection to an endpoint, borrowed by one request at a time.
#[derive(Debug)]
pub struct UpstreamConnection {
    /// The connection.
    pub stream: Stream,
    /// Our side.
    pub local: Option<SocketAddr>,
    /// The other side.
    pub remote: SocketAddr,
    pool: Rc<Pool>,
    served: u32,
    /// Whoever copies its bytes counts them, too.
    pub(super) counted: bool,
    pub(super) idle_since: Instant,
    security: Security,
    _permit: Permit,
}

impl UpstreamConnection {
    pub(super) fn new(
        pool: &Rc<Pool>,
        target: &Target,
        wanted: &Wanted<'_>,
        connected: Connected,
        permit: Permit,
    ) -> Box<Self> {
        pool.counters.upstream_cx_total.increment();
        pool.counters.upstream_cx_active.increment();
        Box::new(Self {
            stream: connected.stream,
            local: connected.local,
            remote: connected.remote,
            pool: pool.clone(),
            served: 0,
            counted: false,
            idle_since: pool.core.io.clock.now(),
            security: Security::new(target, wanted),
            _permit: permit,
        })
    }

    /// Gives it back after a whole response, to be used again. It closes instead if it must not be.
    pub fn release(mut self: Box<Self>) {
        let pool = self.pool.clone();
        self.served += 1;
        self.count_traffic();
        if pool.closed.get() || !self.stream.is_quiet() {
            return;
        }
        if pool.target.borrow().model.max_requests_per_connection.is_some_and(|most| self.served >= most) {
            pool.counters.upstream_cx_max_requests.increment();
            return;
        }
        self.idle_since = pool.core.io.clock.now();
        pool.idle.put(self);
        if pool.queued.get() > 0 {
            pool.returned.notify_one();
        }
    }

    fn count_traffic(&mut self) {
        let Traffic { received, sent } = self.stream.take_traffic();
        if self.counted {
            return;
        }
        self.pool.counters.upstream_cx_rx_bytes_total.add(received);
        self.pool.counters.upstream_cx_tx_bytes_total.add(sent);
    }

    /// As [`Security::is_for_same_host`].
    pub(super) fn is_for_same_host(&self, other: &Self) -> bool {
        self.security.is_for_same_host(&other.security)
    }

    /// As [`Security::is_for_another_host`].
    pub(super) fn is_for_another_host(&self, other: &Self) -> bool {
        self.security.is_for_another_host(&other.security)
    }

    pub(super) fn fits(&self, transport: &ClientTransport, wanted: &Wanted<'_>) -> bool {
        self.security.fits(transport, wanted)
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        self.count_traffic();
        self.pool.counters.upstream_cx_active.decrement();
        self.pool.counters.upstream_cx_destroy.increment();
        self.pool.connection_gone();
    }
}
