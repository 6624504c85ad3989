//! An upstream's answer on its way to the client, head and body, or another protocol's bytes from then on.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use h1::{BodyLength, Method, Version};

use super::body::{Body, BodyFailure, Silence};
use super::departure::Departure;
use super::downstream::Downstream;
use super::exchange::{After, Exchange};
use super::local_reply::LocalReply;
use super::message::Memory;
use super::pace::Pace;
use super::sink::Sink;
use super::source::Source;
use super::upgrade::{self, Halves};
use super::upstream_request::UpstreamAnswer;
use super::upstream_reset::UpstreamReset;
use crate::http2::Code;
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::Cluster;
use crate::worker::timer::Alarm;

/// Passes an answer on whose head is in memory, its fields already changed.
pub(super) async fn deliver(exchange: &mut Exchange<'_>, mut upstream: UpstreamAnswer<'_>, cluster: &Cluster) -> After {
    cluster.counters().response(exchange.memory.response.status);
    exchange.chain.counters.response(exchange.memory.response.status);
    if exchange.memory.response.tunnel {
        let sink = upstream.sink();
        let halves = if upstream.is_tunnel_end() { Halves::Each } else { Halves::Together };
        return tunnel(exchange, &mut upstream.source(), &sink, halves, cluster).await;
    }
    let mut delivery = Delivery::begin(exchange, &upstream.source());
    let mut passed = delivery.pass_received(exchange, &mut upstream.source());
    if passed.is_ok() && !delivery.body.is_complete() {
        passed = pass_body(exchange, &mut upstream, &mut delivery.body).await;
    }
    exchange.memory.outcome.bytes_sent = delivery.body.moved;
    exchange.memory.trailers = delivery.body.trailers.take();
    if matches!(passed, Err(Interrupted::Upstream(_))) {
        upstream.report_broken();
    }
    if let Err(interrupted) = passed {
        interrupted.note(exchange, cluster);
        if exchange.memory.response.body == BodyLength::UntilClose {
            // A proper end would say that the answer is whole (RFC 9112 section 8).
            exchange.downstream.source.reset(Code::CANCEL);
            return After::Reset;
        }
        return interrupted.after();
    }
    if delivery.reusable {
        upstream.release();
    }
    delivery.after
}

/// An answer on its way.
struct Delivery {
    body: Body,
    /// Of the client's connection, if all goes well.
    after: After,
    /// The upstream's connection may serve other requests afterwards.
    reusable: bool,
}

impl Delivery {
    /// Puts the head.
    fn begin(exchange: &mut Exchange<'_>, source: &Source<'_>) -> Self {
        exchange.downstream.connection.note_answer(&exchange.chain);
        let last = exchange.downstream.connection.is_last(&exchange.chain);
        let unread = !exchange.body.is_complete();
        let (request, response) = (&exchange.memory.request, &mut exchange.memory.response);
        let length = response.body;
        response.body = length.towards(request.version);
        let bodiless = request.method == Method::Head || matches!(response.status, 204 | 304);
        let is_unsaid = length == BodyLength::None && response.content_length.is_none() && !bodiless;
        if is_unsaid && request.version != Version::Http2 {
            // The end of a stream says that nothing follows; HTTP/1 needs words for it.
            response.body = BodyLength::Fixed(0);
        }
        if bodiless && response.body == BodyLength::Chunked {
            // The stream may end later than its head, but there is nothing to put into chunks.
            response.body = BodyLength::None;
        }
        // Whoever asked for another protocol and does not get it may have sent bytes of it already.
        let upgrade_failed = request.upgrade().is_some() || request.method == Method::Connect;
        let close = last || upgrade_failed || unread || !request.keep_alive || response.body == BodyLength::UntilClose;
        exchange.downstream.sink.put_response(request.version, response, close, response.body.is_empty());
        let mut body = Body::new(source, length, response.body == BodyLength::Chunked);
        body.trailers = exchange.memory.trailers.take();
        Self {
            body,
            after: if close { After::Close } else { After::NextRequest },
            // A body where there must be none (HEAD, 304) is seen by the pool.
            reusable: response.keep_alive && !unread && length != BodyLength::UntilClose,
        }
    }

    /// Puts what came with the head.
    fn pass_received(&mut self, exchange: &Exchange<'_>, upstream: &mut Source<'_>) -> Result<(), Interrupted> {
        let moved = self.body.move_pending(upstream, &exchange.downstream.sink, |_| false);
        moved.map_err(|_| Interrupted::Upstream(UpstreamReset::Protocol))
    }
}

/// Why an answer did not get to its end.
#[derive(Clone, Copy)]
enum Interrupted {
    Upstream(UpstreamReset),
    Client,
    Timeout,
    Silence,
    TooSlow,
    Closing,
}

impl Interrupted {
    /// What the log line says.
    fn facts(self, downstream: &Downstream<'_>) -> (ResponseFlags, &'static str) {
        match self {
            Self::Upstream(reset) => (reset.flags(), details(reset)),
            Self::Client => downstream.departure(),
            Self::Timeout => (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
            Self::Silence => (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
            Self::TooSlow => (ResponseFlags::STREAM_IDLE_TIMEOUT, LocalReply::too_slow().details),
            Self::Closing => (ResponseFlags::LOCAL_RESET, LocalReply::closing().details),
        }
    }

    fn note(self, exchange: &mut Exchange<'_>, cluster: &Cluster) {
        let (flags, details) = self.facts(&exchange.downstream);
        match self {
            Self::Upstream(_) => cluster.counters().upstream_rq_rx_reset.increment(),
            Self::Client => exchange.chain.counters.downstream_rq_rx_reset.increment(),
            Self::Timeout => cluster.counters().upstream_rq_timeout.increment(),
            Self::Silence => exchange.chain.counters.downstream_rq_idle_timeout.increment(),
            Self::TooSlow => exchange.chain.counters.downstream_rq_too_slow.increment(),
            Self::Closing => {}
        }
        exchange.memory.outcome.flags |= flags;
        exchange.memory.outcome.details = details;
    }

    /// What we have ended ourselves is not waited for any more.
    fn after(self) -> After {
        match self {
            Self::Timeout | Self::Silence | Self::TooSlow | Self::Closing => After::CutOff,
            Self::Upstream(_) | Self::Client => After::Close,
        }
    }
}

/// What the log says of an endpoint that broke its answer off.
fn details(reset: UpstreamReset) -> &'static str {
    match reset {
        UpstreamReset::Termination => "upstream_reset_after_response_started{connection_termination}",
        UpstreamReset::Protocol | UpstreamReset::BrokenConnection => {
            "upstream_reset_after_response_started{protocol_error}"
        }
        UpstreamReset::Remote => "upstream_reset_after_response_started{remote_reset}",
        UpstreamReset::Refused => "upstream_reset_after_response_started{remote_refused_stream_reset}",
    }
}

/// Passes the rest of an answer's body on; goes on sending a request that was answered early.
async fn pass_body(
    exchange: &mut Exchange<'_>,
    upstream: &mut UpstreamAnswer<'_>,
    body: &mut Body,
) -> Result<(), Interrupted> {
    let upstream_sink = upstream.sink();
    let sink = exchange.downstream.sink.clone();
    let worker = exchange.downstream.worker().clone();
    body.pace = Pace::of_answer(&exchange.memory.response, &worker);
    let (end, idle_timeout) = (exchange.memory.outcome.end, exchange.memory.outcome.idle_timeout);
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
    let mut departure = Departure::new(&worker);
    let Downstream { source: client, connection, .. } = &mut exchange.downstream;
    let mut client = pin!(send_on(&mut exchange.body, client, &upstream_sink, silence, &mut departure, &sink));
    let mut source = upstream.source();
    let mut passing = pin!(body.move_all(&mut source, &sink, silence, |_| false));
    poll_fn(|context| {
        if alarm.as_ref().is_some_and(|alarm| alarm.poll_elapsed(context).is_ready()) {
            clock.invalidate();
            let expired = end.is_some_and(|end| clock.now() >= end);
            return Poll::Ready(Err(if expired { Interrupted::Timeout } else { Interrupted::Silence }));
        }
        if let Poll::Ready(passed) = passing.as_mut().poll(context) {
            return Poll::Ready(passed.map_err(|failure| match failure {
                BodyFailure::Source(_) => Interrupted::Upstream(UpstreamReset::Protocol),
                BodyFailure::Reset(reset) => Interrupted::Upstream(reset.into()),
                BodyFailure::Sink => Interrupted::Client,
                BodyFailure::TooSlow => Interrupted::TooSlow,
            }));
        }
        if let Poll::Ready(interrupted) = client.as_mut().poll(context) {
            return Poll::Ready(Err(interrupted));
        }
        connection.poll_close(context).map(|()| Err(Interrupted::Closing))
    })
    .await
}

/// Goes on sending a request that was answered early, then waits for the client to go away; ends with it.
async fn send_on(
    body: &mut Body,
    client: &mut Source<'_>,
    upstream: &Sink,
    silence: Option<&Silence<'_>>,
    departure: &mut Departure<'_>,
    sink: &Sink,
) -> Interrupted {
    match body.move_all(client, upstream, silence, |_| false).await {
        Err(BodyFailure::TooSlow) => return Interrupted::TooSlow,
        Err(BodyFailure::Source(_) | BodyFailure::Reset(_)) => {}
        // The upstream may answer and not listen.
        Ok(()) | Err(BodyFailure::Sink) => poll_fn(|context| departure.poll(context, client, sink)).await,
    }
    Interrupted::Client
}

/// The connection speaks another protocol from here on (101, or 2xx to CONNECT).
async fn tunnel(
    exchange: &mut Exchange<'_>,
    upstream: &mut Source<'_>,
    sink: &Sink,
    halves: Halves,
    cluster: &Cluster,
) -> After {
    let Memory { request, response, .. } = &*exchange.memory;
    exchange.downstream.sink.put_response(request.version, response, false, false);
    let counters = exchange.chain.counters.clone();
    counters.downstream_cx_upgrades_total.increment();
    let _active = counters.downstream_cx_upgrades_active.hold();
    let idle = exchange.memory.outcome.idle_timeout;
    // RFC 9113 section 8.5, RFC 8441 section 5
    let is_plain_connect = exchange.memory.request.method == Method::Connect;
    let code = if is_plain_connect { Code::CONNECT_ERROR } else { Code::CANCEL };
    let moved = upgrade::tunnel(&mut exchange.downstream, upstream, sink, halves, idle, code).await;
    exchange.body.moved += moved.received;
    exchange.memory.outcome.bytes_sent = moved.returned;
    let interrupted = match moved.end {
        upgrade::End::Both => return After::Close,
        // A tunnel ends with the endpoint's connection.
        upgrade::End::Upstream if is_plain_connect && !moved.is_reset => return After::Close,
        upgrade::End::Client => Interrupted::Client,
        upgrade::End::Upstream => upstream_end(upstream),
        upgrade::End::Silence => Interrupted::Silence,
        upgrade::End::Closing => Interrupted::Closing,
    };
    interrupted.note(exchange, cluster);
    if moved.is_reset { After::Reset } else { After::Close }
}

/// How an endpoint ended a tunnel.
fn upstream_end(upstream: &Source<'_>) -> Interrupted {
    match upstream {
        Source::Http2(stream) => {
            Interrupted::Upstream(stream.why_reset().map_or(UpstreamReset::Termination, UpstreamReset::from))
        }
        Source::Http1(_) => Interrupted::Upstream(UpstreamReset::Termination),
    }
}
