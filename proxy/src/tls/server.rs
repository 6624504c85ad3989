//! TLS as a server: terminates the connections of one filter chain.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Connection, ServerConfig, ServerConnection};
use xds_model::tls::DownstreamTls;

use super::certificate::certified_key;
use super::verify::PeerVerifier;
use super::{Secrets, TlsError, certificate, certificate_facts, parameters};
use crate::worker::connection::{CertificateFacts, TlsFacts};

/// Protocols that this build can speak to a client, best first; ALPN never agrees on another.
const SPOKEN: &[&str] = &["h2", "http/1.1"];

/// Starts the TLS sessions of a filter chain.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// The same, agreeing on no protocol.
    without_protocols: Arc<ServerConfig>,
    clients: Option<Arc<PeerVerifier>>,
    local: Option<Arc<CertificateFacts>>,
    /// What it was built from: decides whether a live connection may stay when the configuration changes.
    model: DownstreamTls,
}

/// Keys for session tickets, shared by all listeners and kept across configuration changes, so that clients can resume.
#[derive(Debug, Clone)]
pub struct SessionTickets(Arc<dyn ProducesTickets>);

impl SessionTickets {
    /// New keys; they rotate by themselves.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, TlsError> {
        Ticketer::new().map(Self).map_err(|error| TlsError::invalid("session tickets", error))
    }
}

impl ServerTls {
    /// Builds one.
    ///
    /// # Errors
    /// A secret is missing ([`TlsError::Waiting`]) or unusable, or a parameter is not supported.
    pub fn build(model: &DownstreamTls, secrets: &dyn Secrets, tickets: &SessionTickets) -> Result<Self, TlsError> {
        let provider = Arc::new(parameters::provider(&model.parameters)?);
        let keys = KeysByType::build(model, secrets, &provider)?;
        let local = keys.facts().map(Arc::new);
        let clients = client_verifier(model, secrets, &provider)?.map(Arc::new);

        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&parameters::versions(&model.parameters)?)
            .map_err(|error| TlsError::invalid("tls_params", error))?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(keys));
        // In the configured order, which is the order of preference.
        let spoken = model.alpn.iter().filter(|protocol| SPOKEN.contains(&protocol.as_str()));
        config.alpn_protocols = spoken.map(|protocol| protocol.as_bytes().to_vec()).collect();
        if clients.is_some() {
            // A resumed session would carry an old verdict on the client's certificate past a rotation or revocation.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = tickets.0.clone();
            config.send_tls13_tickets = 1;
        }
        let mut without_protocols = config.clone();
        without_protocols.alpn_protocols.clear();
        let (config, without_protocols) = (Arc::new(config), Arc::new(without_protocols));
        Ok(Self { config, without_protocols, clients, local, model: model.clone() })
    }

    /// What it was built from.
    pub fn model(&self) -> &DownstreamTls {
        &self.model
    }

    /// A session for one connection.
    ///
    /// # Errors
    /// The configuration cannot serve.
    pub fn session(&self) -> Result<Connection, rustls::Error> {
        ServerConnection::new(self.config.clone()).map(Connection::Server)
    }

    /// A session for a client that offers these protocols by ALPN. If none of them is ours none is agreed on, as in Envoy; RFC 7301
    /// section 3.2 would refuse the client.
    ///
    /// # Errors
    /// The configuration cannot serve.
    pub fn session_for(&self, offered: &[Vec<u8>]) -> Result<Connection, rustls::Error> {
        if offered.is_empty() || offered.iter().any(|protocol| self.config.alpn_protocols.contains(protocol)) {
            return self.session();
        }
        ServerConnection::new(self.without_protocols.clone()).map(Connection::Server)
    }

    /// The certificate that is shown; of several, for several key types, the first.
    pub fn local_certificate(&self) -> Option<&Arc<CertificateFacts>> {
        self.local.as_ref()
    }

    /// Whether a client's certificate is held against certificate authorities.
    pub fn validates_clients(&self) -> bool {
        self.model.validation.as_ref().is_some_and(|validation| !validation.accept_untrusted)
    }

    /// Whether a live connection, admitted at `accepted` (since the Unix epoch), is no less secure than one admitted now: version and
    /// suite are allowed, and the client showed what is now asked for. Its certificate is checked as of then: that it has expired
    /// since is no change of configuration.
    pub fn admits(&self, facts: &TlsFacts, accepted: Duration) -> bool {
        let certificate_accepted = match (&self.clients, &facts.peer) {
            (None, _) => true,
            (Some(_), None) => !self.model.require_client_certificate,
            (Some(verifier), Some(shown)) => verifier.accepts_client(&shown.chain, accepted),
        };
        parameters::allow(&self.model.parameters, facts) && certificate_accepted
    }
}

fn client_verifier(
    model: &DownstreamTls,
    secrets: &dyn Secrets,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<PeerVerifier>, TlsError> {
    match &model.validation {
        Some(validation) => {
            PeerVerifier::of_clients(validation, model.require_client_certificate, provider.clone(), secrets).map(Some)
        }
        None if model.require_client_certificate => {
            Err(TlsError::invalid("require_client_certificate", "is set, but nothing says which certificates to trust"))
        }
        None => Ok(None),
    }
}

/// One certificate per key type; the client's signature schemes decide.
#[derive(Debug)]
struct KeysByType {
    keys: Vec<Arc<CertifiedKey>>,
}

impl KeysByType {
    fn build(model: &DownstreamTls, secrets: &dyn Secrets, provider: &CryptoProvider) -> Result<Self, TlsError> {
        if model.certificates.is_empty() {
            return Err(TlsError::invalid("common_tls_context", "names no certificate to serve"));
        }
        let keys = model
            .certificates
            .iter()
            .map(|source| {
                let (name, content) = certificate(source, secrets)?;
                certified_key(&name, &content, provider)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Of the first. Without the certificate itself: nothing asks for it.
    fn facts(&self) -> Option<CertificateFacts> {
        let facts = certificate_facts(&self.keys.first()?.cert)?;
        Some(CertificateFacts { chain: Vec::new(), ..facts })
    }
}

impl ResolvesServerCert for KeysByType {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.keys.iter().find(usable).or(self.keys.first()).cloned()
    }
}
