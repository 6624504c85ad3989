//! The connection to a control plane, over which ADS and the certificate authority are called.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// How long the TCP connection, and then the TLS handshake, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When to ping and how long to wait for the answer: what Istio's agent does. istiod drops clients that ping more often
/// than every 15 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP/2 windows of Istio's agent.
const WINDOW_BYTES: u32 = 1 << 20;

/// Where a control plane is and how to know that it is the right one.
#[derive(Debug, Clone)]
pub struct Destination {
    /// `host:port`.
    pub address: String,
    /// Nothing means plaintext.
    pub tls: Option<Tls>,
}

/// How to know the server. We show it a token ([`crate::Credentials`]), and no certificate.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Who may vouch for the server.
    pub roots: Roots,
    /// The name to ask for and to find in the certificate; nothing means the host of the address.
    pub server_name: Option<String>,
}

/// Who may vouch for a server.
#[derive(Debug, Clone)]
pub enum Roots {
    /// These certificates, in PEM.
    Pem(Vec<u8>),
    /// Those that the operating system trusts.
    System,
}

/// Connects, and returns once the connection (and TLS) stands. The channel reconnects by itself when it breaks, with the
/// same roots: after their rotation, connect anew.
///
/// # Errors
///
/// If the address is malformed, the server does not answer in time, or TLS fails.
pub async fn connect(destination: &Destination) -> Result<Channel, ConnectError> {
    let failed = |source| ConnectError { address: destination.address.clone(), source };
    endpoint(destination).map_err(failed)?.connect().await.map_err(failed)
}

fn endpoint(destination: &Destination) -> Result<Endpoint, tonic::transport::Error> {
    let scheme = if destination.tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", destination.address))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES);
    match &destination.tls {
        Some(tls) => endpoint.tls_config(client_tls(tls)),
        None => Ok(endpoint),
    }
}

fn client_tls(tls: &Tls) -> ClientTlsConfig {
    let config = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
    let config = match &tls.roots {
        Roots::Pem(certificates) => config.ca_certificate(Certificate::from_pem(certificates)),
        Roots::System => config.with_native_roots(),
    };
    match &tls.server_name {
        Some(name) => config.domain_name(name),
        None => config,
    }
}

/// Why there is no connection. Its text names the address and every cause.
#[derive(Debug)]
pub struct ConnectError {
    address: String,
    source: tonic::transport::Error,
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "connecting to {}: {}", self.address, self.source)?;
        let mut cause = std::error::Error::source(&self.source);
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}
