//! PEM to rustls: our own certificates with their keys.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use xds_model::secret::{SecretContent, TlsCertificate};

use super::TlsError;

/// Certificates of a PEM text, in order.
pub(super) fn parse_certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates =
        certificates.map_err(|error| TlsError::invalid(name, format!("bad certificate PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(TlsError::invalid(name, "holds no certificate"));
    }
    Ok(certificates)
}

/// Whether a secret can be used at all: its PEM can be read, and a key belongs to its certificate.
pub(crate) fn check(name: &str, content: &SecretContent) -> Result<(), TlsError> {
    match content {
        SecretContent::Certificate(certificate) => certified_key(name, certificate, &default_provider()).map(drop),
        SecretContent::Authorities(authorities) => parse_certificates(name, &authorities.certificates).map(drop),
    }
}

/// A certificate with its key, checked to belong together.
pub(super) fn certified_key(
    name: &str,
    certificate: &TlsCertificate,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = parse_certificates(name, &certificate.chain)?;
    let key = PrivateKeyDer::from_pem_slice(&certificate.private_key)
        .map_err(|error| TlsError::invalid(name, format!("bad private key PEM: {error}")))?;
    let signer = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::invalid(name, format!("unusable private key: {error}")))?;
    let mut certified = CertifiedKey::new(chain, signer);
    certified
        .keys_match()
        .map_err(|_| TlsError::invalid(name, "the private key does not belong to the certificate"))?;
    if !certificate.ocsp_staple.is_empty() {
        certified.ocsp = Some(certificate.ocsp_staple.to_vec());
    }
    Ok(Arc::new(certified))
}
