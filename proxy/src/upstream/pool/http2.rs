//! HTTP/2 connections to one endpoint: as few as possible, each for as many requests as it takes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use balance::Permit;
use h1::{RequestHead, Scheme};
use h2::OpenError;
use tokio::sync::Notify;

use super::security::Security;
use super::{ObtainFailure, Pool, Target};
use crate::http2::{self, Code, Keepalive, Over, Role};
use crate::io::{Stream, Traffic};
use crate::upstream::connector::{ConnectFailure, Connected, Wanted};
use crate::worker::timer::Alarm;

/// The HTTP/2 connections of a pool.
#[derive(Debug, Default)]
pub(super) struct SharedConnections {
    open: RefCell<Vec<Rc<SharedConnection>>>,
    /// Requests that need a connection wait for the one that is being opened.
    opening: RefCell<Option<Rc<Opening>>>,
}

/// A connection that many requests use at once.
#[derive(Debug)]
pub struct SharedConnection {
    /// Our side.
    pub local: Option<SocketAddr>,
    /// The other side.
    pub remote: SocketAddr,
    connection: Rc<http2::Connection>,
    security: Security,
    /// Requests so far.
    served: Cell<u32>,
    /// No request is sent on it any more.
    retired: Cell<bool>,
}

impl SharedConnection {
    /// Sends the head of a request. `whole`: there is no body.
    ///
    /// # Errors
    /// The endpoint takes no more requests on this connection.
    pub fn open(&self, head: &RequestHead, scheme: Scheme, whole: bool) -> Result<http2::Stream, OpenError> {
        self.served.set(self.served.get() + 1);
        self.connection.open(head, scheme, whole)
    }

    /// Waits until it is known what the endpoint takes.
    pub(super) async fn settled(&self) {
        self.connection.settled().await;
    }

    /// Whether another stream may be opened, as far as the endpoint and the cluster's configuration say.
    fn has_room(&self, target: &Target) -> bool {
        self.connection.active() < target.http2.max_concurrent_streams as usize && self.connection.can_open()
    }

    fn takes(&self, target: &Target, wanted: &Wanted<'_>) -> bool {
        let most = target.model.max_requests_per_connection;
        !self.retired.get()
            && most.is_none_or(|most| self.served.get() < most)
            && self.security.fits(&target.transport, wanted)
            && self.has_room(target)
            && (!wanted.is_upgrade || self.connection.is_settled())
    }
}

/// A connection that is being opened.
#[derive(Debug, Default)]
struct Opening {
    done: Notify,
    failure: RefCell<Option<ConnectFailure>>,
}

impl SharedConnections {
    /// A connection that takes another request, if there is one.
    pub(super) fn ready(&self, target: &Target, wanted: &Wanted<'_>) -> Option<Rc<SharedConnection>> {
        self.open.borrow().iter().find(|connection| connection.takes(target, wanted)).cloned()
    }

    /// Somebody waits for a stream of any of them.
    pub(super) fn tell_of_room(&self) {
        self.open.borrow().iter().for_each(|connection| connection.connection.tell_of_room());
    }

    /// No request is sent on any of them any more.
    pub(super) fn retire(&self) {
        for connection in self.open.borrow_mut().drain(..) {
            connection.retired.set(true);
            connection.connection.wake();
        }
    }

    /// Waits for a connection that somebody else opens; `false` if nobody does.
    pub(super) async fn wait(&self) -> Result<bool, ObtainFailure> {
        let Some(opening) = self.opening.borrow().clone() else { return Ok(false) };
        opening.done.notified().await;
        let failure = opening.failure.borrow().clone();
        failure.map_or(Ok(true), |failure| Err(ObtainFailure::Connect(failure)))
    }

    /// Lets others wait for the connection that the caller opens now.
    pub(super) fn begin(&self) -> Begun<'_> {
        let opening = Rc::new(Opening::default());
        *self.opening.borrow_mut() = Some(opening.clone());
        Begun { connections: self, opening }
    }
}

/// While it exists, others wait for the connection that is being opened.
pub(super) struct Begun<'c> {
    connections: &'c SharedConnections,
    opening: Rc<Opening>,
}

impl Begun<'_> {
    pub(super) fn failed(self, failure: &ConnectFailure) {
        *self.opening.failure.borrow_mut() = Some(failure.clone());
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut opening = self.connections.opening.borrow_mut();
        if opening.as_ref().is_some_and(|opening| Rc::ptr_eq(opening, &self.opening)) {
            *opening = None;
        }
        self.opening.done.notify_waiters();
    }
}

impl Pool {
    /// Begins to speak HTTP/2 on a new connection; a task drives it from now on.
    pub(super) fn share(
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
            connection: http2::Connection::start(Role::Client, config, stream.writer(), &self.core.io),
            security: Security::new(target, wanted),
            served: Cell::new(0),
            retired: Cell::new(false),
        });
        self.counters.upstream_cx_total.increment();
        self.counters.upstream_cx_active.increment();
        self.counters.upstream_cx_http2_total.increment();
        self.shared.open.borrow_mut().push(shared.clone());
        let driver = Driver {
            pool: self.clone(),
            shared: shared.clone(),
            alarm: Alarm::new(&self.core.timers),
            idle: false,
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
    /// No request is under way, and the alarm is set.
    idle: bool,
    keepalive: Option<Keepalive>,
}

impl Driver {
    async fn run(mut self, mut stream: Stream, _permit: Permit) {
        let over = poll_fn(|context| self.poll(context, &mut stream)).await;
        self.count(&mut stream);
        if let Over::Protocol(reason) | Over::Flood(reason) = over {
            tracing::debug!(endpoint = %self.shared.remote, "an HTTP/2 connection is closed: {reason}");
            self.pool.counters.upstream_cx_protocol_error.increment();
        }
        if over == Over::Local {
            self.shared.connection.go_away(Code::NO_ERROR);
        }
        self.shared.connection.end(over);
        stream.finish();
        self.alarm.set_after(Some(super::LAST_FLUSH));
        let _ = self.alarm.limit(stream.flushed()).await;
    }

    fn poll(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<Over> {
        let connection = &self.shared.connection;
        let driven = connection.poll_drive(context, stream, &mut ());
        self.count(stream);
        if driven.is_ready() {
            return driven;
        }
        if connection.is_leaving() && !self.shared.retired.replace(true) {
            self.pool.counters.upstream_cx_close_notify.increment();
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
        let active = connection.active() > 0;
        if !active && self.is_done() {
            return Poll::Ready(Over::Local);
        }
        if active || !self.idle {
            self.idle = !active;
            if !active {
                connection.rest();
            }
            let timeout = self.pool.target.borrow().model.idle_timeout;
            self.alarm.set_after(timeout.filter(|_| !active));
        }
        if active || self.alarm.deadline().is_none() || self.alarm.poll_elapsed(context).is_pending() {
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

    fn leave_pool(&self) {
        self.pool.shared.open.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.shared));
    }

    fn count(&self, stream: &mut Stream) {
        let Traffic { received, sent } = stream.take_traffic();
        self.pool.counters.upstream_cx_rx_bytes_total.add(received);
        self.pool.counters.upstream_cx_tx_bytes_total.add(sent);
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
