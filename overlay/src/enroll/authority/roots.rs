//! The keys of the authority. There is one, but while another takes its place: then both are believed, for as long as certificates of the old one live.
//!
//! ```text
//! rotate          a lifetime later      another lifetime later
//!   | both are believed | the new one signs      | the old one is gone
//! ```
//!
//! So whoever has a good certificate has heard of the new root before anything that it signed, and has a certificate of it before the old one goes. What is
//! when follows from times in the store: all hubs that use it agree.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SigningKey as _,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, AuthorityError, BACKDATED, from_bytes, to_bytes, validity};

/// The key of their record.
const KEYRING: &str = "authority";
/// How long a root certificate is good.
const ROOT_LIFETIME: Duration = Duration::from_hours(24 * 365 * 10);

/// All roots that are not forgotten, the oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Keyring {
    /// SHA-256 of the public key of the hub that made the first one: if it was interrupted it may go on.
    founder: [u8; 32],
    /// Roots that there were before.
    forgotten: u64,
    roots: Vec<Root>,
}

/// A root.
#[derive(Debug, Serialize, Deserialize)]
struct Root {
    /// PEM.
    certificate: String,
    /// PKCS #8, PEM.
    key: String,
    /// Seconds since 1970, as all times here.
    signs_from: u64,
    /// That of the newest is not known yet.
    believed_until: Option<u64>,
}

/// How a root takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When the new root begins to sign (seconds since 1970).
    pub signs_from: u64,
    /// When the old one is believed no longer.
    pub done: u64,
}

impl Root {
    fn make(overlay: &str, number: u64, signs_from: u64, now: u64) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("{}{number}", common_name(overlay)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, ROOT_LIFETIME)?;
        let certificate = params.self_signed(&key).map_err(request)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), signs_from, believed_until: None })
    }

    fn is_believed(&self, now: u64) -> bool {
        self.believed_until.is_none_or(|until| now < until)
    }

    fn certificate(&self) -> Result<CertificateDer<'static>, AuthorityError> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(|error| damaged(&error))
    }

    fn key(&self) -> Result<KeyPair, AuthorityError> {
        KeyPair::from_pem(&self.key).map_err(|error| damaged(&error))
    }
}

/// How the names of the roots of an overlay begin.
fn common_name(overlay: &str) -> String {
    format!("Selvedge overlay {overlay}, root ")
}

impl Keyring {
    /// Whether these are the roots of this overlay.
    fn is_of(&self, overlay: &str) -> Result<bool, AuthorityError> {
        let root = self.roots.first().ok_or_else(no_root)?.certificate()?;
        let (_, root) = X509Certificate::from_der(&root).map_err(|error| damaged(&error))?;
        let mut names = root.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        Ok(names.any(|name| name.starts_with(&common_name(overlay))))
    }

    fn believed(&self, now: u64) -> impl Iterator<Item = &Root> {
        self.roots.iter().filter(move |root| root.is_believed(now))
    }

    /// Certificates of the roots that are believed, the newest last.
    pub(super) fn certificates(&self, now: u64) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        self.believed(now).map(Root::certificate).collect()
    }

    /// What signs certificates of nodes, and until when these can be good.
    pub(super) fn issuer(&self, now: u64) -> Result<(Issuer<'static, KeyPair>, OffsetDateTime), AuthorityError> {
        let signing = self.believed(now).filter(|root| root.signs_from <= now).last();
        // Where the clock is wrong there may be none: the oldest one is known to most.
        let root = signing.or_else(|| self.roots.first()).ok_or_else(no_root)?;
        let certificate = root.certificate()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| damaged(&error))?;
        let until = parsed.validity().not_after.to_datetime();
        Ok((Issuer::from_ca_cert_der(&certificate, root.key()?).map_err(request)?, until))
    }

    /// Signatures of all roots that are believed.
    pub(super) fn sign(&self, message: &[u8], now: u64) -> Result<Vec<Vec<u8>>, AuthorityError> {
        self.believed(now).map(|root| root.key()?.sign(message).map_err(request)).collect()
    }

    /// Whether all of these are its own, those that are believed no longer included.
    pub(super) fn knows(&self, roots: &[CertificateDer<'_>]) -> Result<bool, AuthorityError> {
        let own = self.roots.iter().map(Root::certificate).collect::<Result<Vec<_>, _>>()?;
        Ok(roots.iter().all(|root| own.contains(root)))
    }

    fn rotation(&self, now: u64) -> Option<Rotation> {
        let newest = self.roots.last()?;
        let done = self.believed(now).filter_map(|root| root.believed_until).max()?;
        Some(Rotation { signs_from: newest.signs_from, done })
    }
}

impl Authority {
    /// Makes the first root, for a hub with this public key (SHA-256).
    ///
    /// # Errors
    /// Another hub did before, or the store does not work.
    pub async fn found(&self, founder: [u8; 32], now: u64) -> Result<(), AuthorityError> {
        let roots = vec![Root::make(&self.overlay, 1, now, now)?];
        let keyring = Keyring { founder, forgotten: 0, roots };
        if self.store.swap(KEYRING, None, Some(&to_bytes(&keyring))).await? {
            return Ok(());
        }
        let (_, present) = self.stored_keyring().await?;
        let is_same = present.founder == founder && present.is_of(&self.overlay)?;
        if is_same { Ok(()) } else { Err(AuthorityError::Founded(self.overlay.clone())) }
    }

    /// Certificates of the roots that are believed, the newest last.
    ///
    /// # Errors
    /// The store does not work, or has no root.
    pub async fn roots(&self, now: u64) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        self.keyring().await?.certificates(now)
    }

    /// Begins to put a new root in the place of the old one.
    ///
    /// # Errors
    /// It has begun before, or the store does not work.
    pub async fn rotate(&self, now: u64) -> Result<Rotation, AuthorityError> {
        let (stored, mut keyring) = self.stored_keyring().await?;
        if let Some(rotation) = keyring.rotation(now) {
            return Err(AuthorityError::Rotating(rotation.done.saturating_sub(now)));
        }
        let before = keyring.roots.len();
        keyring.roots.retain(|root| root.is_believed(now));
        keyring.forgotten += (before - keyring.roots.len()) as u64;
        // Clocks are not right, certificates are good from before they were made.
        let lifetime = self.longest_lifetime().await?;
        let step = (lifetime + lifetime / BACKDATED).as_secs() + 1;
        let rotation = Rotation { signs_from: now + step, done: now + 2 * step };
        let number = keyring.forgotten + keyring.roots.len() as u64 + 1;
        let last = keyring.roots.last_mut().ok_or_else(no_root)?;
        last.believed_until = Some(rotation.done);
        keyring.roots.push(Root::make(&self.overlay, number, rotation.signs_from, now)?);
        if self.store.swap(KEYRING, Some(&stored), Some(&to_bytes(&keyring))).await? {
            return Ok(rotation);
        }
        // Somebody else has begun.
        Err(AuthorityError::Rotating(rotation.done - now))
    }

    /// Whether a root takes the place of another.
    ///
    /// # Errors
    /// The store does not work, or has no root.
    pub async fn rotation(&self, now: u64) -> Result<Option<Rotation>, AuthorityError> {
        Ok(self.keyring().await?.rotation(now))
    }

    /// Throws away the keys of roots that are believed no longer.
    pub(super) async fn forget_roots(&self, now: u64) -> Result<(), AuthorityError> {
        let (stored, mut keyring) = self.stored_keyring().await?;
        let before = keyring.roots.len();
        keyring.roots.retain(|root| root.is_believed(now));
        let gone = (before - keyring.roots.len()) as u64;
        keyring.forgotten += gone;
        if gone > 0 {
            self.store.swap(KEYRING, Some(&stored), Some(&to_bytes(&keyring))).await?;
        }
        Ok(())
    }

    pub(super) async fn keyring(&self) -> Result<Keyring, AuthorityError> {
        Ok(self.stored_keyring().await?.1)
    }

    async fn stored_keyring(&self) -> Result<(Vec<u8>, Keyring), AuthorityError> {
        let stored = self.store.get(KEYRING).await?;
        let stored = stored.ok_or_else(|| AuthorityError::NotFounded(self.overlay.clone()))?;
        let keyring = from_bytes(KEYRING, &stored)?;
        Ok((stored, keyring))
    }
}

fn request(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Request(error.to_string())
}

fn damaged(problem: &dyn fmt::Display) -> AuthorityError {
    AuthorityError::Record(KEYRING.into(), problem.to_string())
}

fn no_root() -> AuthorityError {
    damaged(&"there is no root")
}
