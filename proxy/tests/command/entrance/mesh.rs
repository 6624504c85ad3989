//! A mesh as its clients know it: an authority, certificates of workloads, TLS to an address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Who a client of the mesh is, unless the test says otherwise.
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
/// Who the gateway is.
pub(crate) const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/selvedge";

pub(crate) type Client = tokio_rustls::client::TlsStream<TcpStream>;

/// The authority of a mesh.
pub(crate) struct Mesh(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(crate) struct Workload {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn root(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn workload(&self, identities: &[&str]) -> Workload {
        self.until(identities, SystemTime::now() + Duration::from_secs(3600))
    }

    pub(crate) fn expired(&self, identity: &str) -> Workload {
        self.until(&[identity], SystemTime::now() - Duration::from_secs(60))
    }

    fn until(&self, identities: &[&str], end: SystemTime) -> Workload {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.subject_alt_names =
            identities.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.not_before = (end - Duration::from_secs(7200)).into();
        parameters.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Workload { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a gateway needs.
    pub(crate) fn gateway_files(&self) -> [(&'static str, String); 3] {
        let gateway = self.workload(&[GATEWAY]);
        [("cert.pem", gateway.chain), ("key.pem", gateway.key), ("root.pem", self.root())]
    }

    /// Connects by TLS, as a workload if there is one.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        workload: Option<&Workload>,
        server_name: Option<&str>,
        offers: &[&str],
    ) -> io::Result<Client> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OfMesh::new(self)));
        let mut config = match workload {
            None => builder.with_no_client_auth(),
            Some(workload) => {
                let chain = CertificateDer::pem_slice_iter(workload.chain.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(workload.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = offers.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        // An address is never sent as a server name.
        let name = match server_name {
            Some(name) => ServerName::try_from(name.to_owned()).unwrap(),
            None => ServerName::from(address.ip()),
        };
        let socket = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }
}

/// Holds a server against the authority alone: a workload has no DNS name.
#[derive(Debug)]
struct OfMesh(Arc<dyn rustls::server::danger::ClientCertVerifier>);

impl OfMesh {
    fn new(mesh: &Mesh) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(mesh.root().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(default_provider());
        Self(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
    }
}

impl ServerCertVerifier for OfMesh {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verify_client_cert(end_entity, intermediates, now).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
