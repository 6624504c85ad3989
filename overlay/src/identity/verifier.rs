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

use super::Admission;
use crate::node::Peer;

/// The same for both sides.
#[derive(Debug)]
pub(super) struct Verifier {
    overlay: String,
    anchors: Anchors,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    admission: Arc<dyn Admission>,
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
    pub(super) fn new(overlay: String, anchors: Anchors, admission: Arc<dyn Admission>) -> Self {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let hints = if let Anchors::Roots(roots) = &anchors { roots.subjects() } else { Vec::new() };
        Self { overlay, anchors, hints, algorithms, admission }
    }

    /// Whose certificate it is, if it is good.
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<Peer, Error> {
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
        .map_err(bad_chain)?;
        let peer = Peer::of_certificate(certificate, &self.overlay).map_err(refused)?;
        if self.admission.admits(&peer) { Ok(peer) } else { Err(CertificateError::Revoked.into()) }
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
