//! Who signs the certificates of edges and hubs. All that it knows, its keys included, is in its store: whoever has the store is the authority.

mod error;
mod lifetime;
mod names;
mod revocation;
mod roots;
mod statement;
mod tokens;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use self::error::AuthorityError;
use self::names::check_name;
pub use self::roots::Rotation;
pub(crate) use self::tokens::{LONGEST_VALID, MOST_TOKENS};
use super::store::Store;
use crate::node::Peer;
use crate::strangers::quoted;

/// How long certificates of nodes are good, if nothing else is said. They are renewed after half of it.
const LIFETIME: Duration = Duration::from_hours(24);
/// Clocks of edges are not right: certificates are good from this part of their lifetime before they were made.
const BACKDATED: u32 = 24;

/// The signer of an overlay.
#[derive(Debug)]
pub struct Authority {
    overlay: String,
    store: Rc<dyn Store>,
    lifetime: Duration,
    is_lifetime_kept: Cell<bool>,
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, then the roots that are believed.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whose it is.
    pub peer: Peer,
}

impl Authority {
    /// The authority of an overlay, with what is in its store.
    ///
    /// # Errors
    /// The name of the overlay is none.
    pub fn new(overlay: &str, store: Rc<dyn Store>) -> Result<Self, AuthorityError> {
        check_name(overlay)?;
        Ok(Self { overlay: overlay.into(), store, lifetime: LIFETIME, is_lifetime_kept: Cell::new(false) })
    }

    /// The same, but for how long the certificates of nodes are good: 24 hours, if nothing is said.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, is_lifetime_kept: Cell::new(false), ..self }
    }

    /// Which overlay.
    pub fn overlay(&self) -> &str {
        &self.overlay
    }

    /// How long the certificates of nodes are good.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Renews the certificate of who has shown the last one.
    ///
    /// # Errors
    /// It was revoked, or what is to be signed is of no use.
    pub async fn renew(&self, peer: &Peer, request: &[u8], now: u64) -> Result<Issued, AuthorityError> {
        self.check_admitted(peer).await?;
        self.sign(parse(request)?, peer.clone(), now).await
    }

    /// Signs for a hub that has this authority, and its first certificate not yet.
    ///
    /// # Errors
    /// The name is none or that of another node, or what is to be signed is of no use.
    pub async fn sign_own(&self, own: &Peer, request: &[u8], now: u64) -> Result<Issued, AuthorityError> {
        self.reserve_name(own, None, now).await?;
        self.sign(parse(request)?, own.clone(), now).await
    }

    async fn sign(
        &self,
        request: CertificateSigningRequestParams,
        peer: Peer,
        now: u64,
    ) -> Result<Issued, AuthorityError> {
        let failed = |error: rcgen::Error| AuthorityError::Request(error.to_string());
        // Nothing but the key is taken from the request.
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(peer.uri(&self.overlay).try_into().map_err(failed)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(SerialNumber::from_slice(&rand::random::<[u8; 16]>()));
        self.keep_lifetime().await?;
        let keyring = self.keyring().await?;
        let (issuer, until) = keyring.issuer(now)?;
        (params.not_before, params.not_after) = validity(now, self.lifetime)?;
        params.not_after = params.not_after.min(until);
        let certificate = params.signed_by(&request.public_key, &issuer).map_err(failed)?;
        let chain = [vec![certificate.der().clone()], keyring.certificates(now)?].concat();
        Ok(Issued { chain, peer })
    }
}

fn parse(request: &[u8]) -> Result<CertificateSigningRequestParams, AuthorityError> {
    // The signature of the request shows that whoever asks has the key.
    CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
        .map_err(|error| AuthorityError::Request(quoted(&error)))
}

fn validity(now: u64, lifetime: Duration) -> Result<(OffsetDateTime, OffsetDateTime), AuthorityError> {
    let at = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| AuthorityError::Request(error.to_string()))
    };
    Ok((at(now.saturating_sub((lifetime / BACKDATED).as_secs()))?, at(now.saturating_add(lifetime.as_secs()))?))
}

fn to_bytes(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

fn from_bytes<'a, T: Deserialize<'a>>(key: &str, bytes: &'a [u8]) -> Result<T, AuthorityError> {
    serde_json::from_slice(bytes).map_err(|error| AuthorityError::Record(key.into(), error.to_string()))
}
