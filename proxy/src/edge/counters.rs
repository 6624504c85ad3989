//! Counters of the overlay.

use std::cell::Cell;

use crate::telemetry::counter::counters;

counters! {
    /// `overlay.*`, of each worker.
    pub struct EdgeCounters {
        /// Connections to services of other edges.
        outgoing_total: Counter,
        /// Those that did not come about, in the time that they were waited for.
        outgoing_failed: Counter,
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
    succeeded: Cell<bool>,
}

impl<'c> Outgoing<'c> {
    pub(super) fn new(counters: &'c EdgeCounters) -> Self {
        counters.outgoing_total.increment();
        Self { counters, succeeded: Cell::new(false) }
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.set(true);
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if !self.succeeded.get() {
            self.counters.outgoing_failed.increment();
        }
    }
}
