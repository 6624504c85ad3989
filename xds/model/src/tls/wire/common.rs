//! Conversion of the settings that both sides share.

use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::tls::wire::{certificate, parameters, validation};
use crate::tls::{CertificateSource, SecretReference, TlsParameters, Validation};
use crate::wire::source;

/// Whoever agrees on this protocol must send Istio's metadata before anything else, which is not done here.
const PEER_EXCHANGE: &str = "istio-peer-exchange";

/// `CommonTlsContext`.
#[derive(Default)]
pub(super) struct Common {
    pub(super) certificates: Vec<CertificateSource>,
    pub(super) validation: Option<Validation>,
    pub(super) parameters: TlsParameters,
    pub(super) alpn: Vec<String>,
}

pub(super) fn convert(wire: &tls::CommonTlsContext, context: &mut Context<'_>) -> Result<Common, Refusal> {
    fates! { context, wire => tls::CommonTlsContext {
            [implemented] tls_params, tls_certificates, tls_certificate_sds_secret_configs;
            [implemented "but istio-peer-exchange, which is left out"] alpn_protocols;
            [refused "certificates come from the configuration or from secrets"] tls_certificate_provider_instance,
                tls_certificate_certificate_provider, tls_certificate_certificate_provider_instance,
                custom_tls_certificate_selector;
            [refused "the handshake is the library's"] custom_handshaker;
            [refused "keys are not logged"] key_log;
        }
        oneof validation_context_type {
            [implemented] validation_context, validation_context_sds_secret_config, combined_validation_context;
            [refused "certificate providers are not supported"] validation_context_certificate_provider,
                validation_context_certificate_provider_instance;
        }
    }
    let mut certificates = context.each("tls_certificates", tls_certificates, certificate::source)?;
    certificates.extend(context.each(
        "tls_certificate_sds_secret_configs",
        tls_certificate_sds_secret_configs,
        |wire, context| secret(wire, context).map(CertificateSource::Secret),
    )?);
    Ok(Common {
        certificates,
        validation: validation::convert(validation_context_type, context)?,
        parameters: context.optional("tls_params", tls_params, parameters::convert)?.unwrap_or_default(),
        alpn: alpn_protocols.iter().filter(|protocol| *protocol != PEER_EXCHANGE).cloned().collect(),
    })
}

/// A secret by name, and who serves it.
pub(super) fn secret(wire: &tls::SdsSecretConfig, context: &mut Context<'_>) -> Result<SecretReference, Refusal> {
    fates! { context, wire => tls::SdsSecretConfig {
        [implemented] name;
        [implemented "must be there: secrets are not in the bootstrap"] sds_config;
    } }
    if name.is_empty() {
        return Err(context.refusal("name", "is empty"));
    }
    let server = context.required("sds_config", sds_config, source::server)?;
    Ok(SecretReference { name: name.clone(), server })
}
