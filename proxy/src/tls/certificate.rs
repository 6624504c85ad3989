//! PEM to rustls: our own certificates with their keys.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use xds_model::secret::{SecretContent, TlsCertificate};

use super::TlsError;
use super::verify::Trusted;

/// Certificates of a PEM text, in order.
pub(super) fn parse_certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates =
        certificates.map_err(|error| TlsError::invalid(name, format!("bad certificate PEM: {}", fault(&error))))?;
    if certificates.is_empty() {
        return Err(TlsError::invalid(name, "holds no certificate"));
    }
    Ok(certificates)
}

/// What is wrong with a PEM text, in words of our own: those of the parser quote the text, which may be a private key.
pub(super) fn fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end marker on a line of its own",
        pem::Error::IllegalSectionStart { .. } => "a section's begin marker is not on a line of its own",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::NoItemsFound => "no section of that kind",
        _ => "it cannot be read",
    }
}

/// Whether a secret can be used at all: its PEM can be read, a key belongs to its certificate, authorities can be trusted.
pub(crate) fn check(name: &str, content: &SecretContent) -> Result<(), TlsError> {
    match content {
        SecretContent::Certificate(certificate) => certified_key(name, certificate, &default_provider()).map(drop),
        SecretContent::Authorities(authorities) => Trusted::parse(name, authorities).map(drop),
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
        .map_err(|error| TlsError::invalid(name, format!("bad private key PEM: {}", fault(&error))))?;
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
