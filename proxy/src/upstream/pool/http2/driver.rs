//! The task of an HTTP/2 connection to an endpoint.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use balance::Permit;

use super::SharedConnection;
use crate::http2::{self, Code, IdleTime, Keepalive, Over, Role};
use crate::io::{Stream, Traffic};
use crate::upstream::connector::{Connected, Wanted};
use crate::upstream::pool::security::Security;
use crate::upstream::pool::{Pool, Target};
use crate::worker::timer::Alarm;

/// The endpoint may take this long to take what was sent last on a connection that closes.
const LAST_FLUSH: Duration = Duration::from_secs(5);
impl Pool {
    /// Begins to speak HTTP/2 on a new connection; a task drives it from now on.
    pub(in crate::upstream::pool) fn share(
        self: &Rc<Self>,
        target: &Target,
        wanted: &Wanted<'_>,
        connected: Connected,
        permit: Permit,
    ) -> Rc<SharedConnection> {
        let Connected { stream, local, remote } = connected;
        let config = target.http2;
        let shared = Rc::new(SharedConnection {
            local,
            remote,
            connection: http2::Connection::start(
                Role::Client,
                config,
                stream.writer(),
                &self.core.io,
                &self.core.spare_heads,
            ),
            security: Security::new(target, wanted),
            served: Cell::new(0),
            // The endpoint may have gone while it was being opened.
            retired: Cell::new(self.closed.get()),
        });
        self.counters.upstream_cx_total.increment();
        self.counters.upstream_cx_active.increment();
        self.counters.upstream_cx_http2_total.increment();
        if !shared.retired.get() {
            self.shared.add(&shared);
        }
        let driver = Driver {
            pool: self.clone(),
            shared: shared.clone(),
            alarm: Alarm::new(&self.core.timers),
            idle: IdleTime::default(),
            keepalive: Keepalive::new(target.model.http2.keepalive, &self.core),
        };
        self.core.background.spawn(driver.run(stream, permit));
        shared
    }
}

/// The task of a connection.
struct Driver {
    pool: Rc<Pool>,
    shared: Rc<SharedConnection>,
    /// For the end of silence.
    alarm: Alarm,
    idle: IdleTime,
    keepalive: Option<Keepalive>,
}

impl Driver {
    async fn run(mut self, mut stream: Stream, _permit: Permit) {
        let over = poll_fn(|context| self.poll(context, &mut stream)).await;
        self.count(&mut stream);
        match over {
            Over::Protocol(reason) => {
                self.warn_of_protocol_error(reason);
                self.pool.counters.upstream_cx_protocol_error.increment();
            }
            Over::Flood(limit) => {
                self.warn_of_flood(limit);
                self.pool.counters.upstream_cx_protocol_error.increment();
            }
            Over::Peer | Over::Local => {}
        }
        if over == Over::Local {
            self.shared.connection.go_away(Code::NO_ERROR);
        }
        self.shared.connection.end(over);
        stream.finish();
        self.alarm.set_after(Some(LAST_FLUSH));
        let _ = self.alarm.limit(stream.flushed()).await;
    }

    fn poll(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<Over> {
        let connection = &self.shared.connection;
        let driven = connection.poll_drive(context, stream, &mut ());
        self.count(stream);
        if let Some(code) = connection.take_complaint() {
            self.tell_of_complaint(code);
        }
        if driven.is_ready() {
            return driven;
        }
        if (connection.is_leaving() || stream.is_leaving()) && !self.shared.retired.replace(true) {
            self.pool.counters.upstream_cx_close_notify.increment();
            self.leave_pool();
        }
        // It takes no stream although there is none: it never will, or not soon, and others are opened in its place.
        let is_useless = connection.active() == 0 && connection.is_settled() && !connection.can_open();
        if is_useless && !self.shared.retired.replace(true) {
            self.leave_pool();
        }
        let core = &self.pool.core;
        if self.keepalive.as_mut().is_some_and(|keepalive| keepalive.poll(context, connection, core).is_ready()) {
            self.pool.counters.upstream_cx_http2_keepalive_timeout.increment();
            return Poll::Ready(Over::Local);
        }
        // Somebody may wait for a stream that has become free.
        if self.pool.queued.get() > 0 {
            if self.shared.has_room(&self.pool.target.borrow()) {
                self.pool.returned.notify_one();
            }
            connection.tell_of_room();
        }
        if connection.active() == 0 && self.is_done() {
            return Poll::Ready(Over::Local);
        }
        let time = |active: bool| self.pool.target.borrow().model.idle_timeout.filter(|_| !active);
        if self.idle.poll(context, connection, &self.alarm, time).is_pending() {
            return Poll::Pending;
        }
        self.pool.counters.upstream_cx_idle_timeout.increment();
        Poll::Ready(Over::Local)
    }

    /// Whether no other request will come.
    fn is_done(&self) -> bool {
        let most = self.pool.target.borrow().model.max_requests_per_connection;
        let enough = most.is_some_and(|most| self.shared.served.get() >= most);
        if enough {
            self.pool.counters.upstream_cx_max_requests.increment();
        }
        enough || self.shared.retired.get()
    }

    fn warn_of_flood(&self, limit: &str) {
        let core = &self.pool.core;
        if let Some(count) = core.endpoint_floods.happened(core.io.clock.now()) {
            let (endpoint, cluster) = (self.shared.remote, &self.pool.target.borrow().model.name);
            tracing::warn!(%endpoint, %cluster, count, "an endpoint's HTTP/2 connection is closed: too many {limit}");
        }
    }

    fn warn_of_protocol_error(&self, reason: &str) {
        let core = &self.pool.core;
        if let Some(count) = core.endpoint_protocol_errors.happened(core.io.clock.now()) {
            let (endpoint, cluster) = (self.shared.remote, &self.pool.target.borrow().model.name);
            tracing::warn!(%endpoint, %cluster, count, "an endpoint's HTTP/2 connection is closed: it broke the protocol: {reason}");
        }
    }

    fn tell_of_complaint(&self, code: Code) {
        let core = &self.pool.core;
        if let Some(count) = core.endpoint_complaints.happened(core.io.clock.now()) {
            let (endpoint, cluster, code) = (self.shared.remote, &self.pool.target.borrow().model.name, code.name());
            tracing::info!(%endpoint, %cluster, code, count, "an endpoint closes its HTTP/2 connection (GOAWAY)");
        }
    }

    fn leave_pool(&self) {
        self.pool.shared.open.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.shared));
    }

    fn count(&self, stream: &mut Stream) {
        let Traffic { received, sent } = stream.take_traffic();
        self.pool.counters.upstream_cx_rx_bytes_total.add(received);
        self.pool.counters.upstream_cx_tx_bytes_total.add(sent);
        self.pool.counters.upstream_rq_unread_overflow.add(self.shared.connection.take_unread());
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave_pool();
        self.shared.connection.end(Over::Local);
        self.pool.counters.upstream_cx_active.decrement();
        self.pool.counters.upstream_cx_destroy.increment();
        self.pool.connection_gone();
    }
}
