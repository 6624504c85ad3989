//! TLS on either side of the gateway: rustls configurations built from the model and its secrets.
//!
//! Built on control whenever a listener, a cluster or a secret changes; a connection only takes a session. Nothing here reads
//! files or waits: a secret that has not arrived is reported as [`TlsError::Waiting`].

mod alternative_names;
mod certificate;
mod client;
mod parameters;
mod server;
mod verify;

use std::sync::Arc;

use xds_model::secret::{CertificateAuthorities, SecretContent, TlsCertificate};
use xds_model::tls::{AuthoritySource, CertificateSource, SecretReference, Validation};

pub use alternative_names::certificate_facts;
pub(crate) use certificate::check;
pub use client::ClientTls;
pub(crate) use parameters::allow as allows_parameters;
pub use server::{ServerTls, SessionTickets};
pub(crate) use verify::PolicyViolation;

/// Why a TLS configuration could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A secret has not arrived yet.
    #[error("waiting for secret `{0}`")]
    Waiting(String),
    /// A secret is there but cannot be used.
    #[error("{what}: {reason}")]
    Invalid {
        /// Secret or field.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TlsError {
    fn invalid(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Invalid { what: what.into(), reason: reason.to_string() }
    }
}

/// Where secrets are looked up.
pub trait Secrets {
    /// The content of a secret, if it has arrived.
    fn secret(&self, reference: &SecretReference) -> Option<Arc<SecretContent>>;
}

/// A certificate of ours together with the name under which errors speak of it.
fn certificate(source: &CertificateSource, secrets: &dyn Secrets) -> Result<(String, TlsCertificate), TlsError> {
    match source {
        CertificateSource::Inline(certificate) => Ok(("inline certificate".to_owned(), (**certificate).clone())),
        CertificateSource::Secret(reference) => match secrets.secret(reference).as_deref() {
            None => Err(TlsError::Waiting(reference.name.clone())),
            Some(SecretContent::Certificate(certificate)) => Ok((reference.name.clone(), certificate.clone())),
            Some(SecretContent::Authorities(_)) => {
                Err(TlsError::invalid(&reference.name, "holds certificate authorities where a certificate is needed"))
            }
        },
    }
}

/// Certificate authorities together with the name under which errors speak of them.
fn authorities(source: &AuthoritySource, secrets: &dyn Secrets) -> Result<(String, CertificateAuthorities), TlsError> {
    match source {
        AuthoritySource::Inline(authorities) => Ok(("inline authorities".to_owned(), (**authorities).clone())),
        AuthoritySource::Secret(reference) => match secrets.secret(reference).as_deref() {
            None => Err(TlsError::Waiting(reference.name.clone())),
            Some(SecretContent::Authorities(authorities)) => Ok((reference.name.clone(), authorities.clone())),
            Some(SecretContent::Certificate(_)) => {
                Err(TlsError::invalid(&reference.name, "holds a certificate where certificate authorities are needed"))
            }
        },
    }
}

/// The secrets that a TLS context names.
pub(crate) fn named_secrets<'a>(
    certificates: &'a [CertificateSource],
    validation: Option<&'a Validation>,
) -> impl Iterator<Item = &'a SecretReference> {
    let own = certificates.iter().filter_map(|source| match source {
        CertificateSource::Secret(reference) => Some(reference),
        CertificateSource::Inline(_) => None,
    });
    let trusted = validation.and_then(|validation| validation.authorities.as_ref()).and_then(|source| match source {
        AuthoritySource::Secret(reference) => Some(reference),
        AuthoritySource::Inline(_) => None,
    });
    own.chain(trusted)
}

#[cfg(test)]
mod tests;
