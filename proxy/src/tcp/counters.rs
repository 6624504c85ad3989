//! Counters of a TCP proxy.

use crate::telemetry::counter::counters;

counters! {
    /// `tcp.<stat_prefix>.*`, as Envoy names them.
    pub struct TcpCounters {
        /// Connections taken on.
        downstream_cx_total: Counter,
        /// Connections whose cluster does not exist.
        downstream_cx_no_route: Counter,
        /// Bytes received from clients.
        downstream_cx_rx_bytes_total: Counter,
        /// Bytes sent to clients.
        downstream_cx_tx_bytes_total: Counter,
        /// Connections closed after too long without a byte.
        idle_timeout: Counter,
        /// Connections closed because of their age.
        max_downstream_connection_duration: Counter,
    }
}
