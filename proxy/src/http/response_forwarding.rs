//! An upstream's answer on its way to the client, head and body, or another protocol's bytes from then on.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use h1::{BodyDecoder, BodyLength, Method};

use super::body::{Body, BodyFailure, Silence};
use super::exchange::{After, Exchange};
use super::local_reply::LocalReply;
use super::upgrade;
use super::upstream_request::{UpstreamAnswer, poll_gone};
use crate::io::{Stream, StreamWriter};
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::{Cluster, UpstreamConnection};
use crate::worker::connection::Wish;
use crate::worker::timer::Alarm;

/// Passes an answer on whose head is in memory, its fields already changed.
pub(super) async fn deliver(exchange: &mut Exchange<'_>, mut upstream: UpstreamAnswer<'_>, cluster: &Cluster) -> After {
    cluster.counters().response(exchange.memory.response.status);
    exchange.chain.counters.response(exchange.memory.response.status);
    if exchange.memory.response.tunnel {
        return tunnel(exchange, upstream.connection()).await;
    }
    let mut delivery = Delivery::begin(exchange);
    let mut passed = delivery.pass_received(exchange, upstream.connection());
    if passed.is_ok() && !delivery.body.is_complete() {
        passed = pass_body(exchange, upstream.connection(), &mut delivery.body).await;
    }
    exchange.memory.outcome.bytes_sent = delivery.body.moved;
    if let Err(interrupted) = passed {
        interrupted.note(exchange, cluster);
        return After::Close;
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
    fn begin(exchange: &mut Exchange<'_>) -> Self {
        let last = exchange.connection.is_last(&exchange.chain);
        let unread = !exchange.body.is_complete();
        let (request, response) = (&exchange.memory.request, &mut exchange.memory.response);
        let length = response.body;
        response.body = length.towards(request.version);
        let close = last || unread || !request.keep_alive || response.body == BodyLength::UntilClose;
        exchange.connection.writer.put(|out| h1::write_response(response, request.version, close, out));
        // An upstream that sends a body where there must be none would answer the next request with it.
        let promised = length == BodyLength::None && response.content_length.is_some_and(|length| length > 0);
        let suspicious = request.method == Method::Head || promised;
        Self {
            body: Body::new(BodyDecoder::new(length), response.body == BodyLength::Chunked),
            after: if close { After::Close } else { After::NextRequest },
            reusable: response.keep_alive && !unread && !suspicious && length != BodyLength::UntilClose,
        }
    }

    /// Puts what came with the head.
    fn pass_received(&mut self, exchange: &Exchange<'_>, upstream: &mut UpstreamConnection) -> Result<(), Interrupted> {
        let moved = self.body.move_pending(&mut upstream.stream, &exchange.connection.writer, |_| {});
        moved.map_err(|_| Interrupted::Upstream)
    }
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
        exchange.memory.outcome.flags |= flags;
        exchange.memory.outcome.details = details;
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
async fn tunnel(exchange: &mut Exchange<'_>, upstream: &mut UpstreamConnection) -> After {
    let version = exchange.memory.request.version;
    let response = &exchange.memory.response;
    exchange.connection.writer.put(|out| h1::write_response(response, version, false, out));
    let counters = exchange.chain.counters.clone();
    counters.downstream_cx_upgrades_total.increment();
    let _active = counters.downstream_cx_upgrades_active.hold();
    let moved = upgrade::tunnel(exchange.connection, &mut upstream.stream, exchange.memory.outcome.idle_timeout).await;
    exchange.body.moved += moved.received;
    exchange.memory.outcome.bytes_sent = moved.returned;
    After::Close
}
