//! Counters of the overlay.

use std::cell::Cell;

use overlay::tunnel::CallError;
use overlay_wire::call::Outcome;

use crate::telemetry::counter::counters;

counters! {
    /// `overlay.*`, of each worker.
    pub struct EdgeCounters {
        /// Connections to services of other edges.
        outgoing_total: Counter,
        /// Those that did not come about, in the time that they were waited for.
        outgoing_failed: Counter,
        /// Those of them whose edge has no link to any hub, or has just not answered others.
        outgoing_silent: Counter,
        /// Those of them that had no tunnel, or whose tunnel broke.
        outgoing_no_tunnel: Counter,
        /// Those of them that had no answer in the time that they were waited for.
        outgoing_timeout: Counter,
        /// Those of them that the other edge refused because it does not offer the service to this one.
        outgoing_not_exported: Counter,
        /// Those of them that the other edge refused because no endpoint takes them.
        outgoing_unreachable: Counter,
        /// Those of them that the other edge refused because there are too many.
        outgoing_overloaded: Counter,
        /// Those of them that the other edge refused because of the caller.
        outgoing_forbidden: Counter,
        /// Clients of the mesh that were refused because they spoke clear text.
        entrance_clear_text: Counter,
        /// Those that asked for a service which is not there.
        entrance_server_name: Counter,
        /// Those of a service whose edge could not be reached.
        entrance_unreachable: Counter,
        /// Those with whom no hands could be shaken: their certificate is not good, or our own is not there.
        entrance_handshake: Counter,
        /// Flows of datagrams to UDP services of other edges, by client.
        datagram_flows_total: Counter,
        /// Those that are open.
        datagram_flows_active: Gauge,
        /// Those that found no edge.
        datagram_flows_failed: Counter,
        /// How often one has gone on at another edge.
        datagram_flows_moved: Counter,
        /// Those that ended because others needed their places.
        datagram_flows_displaced: Counter,
        /// Datagrams of clients that found no room, or no edge in time.
        datagram_dropped: Counter,
        /// Flows of other edges to UDP services here.
        datagram_incoming_total: Counter,
        /// Those that are open.
        datagram_incoming_active: Gauge,
        /// Connections of other edges to services here.
        incoming_total: Counter,
        /// Those that are open.
        incoming_active: Gauge,
        /// Those to services that are not offered.
        incoming_not_exported: Counter,
        /// Those to services that are offered to other edges, but not to the one that calls.
        incoming_not_to_edge: Counter,
        /// Those of a caller for whom the edge may not speak.
        incoming_forbidden: Counter,
        /// Those of an edge that had too many, or of a service whose circuit breaker is open.
        incoming_overloaded: Counter,
        /// Those that no endpoint could be found for.
        incoming_unreachable: Counter,
    }
}

counters! {
    /// `overlay.*`, of `edge.yaml`.
    pub struct ConfigCounters {
        /// How often it was read again and put in force.
        configuration_loaded: Counter,
        /// How often it was refused, and what was in force stayed so.
        configuration_rejected: Counter,
    }
}

/// A connection to a service of another edge that does not exist yet. It has failed unless it has succeeded: whoever waits for it may have waited for
/// too long, and gone.
pub(super) struct Outgoing<'c> {
    counters: &'c EdgeCounters,
    is_over: Cell<bool>,
}

impl<'c> Outgoing<'c> {
    pub(super) fn new(counters: &'c EdgeCounters) -> Self {
        counters.outgoing_total.increment();
        Self { counters, is_over: Cell::new(false) }
    }

    pub(super) fn succeeded(&self) {
        self.is_over.set(true);
    }

    pub(super) fn failed(&self, error: &CallError) {
        self.is_over.set(true);
        self.counters.outgoing_failed.increment();
        let reason = match error {
            CallError::Away { .. } | CallError::Silent { .. } => &self.counters.outgoing_silent,
            CallError::Timeout(_) => &self.counters.outgoing_timeout,
            CallError::Refused { outcome: Outcome::NotExported, .. } => &self.counters.outgoing_not_exported,
            CallError::Refused { outcome: Outcome::Unreachable, .. } => &self.counters.outgoing_unreachable,
            CallError::Refused { outcome: Outcome::Overloaded, .. } => &self.counters.outgoing_overloaded,
            CallError::Refused { outcome: Outcome::Forbidden, .. } => &self.counters.outgoing_forbidden,
            // What a later version says has no counter yet.
            CallError::Refused { .. } => return,
            CallError::Tunnel { .. } | CallError::Broke(_) => &self.counters.outgoing_no_tunnel,
        };
        reason.increment();
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if !self.is_over.get() {
            self.counters.outgoing_failed.increment();
            self.counters.outgoing_timeout.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_is_counted_once_and_by_its_reason() {
        let counters = EdgeCounters::new("overlay.");
        let edge = || "b".to_owned();
        let refused = |outcome| CallError::Refused { outcome, reason: String::new() };
        let failures: [(CallError, &dyn Fn() -> u64); 8] = [
            (CallError::Away { edge: edge() }, &|| counters.outgoing_silent.get()),
            (CallError::Timeout(Duration::from_secs(1)), &|| counters.outgoing_timeout.get()),
            (CallError::Tunnel { edge: edge(), reason: String::new() }, &|| counters.outgoing_no_tunnel.get()),
            (refused(Outcome::NotExported), &|| counters.outgoing_not_exported.get()),
            (refused(Outcome::Unreachable), &|| counters.outgoing_unreachable.get()),
            (refused(Outcome::Overloaded), &|| counters.outgoing_overloaded.get()),
            (refused(Outcome::Forbidden), &|| counters.outgoing_forbidden.get()),
            (refused(Outcome::Other(9)), &|| 1),
        ];
        for (at, (error, count)) in failures.iter().enumerate() {
            Outgoing::new(&counters).failed(error);
            assert_eq!((counters.outgoing_failed.get(), count()), (at as u64 + 1, 1), "{error}");
        }
        // Whoever waited has gone.
        drop(Outgoing::new(&counters));
        assert_eq!((counters.outgoing_failed.get(), counters.outgoing_timeout.get()), (9, 2));
        Outgoing::new(&counters).succeeded();
        assert_eq!((counters.outgoing_failed.get(), counters.outgoing_total.get()), (9, 10));
    }
}
