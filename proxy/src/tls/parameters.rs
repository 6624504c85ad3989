//! Versions, cipher suites and groups (`TlsParameters`), by OpenSSL's names as Envoy takes them.

use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use xds_model::tls::{TlsParameters, TlsVersion};

use super::TlsError;
use crate::worker::connection::TlsFacts;

/// The crypto provider narrowed to what the parameters allow.
pub(super) fn provider(parameters: &TlsParameters) -> Result<CryptoProvider, TlsError> {
    let mut provider = default_provider();
    if !parameters.cipher_suites.is_empty() {
        let chosen = parameters.cipher_suites.iter().map(|name| tls12_suite(name)).collect::<Result<Vec<_>, _>>()?;
        // TLS 1.3 suites are not configurable, in Envoy either: all of them stay.
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend(chosen);
    }
    if !parameters.curves.is_empty() {
        provider.kx_groups = parameters.curves.iter().map(|name| group(name)).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

/// The versions from lowest to highest; Envoy's default is 1.2 to 1.3.
pub(super) fn versions(parameters: &TlsParameters) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let minimum = parameters.minimum.unwrap_or(TlsVersion::V1_2);
    let maximum = parameters.maximum.unwrap_or(TlsVersion::V1_3);
    let versions: Vec<_> = [(TlsVersion::V1_2, &TLS12), (TlsVersion::V1_3, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (minimum..=maximum).contains(version))
        .map(|(_, supported)| supported)
        .collect();
    if versions.is_empty() {
        return Err(TlsError::invalid("tls_params", "the lowest version is above the highest"));
    }
    Ok(versions)
}

/// Whether a connection with this version, and this suite if it is one of TLS 1.2, may live under the parameters. A lower maximum
/// and other groups concern the next handshake only.
pub(crate) fn allow(parameters: &TlsParameters, facts: &TlsFacts) -> bool {
    let minimum = parameters.minimum.unwrap_or(TlsVersion::V1_2);
    match facts.version {
        "TLSv1.3" => true,
        _ => {
            minimum <= TlsVersion::V1_2
                && (parameters.cipher_suites.is_empty()
                    || parameters.cipher_suites.iter().any(|name| name == facts.cipher))
        }
    }
}

fn tls12_suite(name: &str) -> Result<SupportedCipherSuite, TlsError> {
    Ok(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-CHACHA20-POLY1305" => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        other => return Err(TlsError::invalid("tls_params.cipher_suites", format!("`{other}` is not supported"))),
    })
}

fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, TlsError> {
    Ok(match name {
        "X25519" => kx_group::X25519,
        "P-256" => kx_group::SECP256R1,
        "P-384" => kx_group::SECP384R1,
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        other => return Err(TlsError::invalid("tls_params.ecdh_curves", format!("`{other}` is not supported"))),
    })
}
