//! A connection that another edge wants to have to a service here: its cluster, an endpoint, bytes both ways.

use std::rc::Rc;
use std::task::Poll;

use overlay::link::LinkStream;
use overlay::tunnel::Incoming;
use overlay_wire::call::Outcome;

use super::node::EdgeNode;
use crate::io::Stream;
use crate::tcp::copy::{Limits, copy};
use crate::tcp::upstream::{self, Failure, Upstream};
use crate::tcp::{LONGEST_FLUSH, flush};
use crate::worker::Worker;
use crate::worker::timer::Alarm;

/// Calls of one edge that a worker serves at a time: each has a connection to the service.
const MOST_CALLS_OF_EDGE: usize = 4_096;

/// Serves a call from its beginning to its end.
pub(super) async fn answer(worker: Rc<Worker>, edge: Rc<EdgeNode>, incoming: Incoming) {
    let counters = edge.counters();
    counters.incoming_total.increment();
    let _active = counters.incoming_active.hold();
    let (host, port) = (incoming.call.host.clone(), incoming.call.port);
    let from = incoming.peer.name().to_owned();
    let Some(_place) = edge.calls_of.take(from.clone(), MOST_CALLS_OF_EDGE) else {
        counters.incoming_overloaded.increment();
        return refuse(incoming, Outcome::Overloaded, "too many calls of this edge").await;
    };
    let Some(incoming) = allows_caller(&worker, &edge, incoming).await else { return };
    let Some(cluster) = edge.cluster(&host, port) else {
        counters.incoming_not_exported.increment();
        tracing::debug!(edge = from, "asks for {host}:{port}, which is not offered");
        return refuse(incoming, Outcome::NotExported, "").await;
    };
    // What other edges have is theirs to ask for: two that sent a call back to each other would do so for ever.
    let is_elsewhere = |address: &str| address.parse().is_ok_and(|address| edge.way(address).is_some());
    let chosen = upstream::choose(&cluster, &worker).await.and_then(|chosen| chosen.avoiding(is_elsewhere));
    let connected = match chosen {
        Ok(chosen) => chosen.connect(None).await,
        Err(failure) => Err(failure),
    };
    match connected {
        Ok(upstream) => match incoming.answer(Outcome::Connected, "").await {
            Ok(stream) => relay(&worker, stream, upstream).await,
            Err(error) => tracing::debug!(edge = from, "is gone before it could be answered: {error}"),
        },
        Err(failure) => {
            counters.incoming_unreachable.increment();
            let (outcome, reason) = match failure {
                Failure::Overflow => (Outcome::Overloaded, "the circuit breaker is open".to_owned()),
                Failure::Connect(reason) => (Outcome::Unreachable, reason),
                Failure::NoCluster | Failure::NoHealthyUpstream => {
                    (Outcome::Unreachable, "no healthy endpoint".to_owned())
                }
            };
            refuse(incoming, outcome, &reason).await;
        }
    }
}

/// The call, unless it is refused because of who calls.
pub(super) async fn allows_caller(worker: &Worker, edge: &EdgeNode, incoming: Incoming) -> Option<Incoming> {
    let from = incoming.peer.name();
    let Err(refusal) = edge.check_caller(from, &incoming.call.caller) else { return Some(incoming) };
    edge.counters().incoming_forbidden.increment();
    if let Some(count) = edge.refused_callers.happened(worker.io.clock.now()) {
        tracing::warn!(edge = from, count, "a call is refused: {refusal}");
    }
    refuse(incoming, Outcome::Forbidden, &refusal.to_string()).await;
    None
}

pub(super) async fn refuse(incoming: Incoming, outcome: Outcome, reason: &str) {
    // Who is gone needs no answer.
    drop(incoming.answer(outcome, reason).await);
}

async fn relay(worker: &Worker, stream: LinkStream, mut upstream: Upstream) {
    let mut stream = Stream::overlay(stream, &worker.io);
    let alarm = Alarm::new(&worker.timers);
    // How long a connection may be idle is for the edge to say that has its configuration: that of the client.
    let limits = Limits { alarm: &alarm, idle: None, end: None };
    let counters = upstream.cluster.counters();
    let moved = |received, returned| {
        counters.upstream_cx_tx_bytes_total.add(received);
        counters.upstream_cx_rx_bytes_total.add(returned);
    };
    let other_side = &mut upstream.connection.stream;
    copy(&mut stream, other_side, &worker.io, &limits, moved, |_| Poll::Pending).await;
    alarm.set_after(Some(LONGEST_FLUSH));
    flush(&stream, other_side, &alarm).await;
}
