//! The keys under which secrets hold certificates.

use std::collections::BTreeMap;

use bytes::Bytes;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::object::secret::Secret;

/// A certificate chain with its key, in PEM.
pub(crate) struct Certificate {
    pub(crate) chain: Bytes,
    pub(crate) key: Bytes,
    pub(crate) ocsp_staple: Option<Bytes>,
}

/// A certificate authority with its revocation list, in PEM.
pub(crate) struct Authority {
    pub(crate) certificates: Bytes,
    pub(crate) revocations: Option<Bytes>,
}

/// The certificate in a secret; if there is none, why.
pub(crate) fn certificate(secret: &Secret) -> Result<Certificate, String> {
    let name = format!("the Secret {}/{}", secret.metadata.namespace, secret.metadata.name);
    let value = |key: &str| secret.data.get(key).filter(|value| !value.is_empty()).cloned();
    let (chain, key, ocsp_staple) = match (value("cert"), value("key"), value("tls.crt"), value("tls.key")) {
        (Some(chain), Some(key), _, _) => (chain, key, None),
        (_, _, Some(chain), Some(key)) => (chain, key, value("tls.ocsp-staple")),
        _ => return Err(format!("{name} has neither tls.crt and tls.key nor cert and key")),
    };
    let certificates = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    if !certificates.is_ok_and(|certificates| !certificates.is_empty()) {
        return Err(format!("{name} holds no certificate in PEM"));
    }
    if PrivateKeyDer::from_pem_slice(&key).is_err() {
        return Err(format!("{name} holds no private key in PEM"));
    }
    Ok(Certificate { chain, key, ocsp_staple })
}

/// The certificate authority in the data of a secret.
pub(crate) fn authority(data: &BTreeMap<String, Bytes>) -> Option<Authority> {
    let value = |key: &str| data.get(key).filter(|value| !value.is_empty()).cloned();
    match (value("cacert"), value("ca.crt")) {
        (Some(certificates), _) => Some(Authority { certificates, revocations: data.get("crl").cloned() }),
        (_, Some(certificates)) => Some(Authority { certificates, revocations: data.get("ca.crl").cloned() }),
        _ => None,
    }
}
