//! A request's way to an endpoint: trying, and trying again as often as the route's policy allows.

mod answer;
mod attempt;
mod deadlines;
mod replay;
mod wait;

use std::rc::Rc;

use balance::Permit;
use h1::Header;
use route::{Forward, RouteMatch};

use self::attempt::{Answering, Tried};
use self::deadlines::Deadlines;
pub(super) use self::replay::Replay;
pub use self::replay::replay_limit;
pub(super) use self::wait::poll_gone;
use super::exchange::Exchange;
use super::local_reply::LocalReply;
use super::retry::{Attempt, Retries};
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::{Cluster, Pool, UpstreamConnection};

/// How a request was answered.
pub(super) enum Answered<'c> {
    /// By the upstream; the head is in memory.
    Upstream(UpstreamAnswer<'c>),
    /// By us.
    Local(LocalReply),
    /// Not at all.
    ClientGone,
}

/// An answer whose body may be still to come. Until this is dropped the request counts as being under way: for the balancer, the
/// circuit breaker and the counters.
pub(super) struct UpstreamAnswer<'c> {
    answering: Answering<'c>,
    _request: Permit,
}

impl UpstreamAnswer<'_> {
    /// Where the body comes from.
    pub(super) fn connection(&mut self) -> &mut UpstreamConnection {
        &mut self.answering.connection
    }

    /// The whole answer was passed on, and the connection may serve other requests.
    pub(super) fn release(self) {
        self.answering.connection.release();
    }
}

/// Sends a request, as often as the route's policy allows.
pub(super) async fn send<'c>(
    exchange: &mut Exchange<'_>,
    cluster: &'c Rc<Cluster>,
    found: &RouteMatch<'_>,
    forward: &Forward,
) -> Answered<'c> {
    let Some(request) = cluster.admit_request() else {
        cluster.counters().upstream_rq_pending_overflow.increment();
        return Answered::Local(LocalReply::overflow());
    };
    let mut retries = Retries::new(forward.retry.as_deref());
    let mut sender = Sender::new(exchange, cluster, forward);
    // Held while the retry is under way.
    let mut _retry = None;
    loop {
        sender.exchange.outcome.attempts += 1;
        if found.virtual_host.include_request_attempt_count && sender.exchange.outcome.attempts > 1 {
            sender.write_attempt_count();
        }
        cluster.counters().upstream_rq_total.increment();
        let tried = sender.attempt(&retries).await;
        let attempt = match &tried {
            Tried::Answered(_) => {
                sender.exchange.outcome.answered = Some(sender.exchange.connection.worker.io.clock.now());
                Attempt::Response(sender.exchange.memory.response.status)
            }
            Tried::Failed(attempt, _) => *attempt,
            Tried::Refused(_) | Tried::ClientGone => return sender.answer(tried, request),
        };
        let response = matches!(attempt, Attempt::Response(_)).then(|| sender.exchange.memory.response.fields());
        if !retries.applies(attempt, response) || !sender.exchange.memory.replay.is_whole() {
            if sender.exchange.outcome.attempts > 1 && matches!(tried, Tried::Answered(_)) {
                cluster.counters().upstream_rq_retry_success.increment();
            }
            return sender.answer(tried, request);
        }
        if retries.exhausted() {
            cluster.counters().upstream_rq_retry_limit_exceeded.increment();
            sender.exchange.outcome.flags |= ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
            return sender.answer(tried, request);
        }
        drop(_retry.take());
        _retry = cluster.admit_retry();
        if _retry.is_none() {
            cluster.counters().upstream_rq_retry_overflow.increment();
            sender.exchange.outcome.flags |= ResponseFlags::UPSTREAM_OVERFLOW;
            return sender.answer(tried, request);
        }
        cluster.counters().upstream_rq_retry.increment();
        drop(tried);
        let endpoint = sender.trying.take();
        sender.tried.extend(endpoint);
        let worker = sender.exchange.connection.worker.clone();
        if !sender.deadlines.pause(&worker, retries.take(worker.random.next())).await {
            return Answered::Local(sender.timed_out());
        }
    }
}

/// What tries have in common.
struct Sender<'x, 'a, 'c> {
    exchange: &'x mut Exchange<'a>,
    cluster: &'c Rc<Cluster>,
    /// Endpoints that were tried before.
    tried: Vec<Rc<Pool>>,
    /// The endpoint of the try under way.
    trying: Option<Rc<Pool>>,
    deadlines: Deadlines,
}

impl<'x, 'a, 'c> Sender<'x, 'a, 'c> {
    fn new(exchange: &'x mut Exchange<'a>, cluster: &'c Rc<Cluster>, forward: &Forward) -> Self {
        let deadlines = Deadlines::new(forward, exchange.chain.model(), &mut exchange.outcome);
        exchange.memory.replay.begin(forward.retry.is_some());
        let mut sender = Self { exchange, cluster, tried: Vec::new(), trying: None, deadlines };
        if sender.exchange.body.is_complete() {
            sender.request_received();
        }
        sender
    }

    fn request_received(&mut self) {
        let now = self.exchange.connection.worker.io.clock.now();
        self.deadlines.request_received(now, &mut self.exchange.outcome);
    }

    fn write_attempt_count(&mut self) {
        let attempts = u64::from(self.exchange.outcome.attempts);
        let fields = self.exchange.memory.request.fields_mut();
        fields.remove(Header::XEnvoyAttemptCount);
        let _ = fields.append_value(Header::XEnvoyAttemptCount, |value| value.put_number(attempts));
    }

    /// The end of the last try is the answer.
    fn answer(&mut self, tried: Tried<'c>, request: Permit) -> Answered<'c> {
        self.exchange.memory.replay.clear();
        match tried {
            Tried::Answered(answering) => Answered::Upstream(UpstreamAnswer { answering, _request: request }),
            Tried::Failed(_, reply) => Answered::Local(reply.after(self.exchange.outcome.attempts)),
            Tried::Refused(reply) => Answered::Local(reply),
            Tried::ClientGone => Answered::ClientGone,
        }
    }
}
