//! Certificates, and TLS clients that use them.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use xds_model::secret::TlsCertificate;

use super::connect;
use super::within;

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    chain: String,
    key: String,
}

/// A client's side of TLS.
pub(crate) type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

/// For clients of TLS 1.2 alone.
pub(crate) static ONLY_TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
/// For clients of TLS 1.3 alone.
pub(crate) static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// What a client does.
#[derive(Clone)]
pub(crate) struct ClientOptions<'a> {
    pub(crate) trusts: &'a Authority,
    pub(crate) shows: Option<&'a Issued>,
    pub(crate) offers: &'a [&'a str],
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For servers and clients alike.
    pub(crate) fn issue(&self, names: Vec<SanType>) -> Issued {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// For a server of this DNS name.
    pub(crate) fn server(&self, name: &str) -> Issued {
        self.issue(vec![SanType::DnsName(name.to_owned().try_into().unwrap())])
    }

    /// A client that trusts this authority, shows nothing and offers HTTP/1.1.
    pub(crate) fn client(&self) -> ClientOptions<'_> {
        ClientOptions { trusts: self, shows: None, offers: &["http/1.1"], versions: rustls::ALL_VERSIONS }
    }
}

/// A URI name.
pub(crate) fn uri(name: &str) -> SanType {
    SanType::URI(name.to_owned().try_into().unwrap())
}

impl Issued {
    pub(crate) fn as_secret(&self) -> TlsCertificate {
        TlsCertificate {
            chain: self.chain.clone().into_bytes().into(),
            private_key: self.key.clone().into_bytes().into(),
            ocsp_staple: Default::default(),
        }
    }
}

impl ClientOptions<'_> {
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(issued) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = self.offers.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Connects and shakes hands as far as the client is concerned: with TLS 1.3 the server may still refuse its certificate.
pub(crate) async fn connect_tls(
    address: SocketAddr,
    name: &str,
    options: &ClientOptions<'_>,
) -> std::io::Result<TlsClient> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within("a handshake", TlsConnector::from(options.config()).connect(name, connect(address).await)).await
}
