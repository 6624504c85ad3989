//! Counters of one cluster.

use crate::telemetry::counter::counters;

counters! {
    /// `cluster.<name>.*`, as Envoy names them.
    pub struct ClusterCounters {
        /// Connections opened.
        upstream_cx_total: Counter,
        /// Connections open.
        upstream_cx_active: Gauge,
        /// HTTP/1 connections opened.
        upstream_cx_http1_total: Counter,
        /// HTTP/2 connections opened.
        upstream_cx_http2_total: Counter,
        /// Connects that failed, timeouts included.
        upstream_cx_connect_fail: Counter,
        /// Connects that took too long.
        upstream_cx_connect_timeout: Counter,
        /// Connections closed after too long without a request.
        upstream_cx_idle_timeout: Counter,
        /// Connections closed because they had served enough requests.
        upstream_cx_max_requests: Counter,
        /// Requests and TCP connections that found the connection circuit breaker open.
        upstream_cx_overflow: Counter,
        /// Connections closed, by whomever.
        upstream_cx_destroy: Counter,
        /// Times no endpoint could be used.
        upstream_cx_none_healthy: Counter,
        /// HTTP/2 connections closed because PINGs were not answered.
        upstream_cx_http2_keepalive_timeout: Counter,
        /// HTTP/2 connections closed because the endpoint asked for it.
        upstream_cx_close_notify: Counter,
        /// Responses and HTTP/2 connections that broke the protocol.
        upstream_cx_protocol_error: Counter,
        /// Bytes received from upstream.
        upstream_cx_rx_bytes_total: Counter,
        /// Bytes sent upstream.
        upstream_cx_tx_bytes_total: Counter,
        /// Tries, retries included.
        upstream_rq_total: Counter,
        /// Tries under way.
        upstream_rq_active: Gauge,
        /// Tries that waited for a connection.
        upstream_rq_pending_total: Counter,
        /// Tries that wait for a connection.
        upstream_rq_pending_active: Gauge,
        /// Requests refused by a circuit breaker.
        upstream_rq_pending_overflow: Counter,
        /// Requests that failed because their connection did.
        upstream_rq_pending_failure_eject: Counter,
        /// Requests cancelled before they had a connection.
        upstream_rq_cancelled: Counter,
        /// Requests that took too long.
        upstream_rq_timeout: Counter,
        /// Tries that took too long.
        upstream_rq_per_try_timeout: Counter,
        /// Tries reset by the upstream.
        upstream_rq_rx_reset: Counter,
        /// Tries reset by us.
        upstream_rq_tx_reset: Counter,
        /// Tries reset by us because their clients did not take what the endpoint sent, and too much of that was held.
        upstream_rq_unread_overflow: Counter,
        /// Retries.
        upstream_rq_retry: Counter,
        /// Retries that succeeded.
        upstream_rq_retry_success: Counter,
        /// Retries refused by the circuit breaker.
        upstream_rq_retry_overflow: Counter,
        /// Requests that failed after all their retries.
        upstream_rq_retry_limit_exceeded: Counter,
        /// Requests whose body was not kept for retries, because it or all of them were too large.
        retry_or_shadow_abandoned: Counter,
        /// Responses.
        upstream_rq_completed: Counter,
        /// Responses with a status of this class.
        upstream_rq_1xx: Counter,
        /// Responses with a status of this class.
        upstream_rq_2xx: Counter,
        /// Responses with a status of this class.
        upstream_rq_3xx: Counter,
        /// Responses with a status of this class.
        upstream_rq_4xx: Counter,
        /// Responses with a status of this class.
        upstream_rq_5xx: Counter,
    }
}

impl ClusterCounters {
    /// Counts a response.
    pub fn response(&self, status: u16) {
        self.upstream_rq_completed.increment();
        match status / 100 {
            1 => self.upstream_rq_1xx.increment(),
            2 => self.upstream_rq_2xx.increment(),
            3 => self.upstream_rq_3xx.increment(),
            4 => self.upstream_rq_4xx.increment(),
            5 => self.upstream_rq_5xx.increment(),
            _ => {}
        }
    }
}
