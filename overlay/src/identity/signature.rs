//! Signatures with the key of a node, for what others pass on.

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use super::{Identity, IdentityError};
use crate::node::Peer;

/// Keys are ECDSA on P-256, which is what nodes make.
const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

/// A signature, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The certificate of the signer.
    pub certificate: CertificateDer<'static>,
    /// ASN.1, as in TLS (RFC 8446 section 4.2.3).
    pub bytes: Vec<u8>,
}

impl Identity {
    /// Signs with the key of this node. `context` says what for, so that it is good for nothing else.
    ///
    /// # Errors
    /// The key is of another kind.
    pub fn sign(&self, context: &str, message: &[u8]) -> Result<Signature, IdentityError> {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&self.key)?;
        let signer = key.choose_scheme(&[SCHEME]).ok_or_else(|| Error::General("a key that is not on P-256".into()))?;
        let bytes = signer.sign(&in_context(context, message))?;
        Ok(Signature { certificate: self.certificate.clone(), bytes })
    }

    /// Who has signed a message. The certificate must be good now.
    ///
    /// # Errors
    /// The signature or the certificate is not good, or who made it is not let in.
    pub fn verify(&self, context: &str, message: &[u8], signature: &Signature, now: UnixTime) -> Result<Peer, Error> {
        let peer = self.verifier().verify(&signature.certificate, &[], now, KeyUsage::client_auth())?;
        let is_good = is_signed(&signature.certificate, context, message, &signature.bytes);
        if is_good { Ok(peer) } else { Err(CertificateError::BadSignature.into()) }
    }
}

/// Whether the key of a certificate has signed a message.
pub(super) fn is_signed(certificate: &CertificateDer<'_>, context: &str, message: &[u8], signature: &[u8]) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
    let all = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let message = in_context(context, message);
    all.mapping
        .iter()
        .filter(|(scheme, _)| *scheme == SCHEME)
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|algorithm| certificate.verify_signature(*algorithm, &message, signature).is_ok())
}

pub(super) fn in_context(context: &str, message: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], message].concat()
}
