//! TLS as a client: secures the connections to one kind of endpoint.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, Connection};
use xds_model::secret::SecretContent;
use xds_model::tls::{SecretReference, UpstreamTls};

use super::certificate::certified_key;
use super::verify::PeerVerifier;
use super::{Secrets, TlsError, certificate, named_secrets, parameters};

/// Offering it obliges a TCP client to speak Istio's metadata-exchange preamble, which this build does not.
const PEER_EXCHANGE: &str = "istio-peer-exchange";

/// Sessions kept for resumption, per cluster and transport.
const RESUMPTION_SESSIONS: usize = 64;

/// Starts the TLS sessions to the endpoints of a cluster.
///
/// The rustls configuration is built at the first session: a gateway is told of thousands of clusters and connects to few.
#[derive(Debug)]
pub struct ClientTls {
    model: UpstreamTls,
    secrets: Arrived,
    protocols: Vec<Vec<u8>>,
    server_name: Option<ServerName<'static>>,
    config: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
}

impl ClientTls {
    /// Prepares one. What is in the secrets is looked at by the first session.
    ///
    /// # Errors
    /// A secret is missing ([`TlsError::Waiting`]), or the server name is none.
    pub fn prepare(model: &UpstreamTls, secrets: &dyn Secrets) -> Result<Self, TlsError> {
        let offered = model.alpn.iter().filter(|name| *name != PEER_EXCHANGE);
        let server_name = match &model.sni {
            None => None,
            Some(sni) => Some(
                ServerName::try_from(sni.clone()).map_err(|error| TlsError::invalid(format!("sni `{sni}`"), error))?,
            ),
        };
        Ok(Self {
            secrets: Arrived::take(model, secrets)?,
            protocols: offered.map(|name| name.as_bytes().to_vec()).collect(),
            server_name,
            model: model.clone(),
            config: OnceLock::new(),
        })
    }

    /// Whether connections for different hosts must not be shared.
    pub fn depends_on_host(&self) -> bool {
        self.server_name.is_none() && self.model.auto_sni
    }

    /// What is offered by ALPN unless the caller says otherwise.
    pub fn protocols(&self) -> &[Vec<u8>] {
        &self.protocols
    }

    /// A session for one connection, offering `protocols` by ALPN. `host` is the request's authority without its port.
    ///
    /// # Errors
    /// A secret is unusable, or the configuration is.
    pub fn session(&self, host: &[u8], protocols: Vec<Vec<u8>>) -> Result<Connection, TlsError> {
        let config = self.config.get_or_init(|| build(&self.model, &self.secrets)).clone()?;
        let name = self.server_name_for(host);
        ClientConnection::new_with_alpn(config, name, protocols)
            .map(Connection::Client)
            .map_err(|error| TlsError::invalid("TLS session", error))
    }

    fn server_name_for(&self, host: &[u8]) -> ServerName<'static> {
        let from_host = || std::str::from_utf8(host).ok().and_then(|host| ServerName::try_from(host.to_owned()).ok());
        let name = if self.depends_on_host() { from_host() } else { self.server_name.clone() };
        // An address is never sent as a server name (RFC 6066 section 3).
        name.unwrap_or(ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into()))
    }
}

fn build(model: &UpstreamTls, secrets: &Arrived) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(parameters::provider(&model.parameters)?);
    let verifier =
        PeerVerifier::of_server(model.validation.as_ref(), model.auto_san_validation, provider.clone(), secrets)?;
    let key = match model.certificates.first() {
        None => None,
        Some(source) => {
            let (name, content) = certificate(source, secrets)?;
            Some(certified_key(&name, &content, &provider)?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&parameters::versions(&model.parameters)?)
        .map_err(|error| TlsError::invalid("tls_params", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match key.map(Arc::<CertifiedKey>::unwrap_or_clone) {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(RESUMPTION_SESSIONS);
    Ok(Arc::new(config))
}

/// The secrets that a context names, as they were when it was prepared.
#[derive(Debug)]
struct Arrived(Vec<(SecretReference, Arc<SecretContent>)>);

impl Arrived {
    fn take(model: &UpstreamTls, secrets: &dyn Secrets) -> Result<Self, TlsError> {
        let arrived = |reference: &SecretReference| match secrets.secret(reference) {
            Some(content) => Ok((reference.clone(), content)),
            None => Err(TlsError::Waiting(reference.name.clone())),
        };
        named_secrets(&model.certificates, model.validation.as_ref()).map(arrived).collect::<Result<_, _>>().map(Self)
    }
}

impl Secrets for Arrived {
    fn secret(&self, reference: &SecretReference) -> Option<Arc<SecretContent>> {
        self.0.iter().find(|(known, _)| known == reference).map(|(_, content)| content.clone())
    }
}
