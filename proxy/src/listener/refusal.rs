//! Connections that are not admitted: why, and what is left to do for them.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use overlay::tunnel::CallError;

use super::counters::ConnectionCounters;
use super::generation::Generation;
use super::handshake::HandshakeFailure;
use super::limit_warnings::Reached;
use super::open::OpenListener;
use super::proxy_protocol::ProxyProtocolError;
use crate::io::Stream;
use crate::telemetry::access_log::Record;
use crate::telemetry::response_flags::ResponseFlags;
use crate::worker::Worker;
use crate::worker::connection::ConnectionFacts;
use crate::worker::timer::Alarm;

/// A client gets this long to take the alert that tells it why.
const LINGER: Duration = Duration::from_secs(1);

/// A fatal alert (RFC 8446 section 6, RFC 6066 section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Why a connection is not admitted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the client closed before it was known what it wants")]
    ClientGone,
    #[error("{0}")]
    ProxyProtocol(#[from] ProxyProtocolError),
    #[error("no PROXY header or ClientHello in time")]
    ListenerFilterTimeout,
    #[error("its source has enough connections")]
    TooManyOfSource,
    #[error("no filter chain takes it")]
    NoFilterChain,
    #[error("its filter chain waits for the secret {0}")]
    SecretMissing(Arc<str>),
    #[error("{}", .0.reason())]
    Handshake(HandshakeFailure),
    #[error("clear text, where clients of the mesh have to use mutual TLS")]
    ClearText,
    #[error("it asks for {0}, which is not here")]
    ServerName(String),
    #[error("{0}")]
    Unreachable(CallError),
    #[error("its certificate has not one URI name, which says who calls")]
    NoCaller,
}

impl Refusal {
    /// Counts and logs it, and lets the client see an alert if there is one. Then the connection closes.
    pub(super) async fn finish(
        self,
        stream: &mut Stream,
        facts: &ConnectionFacts,
        generation: &Generation,
        listener: &OpenListener,
    ) {
        self.count(&listener.counters.connections);
        if matches!(self, Self::SecretMissing(_)) {
            listener.counters.secrets.downstream_context_secrets_not_ready.increment();
        }
        if matches!(self, Self::TooManyOfSource) {
            listener.limit_reached(Reached::Source(facts.remote.ip()));
        }
        tracing::debug!(listener = generation.model.name, client = %facts.remote, "connection refused: {self}");
        self.log(facts, generation, &listener.worker);
        if facts.is_at_entrance {
            self.tell_edge(facts, generation, &listener.worker);
        }
        let tells_why = match &self {
            Self::Handshake(failure) => failure.sends_alert(),
            Self::ServerName(_) => {
                stream.put(|out| out.extend_from_slice(&UNRECOGNIZED_NAME));
                true
            }
            _ => false,
        };
        if tells_why {
            linger(stream, &listener.worker).await;
        }
    }

    fn count(&self, counters: &ConnectionCounters) {
        match self {
            Self::ClientGone => counters.downstream_listener_filter_remote_close.increment(),
            Self::ProxyProtocol(_) => counters.downstream_listener_filter_error.increment(),
            Self::ListenerFilterTimeout => counters.downstream_pre_cx_timeout.increment(),
            Self::TooManyOfSource => counters.downstream_source_cx_overflow.increment(),
            Self::NoFilterChain => counters.no_filter_chain_match.increment(),
            Self::Handshake(HandshakeFailure::Timeout) => {
                counters.downstream_cx_transport_socket_connect_timeout.increment();
            }
            Self::SecretMissing(_)
            | Self::Handshake(HandshakeFailure::Failed(_))
            | Self::ClearText
            | Self::ServerName(_)
            | Self::Unreachable(_)
            | Self::NoCaller => {}
        }
    }

    /// Clients of the mesh cannot see why, and whoever runs the edge has to find out.
    fn tell_edge(&self, facts: &ConnectionFacts, generation: &Generation, worker: &Worker) {
        let Some(edge) = worker.edge.get() else { return };
        let counters = edge.counters();
        match self {
            Self::ClearText => counters.entrance_clear_text.increment(),
            Self::ServerName(_) => counters.entrance_server_name.increment(),
            Self::Unreachable(_) => counters.entrance_unreachable.increment(),
            Self::Handshake(_) | Self::NoCaller | Self::SecretMissing(_) => counters.entrance_handshake.increment(),
            _ => return,
        }
        if let Some(count) = edge.refused_clients.happened(worker.io.clock.now()) {
            let listener = &generation.model.name;
            tracing::warn!(listener, client = %facts.remote, count, "a client of other edges is refused: {self}");
        }
    }

    /// In the listener's own access log, as Envoy does; istiod lets it take connections without a filter chain (`NR`) only.
    fn log(&self, facts: &ConnectionFacts, generation: &Generation, worker: &Worker) {
        if generation.access_log.is_empty() {
            return;
        }
        let (flags, details) = match self {
            Self::NoFilterChain => (ResponseFlags::NO_ROUTE_FOUND, "filter_chain_not_found"),
            _ => (ResponseFlags::NONE, ""),
        };
        let reason = match self {
            Self::Handshake(failure) => failure.reason(),
            _ => String::new(),
        };
        let record = Record {
            duration: worker.io.clock.now().saturating_duration_since(facts.accepted),
            flags,
            details,
            downstream_failure: &reason,
            ..Record::of_connection(facts, &worker.process.host_name)
        };
        for logger in generation.access_log.iter() {
            logger.log(&record, &worker.logs);
        }
    }
}

/// Sends what is unsent, says that nothing follows, and reads until the client has closed. Closing while its bytes are unread would
/// reset the connection, and the client might never see the alert.
async fn linger(stream: &Stream, worker: &Worker) {
    let alarm = Alarm::new(&worker.timers);
    alarm.set_after(Some(LINGER));
    stream.finish();
    let gone = async {
        stream.flushed().await?;
        poll_fn(|context| -> Poll<io::Result<()>> {
            let mut scratch = worker.io.scratch.borrow_mut();
            stream.poll_discard(context, &mut scratch)
        })
        .await
    };
    // Whether the client closed, broke or took too long: it is closed now.
    drop(alarm.limit(gone).await);
}
