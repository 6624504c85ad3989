//! HTTP/2 connections to one endpoint: as few as possible, each for as many requests as it takes.

mod driver;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use h1::{RequestHead, Scheme};
use h2::OpenError;
use tokio::sync::Notify;

use super::security::{MOST_FOR_OTHER_HOSTS, Security};
use super::{ObtainFailure, Target};
use crate::http2;
use crate::upstream::connector::{ConnectFailure, Wanted};

/// With more held than this of what arrived, because those who asked do not take it, a connection gets no more requests.
const MOST_HELD: usize = 8 << 20;

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

    /// No request is sent on it any more; it closes with the last one.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.connection.wake();
    }

    /// Waits until it is known what the endpoint takes.
    pub(super) async fn settled(&self) {
        self.connection.settled().await;
    }

    /// Whether another stream may be opened, as far as the endpoint, the cluster's configuration and our memory say.
    fn has_room(&self, target: &Target) -> bool {
        self.connection.active() < target.http2.max_concurrent_streams as usize
            && self.connection.held() <= MOST_HELD
            && self.connection.can_open()
    }

    /// Whether no request is under way on it, nor about to be sent.
    fn is_idle(&self) -> bool {
        self.connection.active() == 0 && self.connection.is_settled()
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

    /// No request is sent any more on an idle one that is of no use for the request, because of its protocol or because of how it
    /// is secured: it closes, and its pool is told.
    pub(super) fn retire_unfit(&self, target: &Target, wanted: &Wanted<'_>) {
        let mut open = self.open.borrow_mut();
        let is_unfit = |connection: &Rc<SharedConnection>| {
            let may_fit = wanted.http.may_be_shared() && connection.security.fits(&target.transport, wanted);
            !may_fit && connection.is_idle()
        };
        if let Some(index) = open.iter().position(is_unfit) {
            open.remove(index).retire();
        }
    }

    /// Adds a connection, and closes the oldest idle ones for other hosts if there are too many of them.
    fn add(&self, connection: &Rc<SharedConnection>) {
        let mut open = self.open.borrow_mut();
        let is_other =
            |other: &Rc<SharedConnection>| other.is_idle() && other.security.is_for_another_host(&connection.security);
        let mut beyond = open.iter().filter(|other| is_other(other)).count().saturating_sub(MOST_FOR_OTHER_HOSTS);
        open.retain(|other| {
            let closes = beyond > 0 && is_other(other);
            if closes {
                beyond -= 1;
                other.retire();
            }
            !closes
        });
        open.push(connection.clone());
    }

    /// Somebody waits for a stream of any of them.
    pub(super) fn tell_of_room(&self) {
        self.open.borrow().iter().for_each(|connection| connection.connection.tell_of_room());
    }

    /// No request is sent on any of them any more.
    pub(super) fn retire(&self) {
        for connection in self.open.borrow_mut().drain(..) {
            connection.retire();
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
