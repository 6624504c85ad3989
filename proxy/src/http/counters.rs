//! Counters of one HTTP connection manager.

use std::sync::Arc;

use crate::telemetry::counter::counters;

counters! {
    /// `http.<prefix>.*`, as Envoy names them.
    pub struct HttpCounters {
        /// Connections.
        downstream_cx_total: Counter,
        /// Connections open.
        downstream_cx_active: Gauge,
        /// HTTP/1 connections.
        downstream_cx_http1_total: Counter,
        /// HTTP/1 connections open.
        downstream_cx_http1_active: Gauge,
        /// HTTP/2 connections.
        downstream_cx_http2_total: Counter,
        /// HTTP/2 connections open.
        downstream_cx_http2_active: Gauge,
        /// HTTP/2 connections closed because the client passed a limit of frames.
        downstream_cx_http2_flood: Counter,
        /// HTTP/2 connections closed because PINGs were not answered.
        downstream_cx_http2_keepalive_timeout: Counter,
        /// Connections closed because no request came for too long.
        downstream_cx_idle_timeout: Counter,
        /// Connections closed because they had served enough requests.
        downstream_cx_max_requests_reached: Counter,
        /// Connections that close, with their next answer or idle, because memory is short.
        downstream_cx_overload_disable_keepalive: Counter,
        /// Connections that broke the protocol.
        downstream_cx_protocol_error: Counter,
        /// Connections closed by a drain.
        downstream_cx_drain_close: Counter,
        /// Bytes received, before TLS.
        downstream_cx_rx_bytes_total: Counter,
        /// Bytes sent, before TLS.
        downstream_cx_tx_bytes_total: Counter,
        /// Requests.
        downstream_rq_total: Counter,
        /// Requests over HTTP/2 that were refused before they became any: a malformed head, or a limit.
        downstream_rq_http2_refused: Counter,
        /// Requests under way.
        downstream_rq_active: Gauge,
        /// Requests whose head did not arrive in time.
        downstream_rq_header_timeout: Counter,
        /// Requests that did not arrive in time.
        downstream_rq_timeout: Counter,
        /// Requests that were silent for too long.
        downstream_rq_idle_timeout: Counter,
        /// Requests whose client sent or read more slowly than the minimum rate.
        downstream_rq_too_slow: Counter,
        /// Requests refused because memory is short.
        downstream_rq_overload_close: Counter,
        /// Requests whose client went away.
        downstream_rq_rx_reset: Counter,
        /// Requests to upgrade a connection.
        downstream_cx_upgrades_total: Counter,
        /// Connections that were upgraded and are open.
        downstream_cx_upgrades_active: Gauge,
        /// Responses with a status of this class.
        downstream_rq_1xx: Counter,
        /// Responses with a status of this class.
        downstream_rq_2xx: Counter,
        /// Responses with a status of this class.
        downstream_rq_3xx: Counter,
        /// Responses with a status of this class.
        downstream_rq_4xx: Counter,
        /// Responses with a status of this class.
        downstream_rq_5xx: Counter,
        /// Requests that no route takes.
        no_route: Counter,
        /// Requests whose cluster does not exist.
        no_cluster: Counter,
        /// Requests answered with a redirect.
        rq_redirect: Counter,
        /// Requests answered by a route itself.
        rq_direct_response: Counter,
        /// Requests that reached the router.
        rq_total: Counter,
    }
}

impl HttpCounters {
    /// Counts a response to a client.
    pub(super) fn response(&self, status: u16) {
        match status / 100 {
            1 => self.downstream_rq_1xx.increment(),
            2 => self.downstream_rq_2xx.increment(),
            3 => self.downstream_rq_3xx.increment(),
            4 => self.downstream_rq_4xx.increment(),
            5 => self.downstream_rq_5xx.increment(),
            _ => {}
        }
    }
}

/// A connection, counted as active as long as this lives.
pub(super) struct ActiveConnection(Arc<HttpCounters>);

impl ActiveConnection {
    /// Counts one more.
    pub(super) fn count(counters: &Arc<HttpCounters>) -> Self {
        counters.downstream_cx_total.increment();
        counters.downstream_cx_active.increment();
        Self(counters.clone())
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.downstream_cx_active.decrement();
    }
}

/// As [`ActiveConnection`], of those that speak HTTP/1.
pub(super) struct ActiveHttp1(Arc<HttpCounters>);

impl ActiveHttp1 {
    /// Counts one more.
    pub(super) fn count(counters: &Arc<HttpCounters>) -> Self {
        counters.downstream_cx_http1_total.increment();
        counters.downstream_cx_http1_active.increment();
        Self(counters.clone())
    }
}

impl Drop for ActiveHttp1 {
    fn drop(&mut self) {
        self.0.downstream_cx_http1_active.decrement();
    }
}
