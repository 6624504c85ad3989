//! A request's way to an endpoint and its answer's way back: picking, connecting, sending, waiting, trying again, passing on.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h1::{BodyDecoder, BodyError, BodyLength, Expectation, Header, Method, chunked};
use route::{Forward, RouteMatch};

use super::body::{Body, BodyFailure, Silence};
use super::exchange::{After, Exchange};
use super::local_reply::LocalReply;
use super::retry::{Attempt, Retries};
use super::{HttpChain, upgrade};
use crate::io::{Stream, StreamWriter};
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::{Cluster, ConnectFailure, ObtainFailure, PickFailure, Pool, UpstreamConnection, Wanted};
use crate::worker::connection::{Admission, Wish};
use crate::worker::timer::Alarm;

/// A body is kept for retries up to this size, bytes, as in Envoy; a larger request is sent once.
const REPLAY_LIMIT: usize = 1024 * 1024;

/// Bytes of a next request that may arrive while the answer to this one is awaited.
const PIPELINED: usize = 16 * 1024;

/// Bytes of a response's head.
const RESPONSE_HEAD: usize = 64 * 1024;

/// Informational responses to one request; more of them are an attack.
const MOST_INTERIM: u32 = 100;

/// How a request was answered.
pub(super) enum Answered {
    /// By the upstream; the head is in memory.
    Upstream(Box<UpstreamConnection>),
    /// By us.
    Local(LocalReply),
    /// Not at all.
    ClientGone,
}

/// How one try ended.
enum Tried {
    /// A response's head arrived.
    Answered(Box<UpstreamConnection>),
    /// It may be tried again, or else this is the answer.
    Failed(Attempt, LocalReply),
    /// It is of no use to try again.
    Refused(LocalReply),
    ClientGone,
}

/// Sends a request, as often as the route's policy allows.
pub(super) async fn send(
    exchange: &mut Exchange<'_>,
    cluster: &Rc<Cluster>,
    found: &RouteMatch<'_>,
    forward: &Forward,
) -> Answered {
    let breaker = cluster.breaker();
    let Some(_request) = breaker.requests.acquire() else {
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
        cluster.counters().upstream_rq_active.increment();
        let tried = sender.attempt(&retries).await;
        cluster.counters().upstream_rq_active.decrement();
        let (attempt, answer) = match tried {
            Tried::Answered(connection) => {
                sender.exchange.outcome.answered = Some(sender.exchange.connection.worker.io.clock.now());
                let status = sender.exchange.memory.response.status;
                (Attempt::Response(status), Answered::Upstream(connection))
            }
            Tried::Failed(attempt, reply) => (attempt, Answered::Local(reply.after(sender.exchange.outcome.attempts))),
            Tried::Refused(reply) => return Answered::Local(reply),
            Tried::ClientGone => return Answered::ClientGone,
        };
        let response = matches!(attempt, Attempt::Response(_)).then(|| sender.exchange.memory.response.fields());
        if !retries.applies(attempt, response) || !sender.can_replay() {
            return answer;
        }
        if retries.exhausted() {
            cluster.counters().upstream_rq_retry_limit_exceeded.increment();
            sender.exchange.outcome.flags |= ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED;
            return answer;
        }
        drop(_retry.take());
        _retry = breaker.retries.acquire();
        if _retry.is_none() {
            cluster.counters().upstream_rq_retry_overflow.increment();
            sender.exchange.outcome.flags |= ResponseFlags::UPSTREAM_OVERFLOW;
            return answer;
        }
        cluster.counters().upstream_rq_retry.increment();
        drop(answer);
        let endpoint = sender.trying.take();
        sender.tried.extend(endpoint);
        let random = sender.exchange.connection.worker.random.next();
        if !sender.wait(retries.take(random)).await {
            return Answered::Local(LocalReply::upstream_timeout());
        }
    }
}

/// What tries have in common.
struct Sender<'x, 'a> {
    exchange: &'x mut Exchange<'a>,
    cluster: &'x Rc<Cluster>,
    /// Endpoints that were tried before.
    tried: Vec<Rc<Pool>>,
    /// The endpoint of the try under way.
    trying: Option<Rc<Pool>>,
    /// For whatever ends first; only made if something can.
    alarm: Option<Alarm>,
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// The request must have arrived by then.
    arrival: Option<Instant>,
    /// The answer must be there by then; with a route timeout known once the request was received.
    end: Option<Instant>,
    /// All of the body so far is in memory.
    replayable: bool,
}

impl<'x, 'a> Sender<'x, 'a> {
    fn new(exchange: &'x mut Exchange<'a>, cluster: &'x Rc<Cluster>, forward: &Forward) -> Self {
        let idle_timeout =
            forward.idle_timeout.or(exchange.chain.model().stream_idle_timeout).filter(|time| !time.is_zero());
        exchange.outcome.idle_timeout = idle_timeout;
        let model = exchange.chain.model();
        let from_begin = |bound: Option<Duration>| bound.and_then(|bound| exchange.outcome.began.checked_add(bound));
        let (arrival, longest) = (from_begin(model.request_timeout), from_begin(model.max_stream_duration));
        exchange.memory.replay.clear();
        let mut sender = Self {
            timeout: forward.timeout.filter(|timeout| !timeout.is_zero()),
            idle_timeout,
            exchange,
            cluster,
            tried: Vec::new(),
            trying: None,
            alarm: None,
            arrival,
            end: longest,
            replayable: true,
        };
        if sender.exchange.body.is_complete() {
            sender.request_received();
        }
        sender
    }

    fn can_replay(&self) -> bool {
        self.replayable
    }

    fn write_attempt_count(&mut self) {
        let attempts = u64::from(self.exchange.outcome.attempts);
        let fields = self.exchange.memory.request.fields_mut();
        fields.remove(Header::XEnvoyAttemptCount);
        let _ = fields.append_value(Header::XEnvoyAttemptCount, |value| value.put_number(attempts));
    }

    /// The route's timeout counts from here (Envoy: from the end of the request).
    fn request_received(&mut self) {
        let now = self.exchange.connection.worker.io.clock.now();
        self.exchange.outcome.received.get_or_insert(now);
        self.arrival = None;
        if let Some(timeout) = self.timeout.take() {
            self.end = self.end.into_iter().chain(now.checked_add(timeout)).min();
        }
        self.exchange.outcome.end = self.end;
    }

    /// Waits before a retry; `false` if the request's time is up first.
    async fn wait(&mut self, pause: Duration) -> bool {
        let worker = self.exchange.connection.worker.clone();
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(&worker.timers));
        let until = worker.io.clock.now() + pause;
        if self.end.is_some_and(|end| end <= until) {
            return false;
        }
        alarm.set(Some(until));
        alarm.elapsed().await;
        worker.io.clock.invalidate();
        true
    }

    /// Sets the alarm to what ends first; `None` if nothing does.
    fn arm(&mut self, try_end: Option<Instant>) {
        let worker = &self.exchange.connection.worker;
        let silence = self.idle_timeout.and_then(|time| worker.io.clock.now().checked_add(time));
        let deadline = [self.arrival, self.end, try_end, silence].into_iter().flatten().min();
        if deadline.is_some() || self.alarm.is_some() {
            self.alarm.get_or_insert_with(|| Alarm::new(&worker.timers)).set(deadline);
        }
    }

    async fn attempt(&mut self, retries: &Retries<'_>) -> Tried {
        let pick = match self.pick(retries).await {
            Ok(pick) => pick,
            Err(reply) => return Tried::Refused(reply),
        };
        let target = pick.pool.target();
        self.exchange.outcome.target = Some(target);
        self.trying = Some(pick.pool.clone());
        let connection = match self.obtain(&pick.pool).await {
            Ok(connection) => connection,
            Err(tried) => return tried,
        };
        self.exchange.outcome.upstream_remote = Some(connection.remote);
        self.exchange.outcome.upstream_local = connection.local;
        self.exchange.outcome.upstream_failure.clear();
        self.converse(connection, retries.per_try_timeout()).await
    }

    async fn pick(&mut self, retries: &Retries<'_>) -> Result<crate::upstream::Pick, LocalReply> {
        let attempts = retries.host_selection_attempts();
        let tried = if attempts.is_some() { self.tried.as_slice() } else { &[] };
        match self.cluster.pick(tried, attempts.unwrap_or(0)) {
            Ok(pick) => Ok(pick),
            Err(PickFailure::NoHealthyUpstream) => Err(LocalReply::no_healthy_upstream()),
            Err(PickFailure::Warming) => {
                let worker = self.exchange.connection.worker.clone();
                let alarm = Alarm::new(&worker.timers);
                alarm.set_after(Some(self.cluster.model().connect_timeout));
                // If it does not become known in time the next pick says so.
                let _ = alarm.limit(self.cluster.endpoints_known()).await;
                worker.io.clock.invalidate();
                self.cluster.pick(tried, 0).map_err(|_| LocalReply::no_healthy_upstream())
            }
        }
    }

    async fn obtain(&mut self, pool: &Rc<Pool>) -> Result<Box<UpstreamConnection>, Tried> {
        let protocols =
            self.exchange.chain.filters.upstream_protocols().filter(|_| !self.cluster.keeps_its_protocols());
        let host = without_port(self.exchange.memory.request.authority());
        let wanted = Wanted { host, protocols, fallback_protocol: Some(b"http/1.1") };
        if let Some(connection) = pool.checkout(&wanted) {
            return Ok(connection);
        }
        let connection = &mut *self.exchange.connection;
        let timers = &connection.worker.timers;
        let alarm = self.end.map(|end| {
            let alarm = self.alarm.get_or_insert_with(|| Alarm::new(timers));
            alarm.set(Some(end));
            &*alarm
        });
        let mut obtaining = pin!(pool.obtain(&wanted));
        let obtained = poll_fn(|context| match obtaining.as_mut().poll(context) {
            Poll::Ready(obtained) => Poll::Ready(Ok(obtained)),
            Poll::Pending => poll_interrupt(context, &mut connection.stream, &connection.admission, alarm).map(Err),
        })
        .await;
        match obtained {
            Err(Waited::ClientGone) => {
                self.cluster.counters().upstream_rq_cancelled.increment();
                Err(Tried::ClientGone)
            }
            Err(Waited::Closing) => Err(Tried::Refused(LocalReply::closing())),
            Err(_) => Err(Tried::Refused(self.timed_out())),
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(ObtainFailure::Overflow)) => Err(Tried::Refused(LocalReply::overflow())),
            Ok(Err(ObtainFailure::Gone)) => {
                Err(Tried::Failed(Attempt::ConnectFailure, LocalReply::no_healthy_upstream()))
            }
            Ok(Err(ObtainFailure::Connect(failure))) => {
                let outcome = &mut self.exchange.outcome;
                outcome.upstream_failure.clear();
                outcome.upstream_failure.push_str(failure.reason());
                Err(Tried::Failed(Attempt::ConnectFailure, connect_reply(&failure)))
            }
        }
    }

    fn timed_out(&self) -> LocalReply {
        self.cluster.counters().upstream_rq_timeout.increment();
        LocalReply::upstream_timeout()
    }

    /// Sends the request and waits for the head of the answer.
    async fn converse(&mut self, mut connection: Box<UpstreamConnection>, per_try: Option<Duration>) -> Tried {
        self.send_head(&mut connection);
        if let Err(error) = self.send_received(&mut connection) {
            return Tried::Refused(LocalReply::bad_body(error.detail(), error.status()));
        }
        let now = self.exchange.connection.worker.io.clock.now();
        let try_end = per_try.and_then(|time| now.checked_add(time));
        if !self.exchange.body.is_complete() {
            self.arm(try_end);
            match self.send_rest(&mut connection, try_end).await {
                Waited::Answered => return Tried::Answered(connection),
                Waited::Sent => self.request_received(),
                other => return self.failed(other, try_end),
            }
        } else {
            self.request_received();
        }
        self.exchange.outcome.sent = Some(self.exchange.connection.worker.io.clock.now());
        self.arm(try_end);
        match self.await_head(&mut connection).await {
            Waited::Answered => Tried::Answered(connection),
            other => self.failed(other, try_end),
        }
    }

    /// The head, and the body as far as an earlier try sent it.
    fn send_head(&mut self, connection: &mut UpstreamConnection) {
        let memory = &mut *self.exchange.memory;
        memory.response.clear();
        let is_chunked = memory.request.body == BodyLength::Chunked;
        let whole = self.exchange.body.is_complete();
        connection.stream.put(|out| {
            h1::write_request(&memory.request, false, out);
            match is_chunked {
                true if !memory.replay.is_empty() => chunked::write_chunk(&memory.replay, out),
                _ => out.extend_from_slice(&memory.replay),
            }
            if is_chunked && whole {
                out.extend_from_slice(chunked::LAST_CHUNK);
            }
        });
    }

    /// The part of the body that was received with the head.
    fn send_received(&mut self, connection: &mut UpstreamConnection) -> Result<(), BodyError> {
        let writer = connection.stream.writer();
        let (replay, replayable) = (&mut self.exchange.memory.replay, &mut self.replayable);
        self.exchange
            .body
            .move_pending(&mut self.exchange.connection.stream, &writer, |data| keep(data, replay, replayable))
    }

    /// The rest of the body, until it is sent or the upstream answers early.
    async fn send_rest(&mut self, connection: &mut UpstreamConnection, try_end: Option<Instant>) -> Waited {
        let writer = connection.stream.writer();
        let clock = self.exchange.connection.worker.io.clock.clone();
        let deadline = [self.arrival, self.end, try_end].into_iter().flatten().min();
        let silence = self.alarm.as_ref().zip(self.idle_timeout);
        let silence = silence.map(|(alarm, bound)| Silence { alarm, clock: &clock, bound, deadline });
        let exchange = &mut *self.exchange;
        let (replay, replayable) = (&mut exchange.memory.replay, &mut self.replayable);
        let source = &mut exchange.connection.stream;
        let mut sending =
            pin!(exchange.body.move_all(source, &writer, silence.as_ref(), |data| keep(data, replay, replayable)));
        let mut answer = Answer {
            stream: &mut connection.stream,
            response: &mut exchange.memory.response,
            expectation: Expectation {
                method: exchange.memory.request.method,
                upgrade: exchange.memory.request.upgrade().is_some(),
            },
            limits: &exchange.chain.response_limits,
            client: &exchange.connection.writer,
            version: exchange.memory.request.version,
            interim: 0,
        };
        let (alarm, admission) = (self.alarm.as_ref(), &exchange.connection.admission);
        let mut broken = false;
        poll_fn(|context| {
            if !broken {
                match sending.as_mut().poll(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Waited::Sent),
                    Poll::Ready(Err(BodyFailure::Source(BodyError::Truncated))) => {
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
            poll_asked_or_late(context, admission, alarm)
        })
        .await
    }

    /// The request is sent: waits for the head of the answer.
    async fn await_head(&mut self, connection: &mut UpstreamConnection) -> Waited {
        let exchange = &mut *self.exchange;
        let mut answer = Answer {
            stream: &mut connection.stream,
            response: &mut exchange.memory.response,
            expectation: Expectation {
                method: exchange.memory.request.method,
                upgrade: exchange.memory.request.upgrade().is_some(),
            },
            limits: &exchange.chain.response_limits,
            client: &exchange.connection.writer,
            version: exchange.memory.request.version,
            interim: 0,
        };
        let (client, admission) = (&mut exchange.connection.stream, &exchange.connection.admission);
        let alarm = self.alarm.as_ref();
        poll_fn(|context| match answer.poll(context) {
            Poll::Ready(waited) => Poll::Ready(waited),
            Poll::Pending => poll_interrupt(context, client, admission, alarm),
        })
        .await
    }

    fn failed(&mut self, waited: Waited, try_end: Option<Instant>) -> Tried {
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
            Waited::Timeout => self.timeout(try_end),
            // Both were dealt with by the caller.
            Waited::Answered | Waited::Sent => Tried::Refused(LocalReply::upstream_protocol_error()),
        }
    }

    /// Which of the times is up?
    fn timeout(&mut self, try_end: Option<Instant>) -> Tried {
        let clock = &self.exchange.connection.worker.io.clock;
        clock.invalidate();
        let now = clock.now();
        let counters = self.cluster.counters();
        if self.arrival.is_some_and(|end| now >= end) {
            self.exchange.chain.counters.downstream_rq_timeout.increment();
            return Tried::Refused(LocalReply::request_timeout());
        }
        if self.end.is_some_and(|end| now >= end) {
            return Tried::Refused(self.timed_out());
        }
        if try_end.is_some_and(|end| now >= end) {
            counters.upstream_rq_per_try_timeout.increment();
            return Tried::Failed(Attempt::PerTryTimeout, LocalReply::per_try_timeout());
        }
        self.exchange.chain.counters.downstream_rq_idle_timeout.increment();
        Tried::Refused(LocalReply::idle_timeout())
    }
}

fn connect_reply(failure: &ConnectFailure) -> LocalReply {
    LocalReply::connect_failure(failure)
}

/// Keeps sent bytes for a retry, as long as they are not too many.
fn keep(data: &[u8], replay: &mut Vec<u8>, replayable: &mut bool) {
    if !*replayable {
        return;
    }
    if replay.len() + data.len() > REPLAY_LIMIT {
        *replayable = false;
        replay.clear();
        return;
    }
    replay.extend_from_slice(data);
}

/// Why waiting for the upstream ended.
enum Waited {
    /// The head of its answer is in memory.
    Answered,
    /// All of the request is sent.
    Sent,
    Reset,
    ProtocolError,
    ClientGone,
    BadBody(BodyError),
    /// The listener wants the connection to end now.
    Closing,
    Timeout,
}

/// What ends a wait for the upstream: the client goes away and takes its request with it, the listener, the time.
fn poll_interrupt(
    context: &mut Context<'_>,
    client: &mut Stream,
    admission: &Admission<HttpChain>,
    alarm: Option<&Alarm>,
) -> Poll<Waited> {
    if poll_gone(context, client).is_ready() {
        return Poll::Ready(Waited::ClientGone);
    }
    poll_asked_or_late(context, admission, alarm)
}

fn poll_asked_or_late(
    context: &mut Context<'_>,
    admission: &Admission<HttpChain>,
    alarm: Option<&Alarm>,
) -> Poll<Waited> {
    if admission.poll_wish(context, Wish::Close).is_ready() {
        return Poll::Ready(Waited::Closing);
    }
    alarm.map_or(Poll::Pending, |alarm| alarm.poll_elapsed(context).map(|()| Waited::Timeout))
}

/// Ready when the client has gone away. Reads ahead a little meanwhile.
fn poll_gone(context: &mut Context<'_>, client: &mut Stream) -> Poll<()> {
    while client.input().bytes().len() < PIPELINED {
        match ready!(client.poll_fill(context, PIPELINED)) {
            Ok(count) if count > 0 => {}
            _ => return Poll::Ready(()),
        }
    }
    Poll::Pending
}

/// The head of an answer as it arrives.
struct Answer<'s> {
    stream: &'s mut Stream,
    response: &'s mut h1::ResponseHead,
    expectation: Expectation,
    limits: &'s h1::Limits,
    client: &'s StreamWriter,
    version: h1::Version,
    /// Informational responses so far.
    interim: u32,
}

impl Answer<'_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        loop {
            match self.response.parse(self.stream.input().bytes(), self.expectation, self.limits) {
                Ok(Some(consumed)) => {
                    self.stream.input_mut().consume(consumed);
                    if !self.response.is_interim() {
                        return Poll::Ready(Waited::Answered);
                    }
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Poll::Ready(Waited::ProtocolError);
                    }
                    self.pass_interim();
                    continue;
                }
                Ok(None) => {}
                Err(_) => return Poll::Ready(Waited::ProtocolError),
            }
            match self.stream.poll_fill(context, RESPONSE_HEAD) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                // Half a head is no answer, but it is not silence either.
                Poll::Ready(_) if !self.stream.input().is_empty() => return Poll::Ready(Waited::ProtocolError),
                Poll::Ready(_) => return Poll::Ready(Waited::Reset),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// 100, 102 and 103 go through to clients that know them.
    fn pass_interim(&mut self) {
        if self.version == h1::Version::Http11 {
            let (response, version) = (&*self.response, self.version);
            self.client.put(|out| h1::write_response(response, version, false, out));
        }
        self.response.clear();
    }
}

/// Passes an answer on whose head is in memory, its fields already changed.
pub(super) async fn deliver(
    exchange: &mut Exchange<'_>,
    mut upstream: Box<UpstreamConnection>,
    cluster: &Cluster,
) -> After {
    let status = exchange.memory.response.status;
    exchange.outcome.status = status;
    if exchange.outcome.details.is_empty() {
        exchange.outcome.details = "via_upstream";
    }
    cluster.counters().response(status);
    exchange.chain.counters.response(status);
    if exchange.memory.response.tunnel {
        return tunnel(exchange, upstream).await;
    }
    let version = exchange.memory.request.version;
    let length = exchange.memory.response.body;
    exchange.memory.response.body = length.towards(version);
    let last = exchange.connection.is_last(&exchange.chain);
    let unread = !exchange.body.is_complete();
    let close = last
        || unread
        || !exchange.memory.request.keep_alive
        || exchange.memory.response.body == BodyLength::UntilClose;
    let writer = exchange.connection.writer.clone();
    let response = &exchange.memory.response;
    writer.put(|out| h1::write_response(response, version, close, out));
    let mut body = Body::new(BodyDecoder::new(length), exchange.memory.response.body == BodyLength::Chunked);
    let passed = match body.move_pending(&mut upstream.stream, &writer, |_| {}) {
        Err(_) => Err(Interrupted::Upstream),
        Ok(()) if body.is_complete() => Ok(()),
        Ok(()) => pass_body(exchange, &mut upstream, &mut body).await,
    };
    exchange.outcome.bytes_sent = body.moved;
    if let Err(interrupted) = passed {
        interrupted.note(exchange, cluster);
        return After::Close;
    }
    // An upstream that sends a body where there must be none would answer the next request with it.
    let promised =
        length == BodyLength::None && exchange.memory.response.content_length.is_some_and(|length| length > 0);
    let suspicious = exchange.memory.request.method == Method::Head || promised;
    if exchange.memory.response.keep_alive && !unread && !suspicious && length != BodyLength::UntilClose {
        upstream.release();
    }
    if close { After::Close } else { After::NextRequest }
}

/// Why an answer did not get to its end.
enum Interrupted {
    Upstream,
    Client,
    Timeout,
    Silence,
    Closing,
}

impl Interrupted {
    fn note(self, exchange: &mut Exchange<'_>, cluster: &Cluster) {
        let (flags, details) = match self {
            Self::Upstream => {
                (ResponseFlags::UPSTREAM_PROTOCOL_ERROR, "upstream_reset_after_response_started{protocol_error}")
            }
            Self::Client => (ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION, "downstream_remote_disconnect"),
            Self::Timeout => (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
            Self::Silence => (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
            Self::Closing => (ResponseFlags::LOCAL_RESET, LocalReply::closing().details),
        };
        match self {
            Self::Upstream => cluster.counters().upstream_rq_rx_reset.increment(),
            Self::Client => exchange.chain.counters.downstream_rq_rx_reset.increment(),
            Self::Timeout => cluster.counters().upstream_rq_timeout.increment(),
            Self::Silence => exchange.chain.counters.downstream_rq_idle_timeout.increment(),
            Self::Closing => {}
        }
        exchange.outcome.flags |= flags;
        exchange.outcome.details = details;
    }
}

/// Passes the rest of an answer's body on; goes on sending a request that was answered early.
async fn pass_body(
    exchange: &mut Exchange<'_>,
    upstream: &mut UpstreamConnection,
    body: &mut Body,
) -> Result<(), Interrupted> {
    let upstream_writer = upstream.stream.writer();
    let writer = exchange.connection.writer.clone();
    let worker = exchange.connection.worker.clone();
    let (end, idle_timeout) = (exchange.outcome.end, exchange.outcome.idle_timeout);
    let clock = worker.io.clock.clone();
    let alarm = (end.is_some() || idle_timeout.is_some()).then(|| Alarm::new(&worker.timers));
    if let Some(alarm) = &alarm {
        alarm.set(end);
    }
    let silence = alarm.as_ref().zip(idle_timeout);
    let silence = silence.map(|(alarm, bound)| Silence { alarm, clock: &clock, bound, deadline: end });
    if let Some(silence) = &silence {
        silence.begin();
    }
    let silence = silence.as_ref();
    let admission = exchange.connection.admission.clone();
    let mut client = pin!(send_on(&mut exchange.body, &mut exchange.connection.stream, &upstream_writer, silence));
    let mut passing = pin!(body.move_all(&mut upstream.stream, &writer, silence, |_| {}));
    poll_fn(|context| {
        if alarm.as_ref().is_some_and(|alarm| alarm.poll_elapsed(context).is_ready()) {
            clock.invalidate();
            let expired = end.is_some_and(|end| clock.now() >= end);
            return Poll::Ready(Err(if expired { Interrupted::Timeout } else { Interrupted::Silence }));
        }
        if let Poll::Ready(passed) = passing.as_mut().poll(context) {
            return Poll::Ready(passed.map_err(|failure| match failure {
                BodyFailure::Source(_) => Interrupted::Upstream,
                BodyFailure::Sink => Interrupted::Client,
            }));
        }
        if client.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Interrupted::Client));
        }
        admission.poll_wish(context, Wish::Close).map(|()| Err(Interrupted::Closing))
    })
    .await
}

/// Goes on sending a request that was answered early, then waits for the client to go away; ends with it.
async fn send_on(body: &mut Body, client: &mut Stream, upstream: &StreamWriter, silence: Option<&Silence<'_>>) {
    match body.move_all(client, upstream, silence, |_| {}).await {
        Err(BodyFailure::Source(_)) => {}
        // The upstream may answer and not listen.
        Ok(()) | Err(BodyFailure::Sink) => poll_fn(|context| poll_gone(context, client)).await,
    }
}

/// The connection speaks another protocol from here on (101).
async fn tunnel(exchange: &mut Exchange<'_>, mut upstream: Box<UpstreamConnection>) -> After {
    let version = exchange.memory.request.version;
    let response = &exchange.memory.response;
    exchange.connection.writer.put(|out| h1::write_response(response, version, false, out));
    let counters = exchange.chain.counters.clone();
    counters.downstream_cx_upgrades_total.increment();
    counters.downstream_cx_upgrades_active.increment();
    let moved = upgrade::tunnel(exchange.connection, &mut upstream.stream, exchange.outcome.idle_timeout).await;
    counters.downstream_cx_upgrades_active.decrement();
    exchange.body.moved += moved.received;
    exchange.outcome.bytes_sent = moved.returned;
    After::Close
}

/// The host of an authority.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    match colon {
        // The colons of an IPv6 address in brackets do not count.
        Some(colon) if !authority.get(colon..).is_some_and(|rest| rest.contains(&b']')) => {
            authority.get(..colon).unwrap_or(authority)
        }
        _ => authority,
    }
}
