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
    let status = exchange.memory.response.status;
    exchange.memory.outcome.status = status;
    if exchange.memory.outcome.details.is_empty() {
        exchange.memory.outcome.details = "via_upstream";
    }
    cluster.counters().response(status);
    exchange.chain.counters.response(status);
    if exchange.memory.response.tunnel {
        return tunnel(exchange, upstream.connection()).await;
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
    let passed = match body.move_pending(&mut upstream.connection().stream, &writer, |_| {}) {
        Err(_) => Err(Interrupted::Upstream),
        Ok(()) if body.is_complete() => Ok(()),
        Ok(()) => pass_body(exchange, upstream.connection(), &mut body).await,
    };
    exchange.memory.outcome.bytes_sent = body.moved;
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
