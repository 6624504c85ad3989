//! Conversion of versions, suites and groups.

use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Fates, fates};
use crate::tls::{TlsParameters, TlsVersion};

/// Suites of TLS 1.2 that are served, by their OpenSSL names.
const CIPHER_SUITES: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];
/// Groups that are served.
const CURVES: &[&str] = &["X25519", "P-256", "P-384", "X25519MLKEM768"];

pub(super) fn convert(wire: &tls::TlsParameters, context: &mut Context<'_>) -> Result<TlsParameters, Refusal> {
    fates! { context, wire => tls::TlsParameters {
        [implemented "1.0 and 1.1 are raised to 1.2"] tls_minimum_protocol_version;
        [implemented "1.2 and 1.3"] tls_maximum_protocol_version;
        [implemented "of TLS 1.2: ECDHE with AES-GCM or ChaCha20; others are left out, and one must be left"] cipher_suites;
        [implemented "X25519, P-256, P-384 and X25519MLKEM768; others are left out, and one must be left"] ecdh_curves;
        [refused "signature algorithms are the library's"] signature_algorithms;
        [refused "compliance policies are not supported yet"] compliance_policies;
    } }
    use tls::tls_parameters::TlsProtocol;
    let minimum = match context.enumeration("tls_minimum_protocol_version", *tls_minimum_protocol_version)? {
        TlsProtocol::TlsAuto => None,
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 | TlsProtocol::TlSv12 => Some(TlsVersion::V1_2),
        TlsProtocol::TlSv13 => Some(TlsVersion::V1_3),
    };
    let maximum = match context.enumeration("tls_maximum_protocol_version", *tls_maximum_protocol_version)? {
        TlsProtocol::TlsAuto => None,
        TlsProtocol::TlSv12 => Some(TlsVersion::V1_2),
        TlsProtocol::TlSv13 => Some(TlsVersion::V1_3),
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 => {
            return Err(context.refusal("tls_maximum_protocol_version", "TLS below 1.2 is not supported"));
        }
    };
    if minimum.is_some() && maximum.is_some() && minimum > maximum {
        return Err(context.refusal("tls_maximum_protocol_version", "is less than tls_minimum_protocol_version"));
    }
    Ok(TlsParameters {
        minimum,
        maximum,
        cipher_suites: known("cipher_suites", cipher_suites, CIPHER_SUITES, context)?,
        curves: known("ecdh_curves", ecdh_curves, CURVES, context)?,
    })
}

/// The names that are served, in the order they are given. `[A|B]` stands for suites of equal rank.
fn known(
    field: &'static str,
    wire: &[String],
    served: &[&str],
    context: &mut Context<'_>,
) -> Result<Vec<String>, Refusal> {
    let names = wire.iter().flat_map(|name| name.trim_start_matches('[').trim_end_matches(']').split('|'));
    let (known, unknown): (Vec<&str>, Vec<&str>) = names.partition(|name| served.contains(name));
    if known.is_empty() && !unknown.is_empty() {
        return Err(context.refusal(field, format_args!("none of {} is supported", unknown.join(", "))));
    }
    if !unknown.is_empty() {
        context.no_op(tls::TlsParameters::message(), field);
    }
    Ok(known.into_iter().map(str::to_owned).collect())
}
