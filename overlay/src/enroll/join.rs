//! A token becomes a certificate. The hub is known by the root that the token names.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;

use super::exchange::{Join, ask, ask_all, certificates};
use super::token::{Token, sha256};
use crate::identity::{Identity, IdentityError, Trust, joining_client};

/// What a node has after it has joined, beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// Whom it believes.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Why a node cannot join.
#[derive(Debug, Error)]
pub enum JoinError {
    /// No hub of the token can be asked, or knows.
    #[error("no hub can be reached that signs: {0}")]
    Unreachable(String),
    /// No hub signs, and one at least says no.
    #[error("the hub refuses: {0}")]
    Refused(String),
    /// What it answered cannot be used.
    #[error("the hub's answer: {0}")]
    Answer(String),
    /// The key is of no use.
    #[error("key: {0}")]
    Key(#[from] rcgen::Error),
}

/// Buys a certificate for a key (PKCS #8, PEM). Hubs are asked one after the other until one signs. A token is good for one key: whoever was interrupted may
/// ask again with the same.
///
/// # Errors
/// As [`JoinError`] says.
pub async fn join(token: &Token, key: &str) -> Result<Joined, JoinError> {
    let key = KeyPair::from_pem(key)?;
    let request = CertificateParams::default().serialize_request(&key)?;
    let proof = token.proof(request.der());
    let question = Join { token: token.id.clone(), request: BASE64_STANDARD.encode(request.der()), proof };
    let config = joining_client(&token.overlay, &token.pins);
    match ask_all(&token.hubs, |hub| ask(config.clone(), hub, &question)).await {
        Ok(chain) => take(token, &key, &chain),
        Err(reasons) if reasons.is_refusal => Err(JoinError::Refused(reasons.to_string())),
        Err(reasons) => Err(JoinError::Unreachable(reasons.to_string())),
    }
}

fn take(token: &Token, key: &KeyPair, chain: &[String]) -> Result<Joined, JoinError> {
    let (certificate, mut roots) = certificates(chain).map_err(JoinError::Answer)?;
    // The hub that answers need not be the authority: it cannot add one. Others follow over the first link, signed.
    roots.retain(|root| token.pins.contains(&sha256(root)));
    if roots.is_empty() {
        return Err(JoinError::Answer("other roots than the token names".into()));
    }
    let identity = identity(token, key, &certificate, &roots).map_err(|error| JoinError::Answer(error.to_string()))?;
    let peer = identity.peer();
    if *peer != token.peer {
        return Err(JoinError::Answer(format!("a certificate of {peer}, where the token is for {}", token.peer)));
    }
    Ok(Joined { certificate, roots })
}

/// What the node will be: the certificate must be for its key, and signed by one of the roots.
fn identity(
    token: &Token,
    key: &KeyPair,
    certificate: &CertificateDer<'static>,
    roots: &[CertificateDer<'static>],
) -> Result<Identity, IdentityError> {
    let trust = Arc::new(Trust::new(roots.to_vec())?);
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    Identity::new(&token.overlay, certificate.clone(), key, trust)?.with_certificate(certificate.clone())
}
