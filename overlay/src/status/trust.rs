//! Whom a node believes, and for how long.

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::identity::Trust;

/// So many bytes of a fingerprint tell roots apart.
const SHOWN: usize = 4;

/// What a node has heard from the authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustStatus {
    /// The number of the statement, which grows with every change: nodes that say the same number believe the same. 0 before there was one.
    pub number: u64,
    /// How many nodes were revoked.
    pub revoked: usize,
    /// The roots that are believed, the newest last.
    pub roots: Vec<RootStatus>,
}

/// A root that is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootStatus {
    /// The beginning of the SHA-256 of its certificate.
    pub id: String,
    /// For how long its certificate is good, seconds.
    pub seconds: u64,
}

impl TrustStatus {
    pub(crate) fn of(trust: &Trust, now: u64) -> Self {
        let (number, revoked) = trust.statement();
        Self { number, revoked, roots: trust.roots().iter().map(|root| RootStatus::of(root, now)).collect() }
    }
}

impl RootStatus {
    fn of(root: &CertificateDer<'_>, now: u64) -> Self {
        let id = Sha256::digest(root).iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
        // One that cannot be read is believed nowhere.
        let end = X509Certificate::from_der(root).map_or(0, |(_, parsed)| parsed.validity().not_after.timestamp());
        Self { id, seconds: u64::try_from(end).unwrap_or(0).saturating_sub(now) }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SigningKey as _};
    use time::OffsetDateTime;

    use super::*;
    use crate::identity::SignedTrust;
    use crate::node::Peer;

    #[test]
    fn the_statement_and_the_end_of_each_root_are_told() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let trust = Trust::new(vec![root.clone()]).unwrap();
        let before = TrustStatus::of(&trust, 1_999_999_900);
        assert_eq!((before.number, before.revoked, before.roots[0].seconds), (0, 0, 100));
        assert_eq!((before.roots[0].id.len(), TrustStatus::of(&trust, 2_000_000_001).roots[0].seconds), (8, 0));

        let denied = [Peer::Hub { name: "h".into() }, Peer::Hub { name: "i".into() }];
        let sign = |message: &[u8]| key.sign(message).map(|signature| vec![signature]);
        trust.take(&SignedTrust::sign(7, &[root], &denied, sign).unwrap()).unwrap();
        let after = TrustStatus::of(&trust, 1_999_999_900);
        assert_eq!(after, TrustStatus { number: 7, revoked: 2, roots: before.roots });
    }
}
