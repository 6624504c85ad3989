//! Counters of a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::telemetry::counter::{Registry, counters};

counters! {
    /// `listener.<address>.*`, as Envoy names them.
    pub struct ConnectionCounters {
        /// Connections that a filter chain took.
        downstream_cx_total: Counter,
        /// Those of them that are open.
        downstream_cx_active: Gauge,
        /// Those of them that are closed.
        downstream_cx_destroy: Counter,
        /// Connections closed because no file descriptor was left for them, or because the listener has enough.
        downstream_cx_overflow: Counter,
        /// Connections closed because all listeners together have enough.
        downstream_global_cx_overflow: Counter,
        /// Connections closed because their source has enough.
        downstream_source_cx_overflow: Counter,
        /// Connections closed by an overload action.
        downstream_cx_overload_reject: Counter,
        /// Times that accepting failed and was put off.
        downstream_cx_accept_backoff: Counter,
        /// Accepts that failed for a reason of their own connection.
        downstream_cx_accept_failed: Counter,
        /// Connections of which the filter chain is not known yet.
        downstream_pre_cx_active: Gauge,
        /// Connections that took too long to show their PROXY header or ClientHello.
        downstream_pre_cx_timeout: Counter,
        /// Connections closed by the client before their filter chain was known.
        downstream_listener_filter_remote_close: Counter,
        /// Connections without a usable PROXY header.
        downstream_listener_filter_error: Counter,
        /// Connections that no filter chain takes.
        no_filter_chain_match: Counter,
        /// TLS handshakes that took too long.
        downstream_cx_transport_socket_connect_timeout: Counter,
        /// Live connections closed because TLS became stricter.
        downstream_cx_closed_by_stricter_tls: Counter,
        /// Live connections asked to close because their filter chain is gone.
        downstream_cx_drained: Counter,
    }
}

counters! {
    /// `listener.<address>.ssl.*`, as Envoy names them.
    pub struct TlsCounters {
        /// Handshakes that succeeded.
        handshake: Counter,
        /// Those of them that resumed a session.
        session_reused: Counter,
        /// Those of them without a client certificate.
        no_certificate: Counter,
        /// Handshakes that failed for another reason than the client's certificate.
        connection_error: Counter,
        /// Refused: a client certificate is required.
        fail_verify_no_cert: Counter,
        /// Refused: the client certificate's chain is not trusted.
        fail_verify_error: Counter,
        /// Refused: no name of the client certificate is accepted.
        fail_verify_san: Counter,
        /// Refused: the client certificate is not one of those pinned.
        fail_verify_cert_hash: Counter,
    }
}

counters! {
    /// `listener.<address>.server_ssl_socket_factory.*`, as Envoy names them.
    pub struct SecretCounters {
        /// Connections closed because a secret of their chain has not arrived.
        downstream_context_secrets_not_ready: Counter,
    }
}

counters! {
    /// `server.*`: what a worker's listeners have open together.
    pub struct TotalCounters {
        /// Connections, from accept to close.
        total_connections: Gauge,
    }
}

/// A connection, counted in `total_connections` as long as this lives.
#[derive(Debug)]
pub struct OpenConnection(Arc<TotalCounters>);

impl OpenConnection {
    /// Counts one.
    pub fn count(totals: &Arc<TotalCounters>) -> Self {
        totals.total_connections.increment();
        Self(totals.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.total_connections.decrement();
    }
}

/// All counters of one listener on one worker.
#[derive(Clone, Debug)]
pub struct ListenerCounters {
    /// Connections.
    pub connections: Arc<ConnectionCounters>,
    /// TLS.
    pub tls: Arc<TlsCounters>,
    /// Secrets.
    pub secrets: Arc<SecretCounters>,
}

impl ListenerCounters {
    /// Registers those of a listener.
    pub fn register(address: SocketAddr, registry: &Registry) -> Self {
        let prefix = format!("listener.{}.", address.to_string().replace(':', "_"));
        Self {
            connections: registry.register(ConnectionCounters::new(prefix.as_str())),
            tls: registry.register(TlsCounters::new(format!("{prefix}ssl."))),
            secrets: registry.register(SecretCounters::new(format!("{prefix}server_ssl_socket_factory."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_envoys() {
        let registry = Registry::default();
        let _counters = ListenerCounters::register(([0, 0, 0, 0], 8443).into(), &registry);
        let names = registry.collect();
        for name in
            ["downstream_cx_total", "ssl.handshake", "server_ssl_socket_factory.downstream_context_secrets_not_ready"]
        {
            assert!(names.contains_key(&format!("listener.0.0.0.0_8443.{name}")), "{name} of {names:?}");
        }
    }
}
