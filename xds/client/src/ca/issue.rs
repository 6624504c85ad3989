//! One certificate: key, request, answer, and what the answer must be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use xds_api::ca::create_certificate;
use xds_api::istio::v1::auth::IstioCertificateRequest;

use super::roots::Roots;
use super::{CaOptions, Identity, SpiffeId};

/// Bound on the call, without connecting.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for a certificate over a new connection: the roots that vouch for the server may have changed.
pub(super) async fn issue(options: &CaOptions, roots: &mut Roots) -> Result<Identity, String> {
    let (key, csr) = make_request(&options.identity).map_err(|error| format!("making a request: {error}"))?;
    let validity = i64::try_from(options.validity.as_secs()).unwrap_or(i64::MAX);
    let request = IstioCertificateRequest { csr, validity_duration: validity, metadata: None };
    let connection = options.control_plane.connect().await?;
    let metadata = options.control_plane.metadata().await?;
    let call = create_certificate(connection.channel, metadata, request);
    let chain = match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(chain)) => chain,
        Ok(Err(status)) => return Err(format!("{:?}: {}", status.code(), status.message())),
        Err(_) => return Err(format!("no answer within {CALL_TIMEOUT:?}")),
    };
    accept(&chain, &key, roots, SystemTime::now())
}

fn make_request(identity: &SpiffeId) -> Result<(KeyPair, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    let csr = parameters.serialize_request(&key)?.pem()?;
    Ok((key, csr))
}

/// The last element holds the roots, the others are the chain.
pub(super) fn accept(answer: &[String], key: &KeyPair, roots: &mut Roots, now: SystemTime) -> Result<Identity, String> {
    let [leaf, intermediates @ .., root_bundle] = answer else {
        return Err(format!("the answer has {} elements, and needs a certificate and the roots", answer.len()));
    };
    let unusable = |reason: &str| format!("the certificate in the answer {reason}");
    let (_, leaf_pem) = parse_x509_pem(leaf.as_bytes()).map_err(|error| unusable(&format!("is not PEM: {error}")))?;
    let (_, certificate) =
        X509Certificate::from_der(&leaf_pem.contents).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(unusable("is for another key"));
    }
    let not_after = time(certificate.validity().not_after.timestamp());
    if not_after <= now {
        return Err(unusable("has expired"));
    }
    let identity = Identity {
        chain: [leaf].into_iter().chain(intermediates).map(|pem| format!("{}\n", pem.trim_end())).collect(),
        key: key.serialize_pem(),
        spiffe_id: uri_name(&certificate),
        not_before: time(certificate.validity().not_before.timestamp()),
        not_after,
        roots: roots.update(root_bundle, not_after, now)?,
    };
    Ok(identity)
}

fn uri_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    })
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
