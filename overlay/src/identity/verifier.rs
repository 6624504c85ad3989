//! Checks the certificates of nodes: the chain and its purpose (RFC 5280), one name of the overlay, and whether that name is let in.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage};

use super::Gatekeeper;
use crate::node::Peer;

/// The same for both sides.
#[derive(Debug)]
pub(super) struct Verifier {
    overlay: String,
    anchors: Anchors,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    gatekeeper: Arc<dyn Gatekeeper>,
}

/// Whose signature counts.
#[derive(Debug)]
pub(super) enum Anchors {
    /// That of these.
    Roots(Arc<RootCertStore>),
    /// That of a root with one of these SHA-256, which the other side shows.
    Pinned(Vec<[u8; 32]>),
}

impl Verifier {
    pub(super) fn new(overlay: String, anchors: Anchors, gatekeeper: Arc<dyn Gatekeeper>) -> Self {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let hints = if let Anchors::Roots(roots) = &anchors { roots.subjects() } else { Vec::new() };
        Self { overlay, anchors, hints, algorithms, gatekeeper }
    }

    /// Whose certificate it is, if it is good.
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<Peer, Error> {
        if let Err(error) = self.verify_chain(certificate, intermediates, now, usage) {
            // TLS has its own words for this, which the other side hears; the log says whose it is, if it ever was good.
            if let Some((then, problem)) = out_of_date(&error)
                && self.verify_chain(certificate, intermediates, then, usage).is_ok()
                && let Ok(peer) = Peer::of_certificate(certificate, &self.overlay)
            {
                self.gatekeeper.is_out_of_date(&peer, problem);
            }
            return Err(bad_chain(error));
        }
        let peer = Peer::of_certificate(certificate, &self.overlay).map_err(refused)?;
        if self.gatekeeper.admits(&peer) { Ok(peer) } else { Err(CertificateError::Revoked.into()) }
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), webpki::Error> {
        let verify = |anchors: &[TrustAnchor<'_>]| {
            let parsed = EndEntityCert::try_from(certificate)?;
            parsed.verify_for_usage(self.algorithms.all, anchors, intermediates, now, usage, None, None).map(|_| ())
        };
        match &self.anchors {
            Anchors::Roots(roots) => verify(&roots.roots),
            Anchors::Pinned(pins) => {
                let is_pinned = |shown: &&CertificateDer<'_>| pins.iter().any(|pin| Sha256::digest(shown)[..] == *pin);
                let roots = intermediates.iter().filter(is_pinned).map(webpki::anchor_from_trusted_cert);
                roots.collect::<Result<Vec<_>, _>>().and_then(|roots| verify(&roots))
            }
        }
    }
}

/// When a certificate was good, or will be, and why it is not.
fn out_of_date(error: &webpki::Error) -> Option<(UnixTime, &'static str)> {
    match error {
        webpki::Error::CertExpired { not_after, .. } => Some((
            *not_after,
            "its certificate has expired; unless the clock here is ahead, it has to join again with a new token",
        )),
        webpki::Error::CertNotValidYet { not_before, .. } => {
            Some((*not_before, "its certificate is not good yet: a clock is wrong"))
        }
        _ => None,
    }
}

fn bad_chain(error: webpki::Error) -> Error {
    use webpki::Error as Chain;
    match error {
        Chain::UnknownIssuer | Chain::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer.into(),
        Chain::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after }.into(),
        Chain::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before }.into(),
        Chain::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose.into(),
        other => refused(other),
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
    use time::{Duration, OffsetDateTime};

    use super::*;

    #[derive(Debug, Default)]
    struct Noted(Mutex<Vec<String>>);

    impl Gatekeeper for Noted {
        fn admits(&self, _: &Peer) -> bool {
            true
        }

        fn is_out_of_date(&self, peer: &Peer, problem: &str) {
            self.0.lock().unwrap().push(format!("{peer}: {problem}"));
        }
    }

    #[test]
    fn whose_certificate_is_out_of_date_is_said_and_tls_says_what_it_is() {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        roots.add(root.self_signed(&root_key).unwrap().der().clone()).unwrap();
        let (issuer, roots, noted) = (Issuer::new(root, root_key), Arc::new(roots), Arc::<Noted>::default());
        let verifier = Verifier::new("mesh".into(), Anchors::Roots(roots), noted.clone());
        let peer = Peer::Edge { name: "a".into(), tenant: "acme".into() };
        let stranger = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let verify = |issuer: &Issuer<'_, KeyPair>, begins: Duration, ends: Duration| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI(peer.uri("mesh").try_into().unwrap())];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let now = OffsetDateTime::now_utc();
            (params.not_before, params.not_after) = (now + begins, now + ends);
            let certificate = params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap();
            verifier.verify(certificate.der(), &[], UnixTime::now(), KeyUsage::client_auth())
        };
        let hour = Duration::hours(1);
        assert_eq!(verify(&issuer, -hour, hour), Ok(peer.clone()));
        let expired = verify(&issuer, -2 * hour, -hour).unwrap_err();
        assert!(matches!(expired, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{expired}");
        let early = verify(&issuer, hour, 2 * hour).unwrap_err();
        assert!(matches!(early, Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })), "{early}");
        // Nobody is named by who has no certificate of ours.
        verify(&stranger, -2 * hour, -hour).unwrap_err();
        let noted = noted.0.lock().unwrap();
        let begins =
            |at: usize, how: &str| noted[at].starts_with(&format!("edge a of tenant acme: its certificate {how}"));
        assert!(noted.len() == 2 && begins(0, "has expired") && begins(1, "is not good yet"), "{noted:?}");
    }
}
