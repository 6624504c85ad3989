//! Checking a peer's certificate: chain, names and pins, the same way on both sides of the gateway.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use webpki::{BorrowedCertRevocationList, CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder};
use xds_model::secret::CertificateAuthorities;
use xds_model::tls::{SanMatcher, Validation};

use super::alternative_names::AlternativeNames;
use super::certificate::{fault, parse_certificates};
use super::{Secrets, TlsError, authorities};

/// What a peer must prove.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    chain: ChainPolicy,
    names: Vec<SanMatcher>,
    /// SHA-256 of the public key (SPKI), any of them.
    spki: Vec<Vec<u8>>,
    /// SHA-256 of the certificate, any of them.
    hashes: Vec<Vec<u8>>,
    /// As a server: refuse clients without a certificate. As a client: not used.
    mandatory: bool,
    /// As a client: the server's name must be among its names (`auto_san_validation`).
    match_server_name: bool,
    hints: Vec<DistinguishedName>,
}

#[derive(Debug)]
enum ChainPolicy {
    AcceptUntrusted,
    Trusted { anchors: Vec<TrustAnchor<'static>>, revocation: Vec<CertRevocationList<'static>> },
}

/// Why a certificate was refused although its chain is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyViolation {
    #[error("no subject alternative name of the certificate is accepted")]
    AlternativeName,
    #[error("the certificate is not one of those pinned")]
    Pin,
}

impl PeerVerifier {
    /// For a server: clients must (or may) present a certificate that satisfies `validation`.
    pub(super) fn of_clients(
        validation: &Validation,
        mandatory: bool,
        provider: Arc<CryptoProvider>,
        secrets: &dyn Secrets,
    ) -> Result<Self, TlsError> {
        Self::build(validation, mandatory, false, provider, secrets)
    }

    /// For a client: the server must satisfy `validation`. Where no authority is named any chain will do, as in Envoy: that is what
    /// istiod sends for `insecureSkipVerify`.
    pub(super) fn of_server(
        validation: Option<&Validation>,
        match_server_name: bool,
        provider: Arc<CryptoProvider>,
        secrets: &dyn Secrets,
    ) -> Result<Self, TlsError> {
        let mut validation = validation.cloned().unwrap_or_default();
        validation.accept_untrusted |= validation.authorities.is_none();
        Self::build(&validation, true, match_server_name, provider, secrets)
    }

    fn build(
        validation: &Validation,
        mandatory: bool,
        match_server_name: bool,
        provider: Arc<CryptoProvider>,
        secrets: &dyn Secrets,
    ) -> Result<Self, TlsError> {
        let (chain, hints) = chain_policy(validation, secrets)?;
        Ok(Self {
            provider,
            chain,
            names: validation.subject_alt_names.clone(),
            spki: validation.spki.iter().map(|pin| decode_base64(pin)).collect::<Result<_, _>>()?,
            hashes: validation.hashes.iter().map(|hash| decode_hex(hash)).collect::<Result<_, _>>()?,
            mandatory,
            match_server_name,
            hints,
        })
    }

    /// Whether a client with this certificate chain (leaf first, DER) was acceptable at `time`, since the Unix epoch.
    pub(super) fn accepts_client(&self, chain: &[Vec<u8>], time: Duration) -> bool {
        let certificates: Vec<CertificateDer<'_>> =
            chain.iter().map(|certificate| CertificateDer::from(certificate.as_slice())).collect();
        let Some((leaf, intermediates)) = certificates.split_first() else { return !self.mandatory };
        self.check(leaf, intermediates, UnixTime::since_unix_epoch(time), KeyUsage::client_auth()).is_ok()
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<AlternativeNames, Error> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(webpki_error)?;
        if let ChainPolicy::Trusted { anchors, revocation } = &self.chain {
            let lists: Vec<&CertRevocationList<'_>> = revocation.iter().collect();
            let options = match lists.is_empty() {
                true => None,
                // The list cannot be empty here, which is the only error of the builder.
                false => RevocationOptionsBuilder::new(&lists).ok().map(RevocationOptionsBuilder::build),
            };
            let algorithms = self.provider.signature_verification_algorithms.all;
            certificate
                .verify_for_usage(algorithms, anchors, intermediates, now, usage, options, None)
                .map_err(webpki_error)?;
        }
        let names = AlternativeNames::of(end_entity);
        if !self.names.is_empty() && !names.satisfy_any(&self.names) {
            return Err(violation(PolicyViolation::AlternativeName));
        }
        let digest = |bytes: &[u8]| rustls_sha256(bytes);
        let pinned = self.spki.is_empty() && self.hashes.is_empty()
            || self.hashes.contains(&digest(end_entity))
            || self.spki.contains(&digest(&certificate.subject_public_key_info()));
        if !pinned {
            return Err(violation(PolicyViolation::Pin));
        }
        Ok(names)
    }
}

fn chain_policy(
    validation: &Validation,
    secrets: &dyn Secrets,
) -> Result<(ChainPolicy, Vec<DistinguishedName>), TlsError> {
    let Some(source) = &validation.authorities else {
        if validation.accept_untrusted {
            return Ok((ChainPolicy::AcceptUntrusted, Vec::new()));
        }
        // Envoy accepts any client certificate when no authority is given. Here that takes an explicit word, or a pin.
        if validation.spki.is_empty() && validation.hashes.is_empty() {
            return Err(TlsError::invalid("validation_context", "names no certificate authority to trust"));
        }
        return Ok((ChainPolicy::AcceptUntrusted, Vec::new()));
    };
    let (name, authorities) = authorities(source, secrets)?;
    if validation.accept_untrusted {
        return Ok((ChainPolicy::AcceptUntrusted, Vec::new()));
    }
    let Trusted { anchors, hints, revocation } = Trusted::parse(&name, &authorities)?;
    Ok((ChainPolicy::Trusted { anchors, revocation }, hints))
}

/// Certificate authorities, ready to be used.
pub(super) struct Trusted {
    anchors: Vec<TrustAnchor<'static>>,
    /// Their subjects.
    hints: Vec<DistinguishedName>,
    revocation: Vec<CertRevocationList<'static>>,
}

impl Trusted {
    pub(super) fn parse(name: &str, authorities: &CertificateAuthorities) -> Result<Self, TlsError> {
        let mut trusted =
            Self { anchors: Vec::new(), hints: Vec::new(), revocation: revocation_lists(name, authorities)? };
        for certificate in parse_certificates(name, &authorities.certificates)? {
            let anchor = webpki::anchor_from_trusted_cert(&certificate)
                .map_err(|error| TlsError::invalid(name, format!("unusable certificate authority: {error}")))?
                .to_owned();
            trusted.hints.push(DistinguishedName::in_sequence(anchor.subject.as_ref()));
            trusted.anchors.push(anchor);
        }
        Ok(trusted)
    }
}

fn revocation_lists(
    name: &str,
    authorities: &CertificateAuthorities,
) -> Result<Vec<CertRevocationList<'static>>, TlsError> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&authorities.crl)
        .map(|list| {
            let list =
                list.map_err(|error| TlsError::invalid(name, format!("bad revocation list PEM: {}", fault(&error))))?;
            BorrowedCertRevocationList::from_der(&list)
                .and_then(|borrowed| borrowed.to_owned())
                .map(CertRevocationList::from)
                .map_err(|error| TlsError::invalid(name, format!("bad revocation list: {error}")))
        })
        .collect();
    let lists = lists?;
    // No list where there should be one would let in whoever was revoked.
    if lists.is_empty() && !authorities.crl.trim_ascii().is_empty() {
        return Err(TlsError::invalid(name, "holds no revocation list in PEM where there should be one"));
    }
    Ok(lists)
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::client_auth()).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let names = self.check(end_entity, intermediates, now, KeyUsage::server_auth())?;
        if self.match_server_name && !names.cover_host(&server_name.to_str()) {
            return Err(violation(PolicyViolation::AlternativeName));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(self)
    }
}

/// `CertificateError::Other` becomes the alert certificate_unknown, as Envoy sends for a name mismatch.
fn violation(violation: PolicyViolation) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(violation))))
}

fn webpki_error(error: webpki::Error) -> Error {
    use webpki::Error as Webpki;
    Error::InvalidCertificate(match error {
        Webpki::BadDer | Webpki::BadDerTime => CertificateError::BadEncoding,
        Webpki::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Webpki::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        Webpki::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Webpki::UnknownIssuer => CertificateError::UnknownIssuer,
        Webpki::CertRevoked => CertificateError::Revoked,
        Webpki::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Webpki::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

fn rustls_sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}

fn decode_base64(text: &str) -> Result<Vec<u8>, TlsError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| TlsError::invalid("verify_certificate_spki", format!("`{text}` is not a base64 SHA-256")))
}

fn decode_hex(text: &str) -> Result<Vec<u8>, TlsError> {
    let digits: Vec<u32> = text.chars().filter(|character| *character != ':').map_while(|c| c.to_digit(16)).collect();
    if digits.len() != 64 || text.chars().filter(|character| *character != ':').count() != 64 {
        return Err(TlsError::invalid("verify_certificate_hash", format!("`{text}` is not a hexadecimal SHA-256")));
    }
    Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0_u32, |value, digit| value * 16 + digit) as u8).collect())
}
