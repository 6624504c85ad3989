//! The TLS handshake of a connection, and what is known after it.

use std::io;
use std::time::Duration;

use rustls::{CertificateError, CipherSuite, Connection, Error, HandshakeKind, ProtocolVersion};

use super::counters::TlsCounters;
use super::open::OpenListener;
use crate::io::Stream;
use crate::tls::{PolicyViolation, ServerTls, certificate_facts};
use crate::worker::connection::{ConnectionFacts, TlsFacts};
use crate::worker::timer::Alarm;

/// Bound on a handshake where the control plane sets none (istiod sends 15 s): an edge must not wait for ever.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a handshake did not succeed.
#[derive(Debug)]
pub(super) enum HandshakeFailure {
    Timeout,
    Failed(io::Error),
}

/// Shakes hands within `timeout` and adds what came of it to `facts`.
pub(super) async fn handshake(
    stream: &mut Stream,
    facts: &mut ConnectionFacts,
    tls: &ServerTls,
    timeout: Option<Duration>,
    alarm: &Alarm,
    listener: &OpenListener,
) -> Result<(), HandshakeFailure> {
    let session = tls
        .session_for(facts.offered_protocols())
        .map_err(|error| HandshakeFailure::Failed(io::Error::other(error)))?;
    stream.secure(session);
    listener.worker.io.clock.invalidate();
    alarm.set_after(Some(timeout.unwrap_or(DEFAULT_TIMEOUT)));
    match alarm.limit(stream.handshake()).await {
        None => Err(HandshakeFailure::Timeout),
        Some(Err(error)) => {
            count_failure(&error, &listener.counters.tls);
            Err(HandshakeFailure::Failed(error))
        }
        Some(Ok(())) => {
            stream.session(|session| learn(session, tls, facts, &listener.counters.tls));
            Ok(())
        }
    }
}

fn learn(session: &Connection, tls: &ServerTls, facts: &mut ConnectionFacts, counters: &TlsCounters) {
    counters.handshake.increment();
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        counters.session_reused.increment();
    }
    if facts.server_name().is_none()
        && let Connection::Server(server) = session
        && let Some(name) = server.server_name()
    {
        facts.client_hello.get_or_insert_default().server_name = Some(name.into());
    }
    let peer = session.peer_certificates().and_then(certificate_facts).map(Box::new);
    if peer.is_none() {
        counters.no_certificate.increment();
    }
    facts.tls = Some(Box::new(TlsFacts {
        version: session.protocol_version().map_or("", version_name),
        cipher: session.negotiated_cipher_suite().map_or("", |suite| cipher_name(suite.suite())),
        protocol: session.alpn_protocol().map(Into::into),
        peer_validated: peer.is_some() && tls.validates_clients(),
        peer,
        local: tls.local_certificate().cloned(),
    }));
}

/// As Envoy writes it.
fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's name.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

fn count_failure(error: &io::Error, counters: &TlsCounters) {
    let counter = match rustls_error(error) {
        Some(Error::NoCertificatesPresented) => &counters.fail_verify_no_cert,
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => {
            match other.0.downcast_ref::<PolicyViolation>() {
                Some(PolicyViolation::AlternativeName) => &counters.fail_verify_san,
                Some(PolicyViolation::Pin) => &counters.fail_verify_cert_hash,
                None => &counters.fail_verify_error,
            }
        }
        Some(Error::InvalidCertificate(_)) => &counters.fail_verify_error,
        _ => &counters.connection_error,
    };
    counter.increment();
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

impl HandshakeFailure {
    /// In words, for logs.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Timeout => "transport socket timeout was reached".to_owned(),
            Self::Failed(error) => format!("TLS_error: {error}"),
        }
    }

    /// Whether an alert tells the client why.
    pub(super) fn sends_alert(&self) -> bool {
        matches!(self, Self::Failed(error) if rustls_error(error).is_some())
    }
}
