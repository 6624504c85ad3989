//! The client's side of one request: where the request comes from and where its answer goes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::HttpChain;
use super::exchange::HostCache;
use super::forwarded::Introduction;
use super::local_reply::LocalReply;
use super::sink::Sink;
use super::source::Source;
use crate::http2::Reset;
use crate::io::Traffic;
use crate::overload::Action;
use crate::telemetry::response_flags::ResponseFlags;
use crate::worker::Worker;
use crate::worker::connection::{Admission, Wish};

/// What all requests of a client's connection share.
pub(super) struct ClientConnection {
    pub(super) admission: Rc<Admission<HttpChain>>,
    pub(super) worker: Rc<Worker>,
    /// Requests so far, the one under way included.
    pub(super) served: Cell<u32>,
    /// Its requests are tasks of their own: whoever drives the connection tells them of its end.
    pub(super) is_multiplexed: Cell<bool>,
    /// It has ended, or said that the last request was its last and sent nothing behind it. HTTP/1 alone.
    pub(super) is_done: Cell<bool>,
    /// It has served as many requests as it may.
    is_worn_out: Cell<bool>,
    /// It is to end because memory is short, and was counted.
    is_shed: Cell<bool>,
    /// `None` for who has asked once.
    pub(super) remembered: RefCell<Option<Box<Remembered>>>,
}

/// What is remembered of a client that comes back, because it will come again.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) host: HostCache,
    pub(super) introduction: Option<Introduction>,
}

impl ClientConnection {
    pub(super) fn new(admission: Rc<Admission<HttpChain>>, worker: Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            admission,
            worker,
            served: Cell::new(0),
            is_multiplexed: Cell::new(false),
            is_done: Cell::new(false),
            is_worn_out: Cell::new(false),
            is_shed: Cell::new(false),
            remembered: RefCell::default(),
        })
    }

    /// Ready when the listener wants the connection to end now.
    pub(super) fn poll_close(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.is_multiplexed.get() {
            false => self.admission.poll_wish(context, Wish::Close),
            true if self.admission.wish() >= Wish::Close => Poll::Ready(()),
            true => Poll::Pending,
        }
    }

    /// What is left of `max_connection_duration`.
    pub(super) fn age_left(&self, chain: &HttpChain) -> Option<Duration> {
        let most = chain.model().max_connection_duration?;
        let age = self.worker.io.clock.now().saturating_duration_since(self.admission.facts.accepted);
        Some(most.saturating_sub(age))
    }

    /// Notes that a request has come: there may be enough of them.
    pub(super) fn note_request(&self, chain: &HttpChain) {
        self.served.set(self.served.get() + 1);
        let enough = chain.model().max_requests_per_connection.is_some_and(|most| self.served.get() >= most);
        if enough && !self.is_worn_out.replace(true) {
            chain.counters.downstream_cx_max_requests_reached.increment();
        }
    }

    /// Notes that an answer is about to be sent: while memory is short, the connection ends with it.
    pub(super) fn note_answer(&self, chain: &HttpChain) {
        let obeys = self.admission.facts.obeys_overload_manager;
        if obeys && self.worker.process.overload.sheds(Action::DisableHttpKeepalive, &self.worker.random) {
            self.shed(chain);
            // Whoever drives a connection with several requests under way does not see their answers.
            self.admission.wake();
        }
    }

    /// Notes that the connection ends because memory is short.
    pub(super) fn shed(&self, chain: &HttpChain) {
        if !self.is_shed.replace(true) {
            chain.counters.downstream_cx_overload_disable_keepalive.increment();
        }
    }

    /// Whether something was noted, or is wished for, that makes the requests under way the connection's last.
    pub(super) fn is_to_end(&self) -> bool {
        self.is_worn_out.get() || self.is_shed.get() || self.admission.wish() >= Wish::LastRequest
    }

    /// Whether the requests under way have to be the connection's last.
    pub(super) fn is_last(&self, chain: &HttpChain) -> bool {
        self.is_to_end() || self.age_left(chain).is_some_and(|left| left.is_zero())
    }
}

/// A client as one request sees it.
pub(super) struct Downstream<'a> {
    /// Where the request comes from.
    pub(super) source: Source<'a>,
    /// Where the answer goes.
    pub(super) sink: Sink,
    pub(super) connection: &'a Rc<ClientConnection>,
}

impl<'a> Downstream<'a> {
    pub(super) fn worker(&self) -> &'a Rc<Worker> {
        &self.connection.worker
    }

    /// How it is called that the client has gone away, or was sent away.
    pub(super) fn departure(&self) -> (ResponseFlags, &'static str) {
        if self.connection.admission.wish() >= Wish::Close {
            return (ResponseFlags::LOCAL_RESET, LocalReply::closing().details);
        }
        match &self.source {
            Source::Http2(stream) if matches!(stream.why_reset(), Some(Reset::ByPeer(_))) => {
                (ResponseFlags::DOWNSTREAM_REMOTE_RESET, "http2.remote_reset")
            }
            Source::Http2(stream)
                if matches!(stream.why_reset(), Some(Reset::ByCodec(_) | Reset::BrokenConnection)) =>
            {
                (ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, "codec_error")
            }
            _ => (ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION, "downstream_remote_disconnect"),
        }
    }

    /// Bytes in both directions that were not counted yet.
    pub(super) fn take_traffic(&mut self) -> Traffic {
        match &mut self.source {
            Source::Http1(stream) => stream.take_traffic(),
            // Counted by who drives the connection.
            Source::Http2(_) => Traffic { received: 0, sent: 0 },
        }
    }
}
