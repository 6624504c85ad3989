//! Secrets (`envoy.extensions.transport_sockets.tls.v3.Secret`).

pub(crate) mod wire;

use std::fmt;

use bytes::Bytes;

/// A named secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    /// Resource name.
    pub name: String,
    /// Its content.
    pub content: SecretContent,
}

/// The two kinds that a gateway uses.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretContent {
    /// A certificate and its key.
    Certificate(TlsCertificate),
    /// Certificate authorities.
    Authorities(CertificateAuthorities),
}

/// A certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsCertificate {
    /// Leaf first.
    pub chain: Bytes,
    /// Private key.
    pub private_key: Bytes,
    /// DER OCSP response to staple; empty for none.
    pub ocsp_staple: Bytes,
}

impl fmt::Debug for TlsCertificate {
    /// Never shows the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsCertificate").field("chain_bytes", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Certificates that are trusted to sign others, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuthorities {
    /// The certificates.
    pub certificates: Bytes,
    /// Revocation lists; empty for none.
    pub crl: Bytes,
}
