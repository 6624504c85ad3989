//! Counters of the overlay.

use crate::telemetry::counter::counters;

counters! {
    /// `overlay.*`, of each worker.
    pub struct EdgeCounters {
        /// Connections to services of other edges.
        outgoing_total: Counter,
        /// Those that did not come about.
        outgoing_failed: Counter,
        /// Those of them that the other edge refused because of the caller.
        outgoing_forbidden: Counter,
        /// Clients of the mesh that were refused because they spoke clear text.
        entrance_clear_text: Counter,
        /// Those that asked for a service which is not there.
        entrance_server_name: Counter,
        /// Those with whom no hands could be shaken: their certificate is not good, or our own is not there.
        entrance_handshake: Counter,
        /// Connections of other edges to services here.
        incoming_total: Counter,
        /// Those that are open.
        incoming_active: Gauge,
        /// Those to services that are not offered.
        incoming_not_exported: Counter,
        /// Those of a caller for whom the edge may not speak.
        incoming_forbidden: Counter,
        /// Those of an edge that had too many.
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
