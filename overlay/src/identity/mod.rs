//! Who a node is: a certificate with exactly one URI, `spiffe://<overlay>/<tenant>/edge/<name>` or `spiffe://<overlay>/hub/<name>`
//! (SPIFFE-ID section 2), and TLS 1.3 with it.

mod complaints;
mod name;
mod signature;
mod trust;
mod verifier;

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;
use tokio::sync::watch;
use webpki::KeyUsage;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub use self::name::{NameError, is_label, is_name};
pub use self::signature::Signature;
pub(crate) use self::trust::{Held, MOST_DENIED, NodeHash, node_hash};
pub use self::trust::{SignedTrust, Trust, TrustError};
use self::verifier::{Anchors, Verifier};
use crate::node::Peer;

/// What is spoken on a link.
pub const LINK_PROTOCOL: &[u8] = b"selvedge/1";
/// What is spoken inside a stream between two edges.
pub const TUNNEL_PROTOCOL: &[u8] = b"selvedge-tunnel/1";
/// What an edge speaks that has no certificate yet.
pub const JOIN_PROTOCOL: &[u8] = b"selvedge-join/1";
/// What a node speaks that wants another certificate for the one that it has.
pub const RENEW_PROTOCOL: &[u8] = b"selvedge-renew/1";

/// Says who is not, or no longer, let in, whatever its certificate says.
trait Gatekeeper: fmt::Debug + Send + Sync {
    /// Whether a peer whose certificate is good is let in.
    fn admits(&self, peer: &Peer) -> bool;

    /// Hears of a peer whose certificate is not good any more, or not yet.
    fn is_out_of_date(&self, _: &Peer, _: &str) {}
}

/// Hubs alone.
#[derive(Debug)]
struct AdmitHubs;

impl Gatekeeper for AdmitHubs {
    fn admits(&self, peer: &Peer) -> bool {
        matches!(peer, Peer::Hub { .. })
    }
}

/// For an edge that has no certificate yet: it dials a hub of `overlay`, under a root whose SHA-256 is one of `pins`.
pub fn joining_client(overlay: &str, pins: &[[u8; 32]]) -> Arc<ClientConfig> {
    let verifier = Verifier::new(overlay.into(), Anchors::Pinned(pins.to_vec()), Arc::new(AdmitHubs));
    let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
    Arc::new(config)
}

/// A node's certificate, its key, and whom it believes, or no longer.
#[derive(Debug)]
pub struct Identity {
    overlay: String,
    peer: Peer,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    trust: Arc<Trust>,
}

/// The identity of a node, which is renewed from time to time. All threads of the node see the same.
pub type Current = watch::Receiver<Arc<Identity>>;

/// An identity that is of no use.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is no certificate, or it names nobody.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no certificate.
    #[error("no certificate")]
    NoCertificate,
    /// Certificate, key or roots do not fit.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The key is of no use.
    #[error("key: {0}")]
    Key(#[from] rcgen::Error),
    /// A certificate of another node.
    #[error("a certificate of {found}, where {wanted} was asked for")]
    Other {
        /// Of whom it should be.
        wanted: Peer,
        /// Of whom it is.
        found: Peer,
    },
}

impl Identity {
    /// An identity. What it trusts it shares with all threads of the node.
    ///
    /// # Errors
    /// The certificate names nobody.
    pub fn new(
        overlay: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        trust: Arc<Trust>,
    ) -> Result<Self, IdentityError> {
        let peer = Peer::of_certificate(&certificate, overlay)?;
        Ok(Self { overlay: overlay.into(), peer, certificate, key, trust })
    }

    /// Who this is.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The overlay that it belongs to.
    pub fn overlay(&self) -> &str {
        &self.overlay
    }

    /// From when to when its certificate is good, in seconds since 1970.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn validity(&self) -> Result<(i64, i64), IdentityError> {
        let own = &self.certificate;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|error| NameError::Unreadable(error.to_string()))?;
        let validity = parsed.validity();
        Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// Asks for a certificate for the same key (PKCS #10, DER).
    ///
    /// # Errors
    /// The key is of no use.
    pub fn certificate_request(&self) -> Result<Vec<u8>, IdentityError> {
        let request = CertificateParams::default().serialize_request(&KeyPair::try_from(&self.key)?)?;
        Ok(request.der().to_vec())
    }

    /// The same with another certificate.
    ///
    /// # Errors
    /// It is not of this node, not of this key, or not signed by a root that is believed.
    pub fn with_certificate(&self, certificate: CertificateDer<'static>) -> Result<Self, IdentityError> {
        let peer = self.verifier().verify(&certificate, &[], UnixTime::now(), KeyUsage::client_auth())?;
        if peer != self.peer {
            return Err(IdentityError::Other { wanted: self.peer.clone(), found: peer });
        }
        let renewed = Self::new(&self.overlay, certificate, self.key.clone_key(), self.trust.clone())?;
        renewed.client(RENEW_PROTOCOL)?;
        Ok(renewed)
    }

    /// Its certificate, and then the roots that it believes, for who has but the hash of one.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        [vec![self.certificate.clone()], self.trust.roots()].concat()
    }

    /// Whom it believes, and whom no longer.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// For who dials.
    ///
    /// # Errors
    /// Certificate and key do not fit.
    pub fn client(&self, protocol: &[u8]) -> Result<Arc<ClientConfig>, IdentityError> {
        let mut config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier()))
            .with_client_auth_cert(self.chain(), self.key.clone_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        // Who is known does not come back by a ticket: whether it is still let in is looked at each time.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// For who is dialled.
    ///
    /// # Errors
    /// Certificate and key do not fit.
    pub fn server(&self, protocol: &[u8]) -> Result<Arc<ServerConfig>, IdentityError> {
        let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_client_cert_verifier(Arc::new(self.verifier()))
            .with_single_cert(self.chain(), self.key.clone_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For who takes edges that have no certificate yet.
    ///
    /// # Errors
    /// Certificate and key do not fit.
    pub fn join_server(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.key.clone_key())?;
        config.alpn_protocols = vec![JOIN_PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Who has shown these certificates, in a handshake that has succeeded.
    ///
    /// # Errors
    /// There are none.
    pub fn peer_of(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Peer, IdentityError> {
        let first = certificates.and_then(<[_]>::first).ok_or(IdentityError::NoCertificate)?;
        Ok(Peer::of_certificate(first, &self.overlay)?)
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.overlay.clone(), Anchors::Roots(self.trust.anchors()), self.trust.clone())
    }
}
