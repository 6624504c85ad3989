//! A request's way to an endpoint: trying, and trying again as often as the route's policy allows.

mod answer;
mod attempt;
mod carrier;
mod deadlines;
mod failure;
mod replay;
mod report;
mod wait;

use std::rc::Rc;

use balance::{Permit, PreviousPriorities};
use h1::{Header, Method};
use route::{Forward, RouteMatch};

use self::attempt::{Answering, Tried};
use self::deadlines::Deadlines;
pub(super) use self::deadlines::{Bounds, bounds, write_expected_timeout};
pub(super) use self::replay::Replay;
pub use self::replay::replay_limit;
use super::exchange::Exchange;
use super::local_reply::LocalReply;
use super::retry::{Retries, RetryReason};
use super::sink::Sink;
use super::source::Source;
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::{Cluster, Pool};
use xds_model::route::ConnectMode;

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
    pub(super) fn source(&mut self) -> Source<'_> {
        self.answering.carrier.source()
    }

    /// Where what is left of the request goes.
    pub(super) fn sink(&self) -> Sink {
        self.answering.carrier.sink()
    }

    /// A tunnel that ends here: the endpoint's bytes are what it carries.
    pub(super) fn is_tunnel_end(&self) -> bool {
        self.answering.is_tunnel_end
    }

    /// The whole answer was passed on, and the connection may serve other requests.
    pub(super) fn release(self) {
        self.answering.carrier.release();
    }
}

/// Sends a request, as often as the route's policy allows.
pub(super) async fn send<'c>(
    exchange: &mut Exchange<'_>,
    cluster: &'c Rc<Cluster>,
    found: &RouteMatch<'_>,
    forward: &Forward,
) -> Answered<'c> {
    let Some(mut request) = cluster.admit_request() else { return overflow(cluster) };
    let mut retries = Retries::new(forward.retry.as_deref());
    let mut sender = Sender::new(exchange, cluster, forward, &retries);
    loop {
        sender.begin_try(found, forward);
        let tried = sender.attempt(&retries).await;
        sender.report(&tried);
        if !sender.tries_again(&tried, &retries) {
            return sender.answer(tried, request);
        }
        drop(tried);
        // As in Envoy, what waits for its next try is not under way.
        drop(request);
        let endpoint = sender.trying.take();
        sender.tried.extend(endpoint);
        let worker = sender.exchange.downstream.worker().clone();
        if !sender.deadlines.pause(&worker, retries.take(worker.random.next())).await {
            return Answered::Local(sender.timed_out());
        }
        request = match cluster.admit_request() {
            Some(request) => request,
            None => return overflow(cluster),
        };
    }
}

/// There are as many requests under way as there may be.
fn overflow<'c>(cluster: &Cluster) -> Answered<'c> {
    cluster.counters().upstream_rq_pending_overflow.increment();
    Answered::Local(LocalReply::overflow())
}

/// What tries have in common.
struct Sender<'x, 'a, 'c> {
    exchange: &'x mut Exchange<'a>,
    cluster: &'c Rc<Cluster>,
    /// Endpoints that were tried before.
    tried: Vec<Rc<Pool>>,
    /// The endpoint of the try under way.
    trying: Option<Rc<Pool>>,
    /// Where tries went, if the route wants further ones to go elsewhere.
    previous_priorities: Option<PreviousPriorities>,
    deadlines: Deadlines,
    /// The client may have seen informational responses.
    answer_has_begun: bool,
    /// The right to the retry under way.
    retry: Option<Permit>,
    /// A CONNECT request that ends here: its tunnel goes on as a TCP connection.
    is_tunnel_end: bool,
}

impl<'x, 'a, 'c> Sender<'x, 'a, 'c> {
    fn new(exchange: &'x mut Exchange<'a>, cluster: &'c Rc<Cluster>, forward: &Forward, retries: &Retries<'_>) -> Self {
        let deadlines = Deadlines::new(forward, exchange.chain.model(), &mut exchange.memory.outcome);
        exchange.memory.replay.begin(forward.retry.is_some());
        let is_tunnel_end =
            exchange.memory.request.method == Method::Connect && forward.connect == ConnectMode::Terminated;
        let mut sender = Self {
            exchange,
            cluster,
            tried: Vec::new(),
            trying: None,
            previous_priorities: retries.previous_priorities(),
            deadlines,
            answer_has_begun: false,
            retry: None,
            is_tunnel_end,
        };
        if sender.exchange.body.is_complete() {
            sender.request_received();
        }
        sender
    }

    fn begin_try(&mut self, found: &RouteMatch<'_>, forward: &Forward) {
        let outcome = &mut self.exchange.memory.outcome;
        outcome.attempts += 1;
        // Times are those of the last try.
        (outcome.sent, outcome.answered) = (None, None);
        if outcome.attempts > 1 {
            self.change_for_retry(found, forward);
        }
        self.cluster.counters().upstream_rq_total.increment();
    }

    /// Whether the end of a try is not the answer.
    fn tries_again(&mut self, tried: &Tried<'_>, retries: &Retries<'_>) -> bool {
        let counters = self.cluster.counters();
        let memory = &mut *self.exchange.memory;
        let reason = match tried {
            Tried::Answered(_) => {
                memory.outcome.answered = Some(self.exchange.downstream.worker().io.clock.now());
                RetryReason::Response(memory.response.status)
            }
            Tried::Failed(reason, _) => *reason,
            Tried::Final(_) | Tried::ClientGone => return false,
        };
        let response = matches!(reason, RetryReason::Response(_)).then(|| memory.response.fields());
        // As in Envoy: another endpoint would tell the client the same once more, or something else.
        if !retries.applies(reason, response) || !memory.replay.is_whole() || self.answer_has_begun {
            if memory.outcome.attempts > 1 && matches!(tried, Tried::Answered(_)) {
                counters.upstream_rq_retry_success.increment();
            }
            return false;
        }
        if retries.exhausted() {
            counters.upstream_rq_retry_limit_exceeded.increment();
            memory.outcome.flags |= ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
            return false;
        }
        drop(self.retry.take());
        self.retry = self.cluster.admit_retry();
        if self.retry.is_none() {
            counters.upstream_rq_retry_overflow.increment();
            memory.outcome.flags |= ResponseFlags::UPSTREAM_OVERFLOW;
            return false;
        }
        counters.upstream_rq_retry.increment();
        true
    }

    fn request_received(&mut self) {
        let now = self.exchange.downstream.worker().io.clock.now();
        self.deadlines.request_received(now, &mut self.exchange.memory.outcome);
    }

    /// What a later try says that the first one did not.
    fn change_for_retry(&mut self, found: &RouteMatch<'_>, forward: &Forward) {
        let attempts = u64::from(self.exchange.memory.outcome.attempts);
        let now = self.exchange.downstream.worker().io.clock.now();
        let passed = self.exchange.memory.outcome.received.map(|received| now.saturating_duration_since(received));
        let bounds = self.exchange.memory.outcome.bounds;
        let fields = self.exchange.memory.request.fields_mut();
        if found.virtual_host.include_request_attempt_count {
            fields.remove(Header::XEnvoyAttemptCount);
            let _ = fields.append_value(Header::XEnvoyAttemptCount, |value| value.put_number(attempts));
        }
        write_expected_timeout(fields, forward, bounds, passed.unwrap_or_default());
    }

    /// The end of the last try is the answer.
    fn answer(&mut self, tried: Tried<'c>, request: Permit) -> Answered<'c> {
        self.exchange.memory.replay.clear();
        match tried {
            Tried::Answered(answering) => Answered::Upstream(UpstreamAnswer { answering, _request: request }),
            Tried::Failed(_, reply) => Answered::Local(reply.after(self.exchange.memory.outcome.attempts)),
            Tried::Final(reply) => Answered::Local(reply),
            Tried::ClientGone => Answered::ClientGone,
        }
    }
}
