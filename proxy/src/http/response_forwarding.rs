//! An upstream's answer on its way to the client, head and body, or another protocol's bytes from then on.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use h1::{BodyLength, Method, Version};

use super::body::{Body, BodyFailure, Silence};
use super::downstream::Downstream;
use super::exchange::{After, Exchange};
use super::local_reply::LocalReply;
use super::message::Memory;
use super::sink::Sink;
use super::source::Source;
use super::upgrade;
use super::upstream_request::UpstreamAnswer;
use crate::http2::{Code, Reset};
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::Cluster;
use crate::worker::timer::Alarm;

/// Passes an answer on whose head is in memory, its fields already changed.
pub(super) async fn deliver(exchange: &mut Exchange<'_>, mut upstream: UpstreamAnswer<'_>, cluster: &Cluster) -> After {
    cluster.counters().response(exchange.memory.response.status);
    exchange.chain.counters.response(exchange.memory.response.status);
    if exchange.memory.response.tunnel {
        let sink = upstream.sink();
        return tunnel(exchange, &mut upstream.source(), &sink).await;
    }
    let mut delivery = Delivery::begin(exchange, &upstream.source());
    let mut passed = delivery.pass_received(exchange, &mut upstream.source());
    if passed.is_ok() && !delivery.body.is_complete() {
        passed = pass_body(exchange, &mut upstream, &mut delivery.body).await;
    }
    exchange.memory.outcome.bytes_sent = delivery.body.moved;
    exchange.memory.trailers = delivery.body.trailers.take();
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
    fn begin(exchange: &mut Exchange<'_>, source: &Source<'_>) -> Self {
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
        let upgrade_failed = request.upgrade().is_some();
        let close = last || upgrade_failed || unread || !request.keep_alive || response.body == BodyLength::UntilClose;
        exchange.downstream.sink.put_response(request.version, response, close, response.body.is_empty());
        // An upstream that sends a body where there must be none would answer the next request with it.
        let promised = length == BodyLength::None && response.content_length.is_some_and(|length| length > 0);
        let suspicious = request.method == Method::Head || promised;
        let mut body = Body::new(source, length, response.body == BodyLength::Chunked);
        body.trailers = exchange.memory.trailers.take();
        Self {
            body,
            after: if close { After::Close } else { After::NextRequest },
            reusable: response.keep_alive && !unread && !suspicious && length != BodyLength::UntilClose,
        }
    }

    /// Puts what came with the head.
    fn pass_received(&mut self, exchange: &Exchange<'_>, upstream: &mut Source<'_>) -> Result<(), Interrupted> {
        let moved = self.body.move_pending(upstream, &exchange.downstream.sink, |_| {});
        moved.map_err(|_| Interrupted::Upstream)
    }
}

/// Why an answer did not get to its end.
enum Interrupted {
    Upstream,
    /// The endpoint reset the stream.
    RemoteReset,
    /// It did so in the words for a request that it had not begun with.
    Refused,
    /// The endpoint closed the connection with the stream.
    Termination,
    Client,
    Timeout,
    Silence,
    Closing,
}

impl Interrupted {
    fn note(self, exchange: &mut Exchange<'_>, cluster: &Cluster) {
        let (flags, details) = match self {
            Self::Refused => (
                ResponseFlags::UPSTREAM_REMOTE_RESET,
                "upstream_reset_after_response_started{remote_refused_stream_reset}",
            ),
            Self::Upstream => {
                (ResponseFlags::UPSTREAM_PROTOCOL_ERROR, "upstream_reset_after_response_started{protocol_error}")
            }
            Self::RemoteReset => {
                (ResponseFlags::UPSTREAM_REMOTE_RESET, "upstream_reset_after_response_started{remote_reset}")
            }
            Self::Termination => (
                ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
                "upstream_reset_after_response_started{connection_termination}",
            ),
            Self::Client => exchange.downstream.departure(),
            Self::Timeout => (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
            Self::Silence => (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
            Self::Closing => (ResponseFlags::LOCAL_RESET, LocalReply::closing().details),
        };
        match self {
            Self::Upstream | Self::RemoteReset | Self::Refused | Self::Termination => {
                cluster.counters().upstream_rq_rx_reset.increment()
            }
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
    upstream: &mut UpstreamAnswer<'_>,
    body: &mut Body,
) -> Result<(), Interrupted> {
    let upstream_sink = upstream.sink();
    let sink = exchange.downstream.sink.clone();
    let worker = exchange.downstream.worker().clone();
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
    let Downstream { source: client, connection, .. } = &mut exchange.downstream;
    let mut client = pin!(send_on(&mut exchange.body, client, &upstream_sink, silence));
    let mut source = upstream.source();
    let mut passing = pin!(body.move_all(&mut source, &sink, silence, |_| {}));
    poll_fn(|context| {
        if alarm.as_ref().is_some_and(|alarm| alarm.poll_elapsed(context).is_ready()) {
            clock.invalidate();
            let expired = end.is_some_and(|end| clock.now() >= end);
            return Poll::Ready(Err(if expired { Interrupted::Timeout } else { Interrupted::Silence }));
        }
        if let Poll::Ready(passed) = passing.as_mut().poll(context) {
            return Poll::Ready(passed.map_err(|failure| match failure {
                BodyFailure::Source(_) => Interrupted::Upstream,
                BodyFailure::Reset(Reset::ByPeer(Code::REFUSED_STREAM)) => Interrupted::Refused,
                BodyFailure::Reset(Reset::ByPeer(_)) => Interrupted::RemoteReset,
                BodyFailure::Reset(Reset::ConnectionGone) => Interrupted::Termination,
                BodyFailure::Reset(Reset::ByCodec(_) | Reset::BrokenConnection) => Interrupted::Upstream,
                BodyFailure::Sink => Interrupted::Client,
            }));
        }
        if client.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Interrupted::Client));
        }
        connection.poll_close(context).map(|()| Err(Interrupted::Closing))
    })
    .await
}

/// Goes on sending a request that was answered early, then waits for the client to go away; ends with it.
async fn send_on(body: &mut Body, client: &mut Source<'_>, upstream: &Sink, silence: Option<&Silence<'_>>) {
    match body.move_all(client, upstream, silence, |_| {}).await {
        Err(BodyFailure::Source(_) | BodyFailure::Reset(_)) => {}
        // The upstream may answer and not listen.
        Ok(()) | Err(BodyFailure::Sink) => poll_fn(|context| client.poll_gone(context)).await,
    }
}

/// The connection speaks another protocol from here on (101).
async fn tunnel(exchange: &mut Exchange<'_>, upstream: &mut Source<'_>, sink: &Sink) -> After {
    let Memory { request, response, .. } = &*exchange.memory;
    exchange.downstream.sink.put_response(request.version, response, false, false);
    let counters = exchange.chain.counters.clone();
    counters.downstream_cx_upgrades_total.increment();
    let _active = counters.downstream_cx_upgrades_active.hold();
    let moved = upgrade::tunnel(&mut exchange.downstream, upstream, sink, exchange.memory.outcome.idle_timeout).await;
    exchange.body.moved += moved.received;
    exchange.memory.outcome.bytes_sent = moved.returned;
    let (flags, details) = match moved.end {
        upgrade::End::Both => return After::Close,
        upgrade::End::Client => exchange.downstream.departure(),
        upgrade::End::Upstream => (
            ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
            "upstream_reset_after_response_started{connection_termination}",
        ),
        upgrade::End::Silence => (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
        upgrade::End::Closing => (ResponseFlags::LOCAL_RESET, LocalReply::closing().details),
    };
    exchange.memory.outcome.flags |= flags;
    exchange.memory.outcome.details = details;
    After::Close
}
