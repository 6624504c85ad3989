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
use super::deadlines::Expired;
use super::wait::{Waited, poll_asked_or_late, poll_departure, poll_interrupt};
use super::{Replay, Sender};
use crate::http::HttpChain;
use crate::http::body::{BodyFailure, Silence};
use crate::http::downstream::Downstream;
use crate::http::local_reply::LocalReply;
use crate::http::message::Memory;
use crate::http::retry::{Attempt, Retries};
use crate::telemetry::counter::Held;
use crate::upstream::{Cluster, Http, Lent, ObtainFailure, Pick, PickFailure, Pool, Wanted};
use crate::worker::Process;
use crate::worker::timer::Alarm;

/// How one try ended.
pub(super) enum Tried<'c> {
    /// A response's head arrived.
    Answered(Answering<'c>),
    /// It may be tried again, or else this is the answer.
    Failed(Attempt, LocalReply),
    /// It is of no use to try again.
    Refused(LocalReply),
    ClientGone,
}

/// An endpoint that is answering. It counts as busy until this is dropped.
pub(super) struct Answering<'c> {
    pub(super) carrier: Carrier,
    _endpoint: Pick,
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
            Err(_) => return Tried::Refused(LocalReply::no_healthy_upstream()),
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
            Waited::Answered => Tried::Answered(Answering { carrier, _endpoint: pick, _active: active }),
            other => self.failed(other),
        }
    }

    /// An endpoint, and a free connection to it if there is one.
    fn take(&mut self, retries: &Retries<'_>) -> Result<(Pick, Option<Lent>), PickFailure> {
        let attempts = retries.host_selection_attempts();
        let tried = if attempts.is_some() { self.tried.as_slice() } else { &[] };
        let pick = self.cluster.pick(tried, attempts.unwrap_or(0))?;
        self.exchange.memory.outcome.target = Some(pick.pool.target());
        self.trying = Some(pick.pool.clone());
        let wanted = wanted(&self.exchange.memory.request, &self.exchange.chain, self.cluster);
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
        let wanted = wanted(&self.exchange.memory.request, &self.exchange.chain, self.cluster);
        let downstream = &mut self.exchange.downstream;
        let alarm = self.deadlines.arm_answer(&downstream.worker().timers);
        let mut obtaining = pin!(pool.obtain(&wanted));
        let obtained = poll_fn(|context| match obtaining.as_mut().poll(context) {
            Poll::Ready(obtained) => Poll::Ready(Ok(obtained)),
            Poll::Pending => poll_interrupt(context, downstream, alarm).map(Err),
        })
        .await;
        match obtained {
            Err(Waited::ClientGone) => {
                self.cluster.counters().upstream_rq_cancelled.increment();
                Err(Tried::ClientGone)
            }
            Err(Waited::Closing) => Err(Tried::Refused(LocalReply::closing())),
            Err(_) => Err(Tried::Refused(self.timed_out())),
            Ok(Ok(lent)) => Ok(lent),
            Ok(Err(ObtainFailure::Overflow)) => Err(Tried::Refused(LocalReply::overflow())),
            Ok(Err(ObtainFailure::Gone)) => {
                Err(Tried::Failed(Attempt::ConnectFailure, LocalReply::no_healthy_upstream()))
            }
            Ok(Err(ObtainFailure::Connect(failure))) => {
                let outcome = &mut self.exchange.memory.outcome;
                outcome.upstream_failure.clear();
                outcome.upstream_failure.push_str(failure.reason());
                Err(Tried::Failed(Attempt::ConnectFailure, LocalReply::connect_failure(&failure)))
            }
        }
    }

    pub(super) fn timed_out(&self) -> LocalReply {
        self.cluster.counters().upstream_rq_timeout.increment();
        LocalReply::upstream_timeout()
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
        outcome.upstream_protocol = lent.protocol();
        let begun =
            Carrier::begin(lent, request, exchange.scheme, replay.bytes(), exchange.body.trailers.as_deref(), whole);
        let carrier = begun.map_err(|error| match error {
            OpenError::ExtendedConnect => Waited::ProtocolError,
            OpenError::GoingAway | OpenError::TooManyStreams | OpenError::NoMoreIds => Waited::Refused,
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
        let keep = keep(&mut memory.replay, self.cluster, &worker.process);
        let departure = Alarm::new(&worker.timers);
        let Downstream { source, sink: client, connection: client_connection } = &mut exchange.downstream;
        let sink = carrier.sink();
        let mut sending = pin!(exchange.body.move_all(source, &sink, silence.as_ref(), keep));
        let mut answer = Answer::new(carrier.source(), &memory.request, response, chain, client.clone());
        let mut broken = false;
        poll_fn(|context| {
            if !broken {
                match sending.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Waited::Sent),
                    Poll::Ready(Err(BodyFailure::Source(BodyError::Truncated) | BodyFailure::Reset(_))) => {
                        return Poll::Ready(Waited::ClientGone);
                    }
                    Poll::Ready(Err(BodyFailure::Source(error))) => return Poll::Ready(Waited::BadBody(error)),
                    // It may have answered before it closed.
                    Poll::Ready(Err(BodyFailure::Sink)) => broken = true,
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(waited) = answer.poll(context) {
                return Poll::Ready(waited);
            }
            // While the upstream takes nothing, nothing is read from the client: its end would not be met.
            if sink.is_full() && poll_departure(context, &departure, client).is_ready() {
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
        let mut answer = Answer::new(carrier.source(), request, response, &exchange.chain, client);
        let alarm = self.deadlines.alarm();
        poll_fn(move |context| match answer.poll(context) {
            Poll::Ready(waited) => Poll::Ready(waited),
            Poll::Pending => poll_interrupt(context, downstream, alarm),
        })
    }

    fn failed(&mut self, waited: Waited) -> Tried<'c> {
        let counters = self.cluster.counters();
        match waited {
            Waited::ClientGone => {
                counters.upstream_rq_tx_reset.increment();
                Tried::ClientGone
            }
            Waited::BadBody(error) => Tried::Refused(LocalReply::bad_body(error.detail(), error.status())),
            Waited::Closing => Tried::Refused(LocalReply::closing()),
            Waited::Reset => {
                counters.upstream_rq_rx_reset.increment();
                Tried::Failed(Attempt::Reset, LocalReply::upstream_reset())
            }
            Waited::ProtocolError => {
                counters.upstream_cx_protocol_error.increment();
                Tried::Failed(Attempt::Reset, LocalReply::upstream_protocol_error())
            }
            Waited::Refused => {
                counters.upstream_rq_rx_reset.increment();
                Tried::Failed(Attempt::RefusedStream, LocalReply::upstream_refused_stream())
            }
            Waited::RemoteReset => {
                counters.upstream_rq_rx_reset.increment();
                Tried::Failed(Attempt::Reset, LocalReply::upstream_remote_reset())
            }
            Waited::Timeout => self.expired(),
            // Both were dealt with by the caller.
            Waited::Answered | Waited::Sent => Tried::Refused(LocalReply::upstream_protocol_error()),
        }
    }

    fn expired(&mut self) -> Tried<'c> {
        let clock = &self.exchange.downstream.worker().io.clock;
        clock.invalidate();
        let client_counters = &self.exchange.chain.counters;
        match self.deadlines.expired(clock.now()) {
            Expired::Arrival => {
                client_counters.downstream_rq_timeout.increment();
                Tried::Refused(LocalReply::request_timeout())
            }
            Expired::Answer => Tried::Refused(self.timed_out()),
            Expired::Try => {
                self.cluster.counters().upstream_rq_per_try_timeout.increment();
                Tried::Failed(Attempt::PerTryTimeout, LocalReply::per_try_timeout())
            }
            Expired::Silence => {
                client_counters.downstream_rq_idle_timeout.increment();
                Tried::Refused(LocalReply::idle_timeout(self.exchange.body.is_complete()))
            }
        }
    }
}

/// Keeps what is sent of a body for another try, within the bounds.
fn keep<'a>(replay: &'a mut Replay, cluster: &'a Cluster, process: &'a Process) -> impl FnMut(&[u8]) + 'a {
    move |data| {
        if !replay.keep(data, &process.replay_limit) {
            cluster.counters().retry_or_shadow_abandoned.increment();
        }
    }
}

/// What the connection is for.
fn wanted<'a>(request: &'a RequestHead, chain: &'a HttpChain, cluster: &Cluster) -> Wanted<'a> {
    let http = match cluster.protocol() {
        UpstreamProtocol::Http1 => Http::Version1,
        UpstreamProtocol::Http2 => Http::Version2,
        UpstreamProtocol::Auto => Http::Negotiated,
        UpstreamProtocol::UseDownstream if request.version == Version::Http2 => Http::Version2,
        UpstreamProtocol::UseDownstream => Http::Version1,
    };
    let protocols = chain.filters.upstream_protocols(http).filter(|_| !cluster.keeps_its_protocols());
    Wanted { host: request.authority(), protocols, http, is_upgrade: request.upgrade().is_some() }
}
