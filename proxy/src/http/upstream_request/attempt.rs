//! One try: picking an endpoint, getting a connection, sending, waiting for the head of the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use h1::{BodyError, RequestHead, Version};
use h2::OpenError;
use xds_model::cluster::UpstreamProtocol;

use super::answer::Answer;
use super::carrier::Carrier;
use super::wait::{Waited, poll_asked_or_late, poll_interrupt};
use super::{Replay, Sender};
use crate::http::HttpChain;
use crate::http::body::{BodyFailure, Silence};
use crate::http::departure::Departure;
use crate::http::downstream::Downstream;
use crate::http::local_reply::LocalReply;
use crate::http::message::Memory;
use crate::http::pace::Pace;
use crate::http::retry::{Retries, RetryReason};
use crate::http::upstream_reset::UpstreamReset;
use crate::telemetry::counter::Held;
use crate::upstream::{Cluster, Http, Lent, Pick, PickFailure, Pool, Wanted};
use crate::worker::Process;
use crate::worker::timer::Alarm;

/// How one try ended.
pub(super) enum Tried<'c> {
    /// A response's head arrived.
    Answered(Answering<'c>),
    /// It may be tried again, or else this is the answer.
    Failed(RetryReason, LocalReply),
    /// This is the answer: it is of no use to try again.
    Final(LocalReply),
    ClientGone,
}

/// An endpoint that is answering. It counts as busy until this is dropped.
pub(super) struct Answering<'c> {
    pub(super) carrier: Carrier,
    pub(super) endpoint: Pick,
    pub(super) is_tunnel_end: bool,
    _active: Held<'c>,
}

impl<'c> Sender<'_, '_, 'c> {
    pub(super) async fn attempt(&mut self, retries: &Retries<'_>) -> Tried<'c> {
        let active = self.cluster.counters().upstream_rq_active.hold();
        let taken = match self.take(retries) {
            Err(PickFailure::Warming) => self.take_when_known(retries).await,
            taken => taken,
        };
        let (pick, free) = match taken {
            Ok(taken) => taken,
            Err(_) => return Tried::Final(LocalReply::no_healthy_upstream()),
        };
        let lent = match free {
            Some(lent) => lent,
            None => match self.obtain(&pick.pool).await {
                Ok(lent) => lent,
                Err(tried) => return tried,
            },
        };
        let mut carrier = match self.begin_sending(lent) {
            Ok(carrier) => carrier,
            Err(waited) => return self.failed(waited),
        };
        if self.is_tunnel_end {
            // Nothing was asked of the endpoint, so that there is no time of an answer.
            self.request_received();
            return Tried::Answered(Answering { carrier, endpoint: pick, is_tunnel_end: true, _active: active });
        }
        let mut waited = Waited::Sent;
        if !self.exchange.body.is_complete() {
            waited = self.send_rest(&mut carrier).await;
            // Nothing may have been flushed since the worker last slept, and the time of the answer counts from here.
            self.exchange.downstream.worker().io.clock.invalidate();
        }
        if matches!(waited, Waited::Sent) {
            self.request_sent(retries.per_try_timeout());
            waited = self.await_head(&mut carrier).await;
        }
        match waited {
            Waited::Answered => {
                Tried::Answered(Answering { carrier, endpoint: pick, is_tunnel_end: false, _active: active })
            }
            other => self.failed(other),
        }
    }

    /// An endpoint, and a free connection to it if there is one.
    fn take(&mut self, retries: &Retries<'_>) -> Result<(Pick, Option<Lent>), PickFailure> {
        let attempts = retries.host_selection_attempts();
        let tried = if attempts.is_some() { self.tried.as_slice() } else { &[] };
        let hash = self.exchange.memory.outcome.hash;
        let pick = self.cluster.pick(hash, tried, attempts.unwrap_or(0), self.previous_priorities.as_mut())?;
        if let Some(previous) = &mut self.previous_priorities {
            previous.tries(pick.priority);
        }
        self.exchange.memory.outcome.target = Some(pick.pool.target());
        self.trying = Some(pick.pool.clone());
        let exchange = &*self.exchange;
        let caller = exchange.downstream.connection.admission.facts.caller();
        let wanted = wanted(&exchange.memory.request, &exchange.chain, self.cluster, self.is_tunnel_end, caller);
        let free = pick.pool.checkout(&wanted);
        Ok((pick, free))
    }

    async fn take_when_known(&mut self, retries: &Retries<'_>) -> Result<(Pick, Option<Lent>), PickFailure> {
        let worker = self.exchange.downstream.worker().clone();
        let alarm = Alarm::new(&worker.timers);
        alarm.set_after(Some(self.cluster.model().connect_timeout));
        // If it does not become known in time the next pick says so.
        let _ = alarm.limit(self.cluster.endpoints_known()).await;
        worker.io.clock.invalidate();
        self.take(retries)
    }

    async fn obtain(&mut self, pool: &Rc<Pool>) -> Result<Lent, Tried<'c>> {
        let obtained = {
            let exchange = &mut *self.exchange;
            let connection = exchange.downstream.connection;
            let caller = connection.admission.facts.caller();
            let wanted = wanted(&exchange.memory.request, &exchange.chain, self.cluster, self.is_tunnel_end, caller);
            let downstream = &mut exchange.downstream;
            let alarm = self.deadlines.arm_answer(&downstream.worker().timers);
            let mut departure = Departure::new(downstream.worker());
            let mut obtaining = pin!(pool.obtain(&wanted));
            poll_fn(|context| match obtaining.as_mut().poll(context) {
                Poll::Ready(obtained) => Poll::Ready(Ok(obtained)),
                Poll::Pending => poll_interrupt(context, downstream, &mut departure, alarm).map(Err),
            })
            .await
        };
        match obtained {
            Err(Waited::ClientGone) => {
                self.cluster.counters().upstream_rq_cancelled.increment();
                Err(Tried::ClientGone)
            }
            Err(Waited::Closing) => Err(Tried::Final(LocalReply::closing())),
            Err(_) => Err(Tried::Final(self.timed_out())),
            Ok(Ok(lent)) => Ok(lent),
            Ok(Err(failure)) => Err(self.not_obtained(&failure)),
        }
    }

    /// Sends what is here of the request.
    fn begin_sending(&mut self, lent: Lent) -> Result<Carrier, Waited> {
        self.deadlines.attempt_begins();
        let exchange = &mut *self.exchange;
        let Memory { request, response, replay, outcome, .. } = &mut *exchange.memory;
        outcome.upstream_remote = Some(lent.remote());
        outcome.upstream_local = lent.local();
        outcome.upstream_failure.clear();
        response.clear();
        let whole = exchange.body.is_complete();
        let lent = match lent {
            Lent::Http1(connection) if self.is_tunnel_end => {
                response.open_tunnel();
                return Ok(Carrier::Http1(connection));
            }
            lent => lent,
        };
        outcome.upstream_protocol = lent.protocol();
        let begun =
            Carrier::begin(lent, request, exchange.scheme, replay.bytes(), exchange.body.trailers.as_deref(), whole);
        let carrier = begun.map_err(|error| match error {
            OpenError::ExtendedConnect => Waited::NoExtendedConnect,
            OpenError::GoingAway | OpenError::TooManyStreams | OpenError::NoMoreIds => {
                Waited::Reset(UpstreamReset::Refused)
            }
        })?;
        if !whole {
            self.send_received(&carrier).map_err(Waited::BadBody)?;
        }
        Ok(carrier)
    }

    fn request_sent(&mut self, per_try: Option<Duration>) {
        self.request_received();
        let worker = &self.exchange.downstream.worker();
        self.exchange.memory.outcome.sent = Some(worker.io.clock.now());
        self.deadlines.request_sent(worker.io.clock.now(), per_try);
        self.deadlines.arm(worker);
    }

    /// The part of the body that was received with the head.
    fn send_received(&mut self, carrier: &Carrier) -> Result<(), BodyError> {
        let exchange = &mut *self.exchange;
        let mut keep = keep(&mut exchange.memory.replay, self.cluster, &exchange.downstream.worker().process);
        let sink = carrier.sink();
        exchange.body.move_pending(&mut exchange.downstream.source, &sink, &mut keep)
    }

    /// The rest of the body, until it is sent or the upstream answers early.
    async fn send_rest(&mut self, carrier: &mut Carrier) -> Waited {
        self.deadlines.arm(self.exchange.downstream.worker());
        let exchange = &mut *self.exchange;
        let clock = exchange.downstream.worker().io.clock.clone();
        let alarm = self.deadlines.alarm();
        let deadline = self.deadlines.earliest();
        let silence = alarm.zip(self.deadlines.silence());
        let silence = silence.map(|(alarm, bound)| Silence { alarm, clock: &clock, bound, deadline });
        let (memory, chain) = (&mut *exchange.memory, &exchange.chain);
        let response = &mut memory.response;
        let worker = exchange.downstream.worker();
        exchange.body.pace = Pace::of_request(&memory.request, worker);
        let keep = keep(&mut memory.replay, self.cluster, &worker.process);
        let mut departure = Departure::new(worker);
        let Downstream { source, sink: client, connection: client_connection } = &mut exchange.downstream;
        let sink = carrier.sink();
        let mut sending = pin!(exchange.body.move_all(source, &sink, silence.as_ref(), keep));
        let begun = &mut self.answer_has_begun;
        let mut answer = Answer::new(carrier.source(), &memory.request, response, chain, client.clone(), begun);
        let mut broken = false;
        poll_fn(|context| {
            if !broken {
                match sending.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Waited::Sent),
                    Poll::Ready(Err(BodyFailure::Source(BodyError::Truncated) | BodyFailure::Reset(_))) => {
                        return Poll::Ready(Waited::ClientGone);
                    }
                    Poll::Ready(Err(BodyFailure::Source(error))) => return Poll::Ready(Waited::BadBody(error)),
                    Poll::Ready(Err(BodyFailure::TooSlow)) => return Poll::Ready(Waited::TooSlow),
                    // It may have answered before it closed.
                    Poll::Ready(Err(BodyFailure::Sink)) => broken = true,
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(waited) = answer.poll(context) {
                return Poll::Ready(waited);
            }
            // While the upstream takes nothing, nothing is read from the client: its end would not be met.
            if sink.is_full() && departure.poll_unread(context, client).is_ready() {
                return Poll::Ready(Waited::ClientGone);
            }
            poll_asked_or_late(context, client_connection, alarm)
        })
        .await
    }

    /// The request is sent: waits for the head of the answer.
    fn await_head<'s>(&'s mut self, carrier: &'s mut Carrier) -> impl Future<Output = Waited> {
        let exchange = &mut *self.exchange;
        let Memory { request, response, .. } = &mut *exchange.memory;
        let downstream = &mut exchange.downstream;
        let client = downstream.sink.clone();
        let begun = &mut self.answer_has_begun;
        let mut answer = Answer::new(carrier.source(), request, response, &exchange.chain, client, begun);
        let alarm = self.deadlines.alarm();
        let mut departure = Departure::new(downstream.worker());
        poll_fn(move |context| match answer.poll(context) {
            Poll::Ready(waited) => Poll::Ready(waited),
            Poll::Pending => poll_interrupt(context, downstream, &mut departure, alarm),
        })
    }
}

/// Keeps what is sent of a body for another try, within the bounds; says whether there can be one.
fn keep<'a>(replay: &'a mut Replay, cluster: &'a Cluster, process: &'a Process) -> impl FnMut(&[u8]) -> bool + 'a {
    move |data| {
        if !replay.keep(data, &process.replay_limit) {
            cluster.counters().retry_or_shadow_abandoned.increment();
        }
        replay.is_whole()
    }
}

/// What the connection is for.
fn wanted<'a>(
    request: &'a RequestHead,
    chain: &'a HttpChain,
    cluster: &Cluster,
    is_tunnel_end: bool,
    caller: Option<&'a str>,
) -> Wanted<'a> {
    let http = match cluster.protocol() {
        _ if is_tunnel_end => Http::None,
        UpstreamProtocol::Http1 => Http::Version1,
        UpstreamProtocol::Http2 => Http::Version2,
        UpstreamProtocol::Auto => Http::Negotiated,
        UpstreamProtocol::UseDownstream if request.version == Version::Http2 => Http::Version2,
        UpstreamProtocol::UseDownstream => Http::Version1,
    };
    let protocols = chain.filters.upstream_protocols(http).filter(|_| !cluster.keeps_its_protocols());
    Wanted { host: request.authority(), protocols, http, is_upgrade: request.upgrade().is_some(), caller }
}
