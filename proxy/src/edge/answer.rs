//! A connection that another edge wants to have to a service here: its cluster, an endpoint, bytes both ways, and its line in the log.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use overlay::link::LinkStream;
use overlay::node::Place;
use overlay::tunnel::Incoming;
use overlay_wire::call::{Call, Outcome};

use super::counters::EdgeCounters;
use super::node::EdgeNode;
use super::shares::share;
use super::tables::NoCluster;
use crate::io::Stream;
use crate::tcp::copy::{Limits, copy};
use crate::tcp::upstream::{self, Failure, Upstream};
use crate::tcp::{LONGEST_FLUSH, flush};
use crate::worker::Worker;
use crate::worker::timer::Alarm;

/// Calls of one edge that a worker serves at a time: each has a connection to the service.
const MOST_CALLS_OF_EDGE: usize = 4_096;
/// A call on which nothing moves for so long ends, as Istio's default for connections is. The edge that makes it may end it sooner.
const IDLE: Duration = Duration::from_hours(1);

/// Bytes of a call, from the other edge and to it.
#[derive(Debug, Default)]
struct Bytes {
    received: Cell<u64>,
    sent: Cell<u64>,
}

/// What a call is answered with.
pub(super) struct Refusal {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into() }
    }
}

/// Serves a call from its beginning to its end, and says in the log what became of it.
pub(super) async fn answer(worker: Rc<Worker>, edge: Rc<EdgeNode>, incoming: Incoming) {
    let begun = worker.io.clock.now();
    let counters = edge.counters();
    counters.incoming_total.increment();
    let _active = counters.incoming_active.hold();
    let (from, call) = (incoming.peer.name().to_owned(), incoming.call.clone());
    let bytes = Bytes::default();
    let (outcome, reason) = match connect(&worker, &edge, &from, &incoming).await {
        Ok((_place, upstream)) => match incoming.answer(Outcome::Connected, "").await {
            Ok(stream) => {
                relay(&worker, stream, upstream, &bytes).await;
                (Outcome::Connected, String::new())
            }
            Err(error) => (Outcome::Connected, format!("it is gone before it could be answered: {error}")),
        },
        Err(Refusal { outcome, reason }) => {
            // Who is gone needs no answer.
            drop(incoming.answer(outcome, &reason).await);
            (outcome, reason)
        }
    };
    tracing::debug!(
        edge = from,
        caller = ?call.caller,
        host = ?call.host,
        port = call.port,
        received = bytes.received.get(),
        sent = bytes.sent.get(),
        duration = ?worker.io.clock.now().saturating_duration_since(begun),
        ?reason,
        "a call of another edge: {outcome}"
    );
}

/// The endpoint's side of a call, and the place that the call has among those of its edge.
async fn connect(
    worker: &Rc<Worker>,
    edge: &EdgeNode,
    from: &str,
    incoming: &Incoming,
) -> Result<(Place<String>, Upstream), Refusal> {
    let (counters, call) = (edge.counters(), &incoming.call);
    let Some(place) = edge.calls_of.take(from.to_owned(), share(edge.workers, MOST_CALLS_OF_EDGE)) else {
        counters.incoming_overloaded.increment();
        return Err(Refusal::new(Outcome::Overloaded, "too many calls of this edge"));
    };
    check_caller(worker, edge, from, call)?;
    let cluster = edge.cluster(from, &call.host, call.port).map_err(|problem| not_offered(edge, problem))?;
    // What other edges have is theirs to ask for: two that sent a call back to each other would do so for ever.
    let is_elsewhere = |address: &str| address.parse().is_ok_and(|address| edge.way(address).is_some());
    let chosen = upstream::choose(&cluster, None, worker).await.and_then(|chosen| chosen.avoiding(is_elsewhere));
    let connected = match chosen {
        Ok(chosen) => chosen.connect(None).await,
        Err(failure) => Err(failure),
    };
    Ok((place, connected.map_err(|failure| not_connected(counters, failure))?))
}

/// Counts a call that got as far as its service, and no further.
fn not_connected(counters: &EdgeCounters, failure: Failure) -> Refusal {
    let reason = match failure {
        Failure::Overflow => {
            counters.incoming_overloaded.increment();
            return Refusal::new(Outcome::Overloaded, "the circuit breaker is open");
        }
        Failure::Connect(reason) => reason,
        Failure::NoCluster | Failure::NoHealthyUpstream => "no healthy endpoint".to_owned(),
    };
    counters.incoming_unreachable.increment();
    Refusal::new(Outcome::Unreachable, reason)
}

/// Refuses a call because of who makes it.
pub(super) fn check_caller(worker: &Worker, edge: &EdgeNode, from: &str, call: &Call) -> Result<(), Refusal> {
    let Err(refusal) = edge.check_caller(from, &call.caller) else { return Ok(()) };
    edge.counters().incoming_forbidden.increment();
    if let Some(count) = edge.refused_callers.happened(worker.io.clock.now()) {
        tracing::warn!(edge = from, count, "a call is refused: {refusal}");
    }
    Err(Refusal::new(Outcome::Forbidden, refusal.to_string()))
}

/// Whoever may not call a service hears the same as where it is not offered.
pub(super) fn not_offered(edge: &EdgeNode, problem: NoCluster) -> Refusal {
    match problem {
        NoCluster::NotOffered => edge.counters().incoming_not_exported.increment(),
        NoCluster::NotToThisEdge => edge.counters().incoming_not_to_edge.increment(),
    }
    Refusal::new(Outcome::NotExported, "")
}

async fn relay(worker: &Worker, stream: LinkStream, mut upstream: Upstream, bytes: &Bytes) {
    let mut stream = Stream::overlay(stream, &worker.io);
    let alarm = Alarm::new(&worker.timers);
    let limits = Limits { alarm: &alarm, idle: Some(IDLE), end: None };
    let counters = upstream.cluster.counters();
    let moved = |received, returned| {
        counters.upstream_cx_tx_bytes_total.add(received);
        counters.upstream_cx_rx_bytes_total.add(returned);
        bytes.received.set(bytes.received.get() + received);
        bytes.sent.set(bytes.sent.get() + returned);
    };
    let other_side = &mut upstream.connection.stream;
    copy(&mut stream, other_side, &worker.io, &limits, moved, |_| Poll::Pending).await;
    alarm.set_after(Some(LONGEST_FLUSH));
    flush(&stream, other_side, &alarm).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_edge_is_told_is_what_is_counted() {
        let counters = EdgeCounters::new("overlay.");
        let told = [Failure::Overflow, Failure::Connect("refused".to_owned()), Failure::NoHealthyUpstream]
            .map(|failure| not_connected(&counters, failure).outcome);
        assert_eq!(told, [Outcome::Overloaded, Outcome::Unreachable, Outcome::Unreachable]);
        assert_eq!((counters.incoming_overloaded.get(), counters.incoming_unreachable.get()), (1, 2));
    }
}
