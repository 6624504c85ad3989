//! Conversion of how a peer's certificate is checked.

use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::matcher::StringMatcher;
use crate::secret::CertificateAuthorities;
use crate::tls::wire::common::secret;
use crate::tls::{AuthoritySource, SanKind, SanMatcher, SecretReference, SecretServer, Validation};
use crate::wire::data::{self, Data};

/// Length of a SHA-256 digest in hexadecimal, and in base64.
const HEXADECIMAL_DIGEST: usize = 64;
const BASE64_DIGEST: usize = 44;

/// Converts the rules; `None` if there are none, and any certificate is good.
pub(super) fn convert(
    wire: &Option<tls::common_tls_context::ValidationContextType>,
    context: &mut Context<'_>,
) -> Result<Option<Validation>, Refusal> {
    use tls::common_tls_context::ValidationContextType as Kind;
    match wire {
        None => Ok(None),
        Some(Kind::ValidationContext(wire)) => context.within("validation_context", |context| {
            let validation = rules(wire, context)?;
            complete(validation, context)
        }),
        Some(Kind::ValidationContextSdsSecretConfig(wire)) => {
            let reference = context.within("validation_context_sds_secret_config", |context| secret(wire, context))?;
            Ok(Some(Validation { authorities: Some(AuthoritySource::Secret(reference)), ..Validation::default() }))
        }
        Some(Kind::CombinedValidationContext(wire)) => {
            context.within("combined_validation_context", |context| combined(wire, context)).map(Some)
        }
        Some(Kind::ValidationContextCertificateProvider(_)) => {
            Err(context.refused_member::<tls::CommonTlsContext>("validation_context_certificate_provider"))
        }
        Some(Kind::ValidationContextCertificateProviderInstance(_)) => {
            Err(context.refused_member::<tls::CommonTlsContext>("validation_context_certificate_provider_instance"))
        }
    }
}

/// Rules of which the authorities come from a secret.
fn combined(
    wire: &tls::common_tls_context::CombinedCertificateValidationContext,
    context: &mut Context<'_>,
) -> Result<Validation, Refusal> {
    fates! { context, wire => tls::common_tls_context::CombinedCertificateValidationContext {
        [implemented "without authorities of its own"] default_validation_context;
        [implemented] validation_context_sds_secret_config;
        [refused "certificate providers are not supported"] validation_context_certificate_provider,
            validation_context_certificate_provider_instance;
    } }
    let mut validation =
        context.optional("default_validation_context", default_validation_context, rules)?.unwrap_or_default();
    if validation.authorities.is_some() {
        return Err(context.refusal("default_validation_context", "names authorities, and so does the secret"));
    }
    let reference =
        context.required("validation_context_sds_secret_config", validation_context_sds_secret_config, secret)?;
    validation.authorities = Some(AuthoritySource::Secret(reference));
    Ok(validation)
}

/// Decides what rules without authorities mean. Names that nobody vouches for would prove nothing, so Envoy rejects them too.
fn complete(validation: Validation, context: &Context<'_>) -> Result<Option<Validation>, Refusal> {
    if validation.authorities.is_some() {
        return Ok(Some(validation));
    }
    if !validation.subject_alt_names.is_empty() {
        return Err(context.refusal("match_typed_subject_alt_names", "needs trusted_ca"));
    }
    let pinned = !validation.spki.is_empty() || !validation.hashes.is_empty();
    Ok(pinned.then_some(Validation { accept_untrusted: true, ..validation }))
}

fn rules(wire: &tls::CertificateValidationContext, context: &mut Context<'_>) -> Result<Validation, Refusal> {
    fates! { context, wire => tls::CertificateValidationContext {
        [implemented] trusted_ca, system_root_certs, verify_certificate_spki, verify_certificate_hash,
            match_typed_subject_alt_names, match_subject_alt_names, trust_chain_verification;
        [implemented "together with trusted_ca; a file is refused"] crl;
        [no_op "files are always watched"] watched_directory;
        [refused "certificate providers are not supported"] ca_certificate_provider_instance;
        [refused "expired certificates are refused"] allow_expired_certificate;
        [refused "not supported"] require_signed_certificate_timestamp if *require_signed_certificate_timestamp == Some(true),
            custom_validator_config, only_verify_leaf_cert_crl, max_verify_depth, suppress_client_ca_list;
    } }
    use tls::certificate_validation_context::TrustChainVerification;
    let mut names = context.each("match_typed_subject_alt_names", match_typed_subject_alt_names, name)?;
    names.extend(context.each("match_subject_alt_names", match_subject_alt_names, |wire, context| {
        Ok(SanMatcher { kind: None, value: StringMatcher::convert(wire, context)? })
    })?);
    let trust: TrustChainVerification = context.enumeration("trust_chain_verification", *trust_chain_verification)?;
    let authorities = authorities(trusted_ca, system_root_certs.is_some(), crl, context)?;
    Ok(Validation {
        authorities,
        subject_alt_names: names,
        spki: context.each("verify_certificate_spki", verify_certificate_spki, |wire, context| spki(wire, context))?,
        hashes: context
            .each("verify_certificate_hash", verify_certificate_hash, |wire, context| hash(wire, context))?,
        accept_untrusted: trust == TrustChainVerification::AcceptUntrusted,
    })
}

/// The authorities with their revocation lists. Files of certificates become a secret of the agent, which watches them.
fn authorities(
    trusted_ca: &Option<core::DataSource>,
    system: bool,
    crl: &Option<core::DataSource>,
    context: &mut Context<'_>,
) -> Result<Option<AuthoritySource>, Refusal> {
    let agent = |name| AuthoritySource::Secret(SecretReference { name, server: SecretServer::Agent });
    let trusted = context.optional("trusted_ca", trusted_ca, data::data)?;
    let crl = match context.optional("crl", crl, data::data)? {
        None => None,
        Some(Data::Inline(bytes)) => Some(bytes),
        // To pass over it would let revoked certificates in.
        Some(Data::File(_)) => return Err(context.refusal("crl", "a file of revocation lists is not supported")),
    };
    Ok(match (trusted, system, crl) {
        (None, false, None) => None,
        (None, true, None) => Some(agent("file-root:system".to_owned())),
        (Some(Data::File(path)), false, None) => Some(agent(format!("file-root:{path}"))),
        (Some(Data::Inline(certificates)), false, crl) => {
            Some(AuthoritySource::Inline(Box::new(CertificateAuthorities {
                certificates,
                crl: crl.unwrap_or_default(),
            })))
        }
        (Some(_), true, _) => return Err(context.refusal("system_root_certs", "and trusted_ca exclude each other")),
        (_, _, Some(_)) => return Err(context.refusal("crl", "must be where the certificates are")),
    })
}

fn name(wire: &tls::SubjectAltNameMatcher, context: &mut Context<'_>) -> Result<SanMatcher, Refusal> {
    fates! { context, wire => tls::SubjectAltNameMatcher {
        [implemented "EMAIL, DNS, URI and IP_ADDRESS"] san_type;
        [implemented] matcher;
        [refused "names of other kinds are not supported"] oid;
    } }
    use tls::subject_alt_name_matcher::SanType;
    let kind = match context.enumeration("san_type", *san_type)? {
        SanType::Email => SanKind::Email,
        SanType::Dns => SanKind::Dns,
        SanType::Uri => SanKind::Uri,
        SanType::IpAddress => SanKind::IpAddress,
        SanType::Unspecified => return Err(context.refusal("san_type", "is missing")),
        SanType::OtherName => return Err(context.refusal("san_type", "OTHER_NAME is not supported")),
    };
    Ok(SanMatcher { kind: Some(kind), value: context.required("matcher", matcher, StringMatcher::convert)? })
}

fn spki(wire: &str, context: &mut Context<'_>) -> Result<String, Refusal> {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if wire.len() != BASE64_DIGEST || !wire.bytes().all(base64) {
        return Err(context.refusal_here("is not a SHA-256 digest in base64"));
    }
    Ok(wire.to_owned())
}

fn hash(wire: &str, context: &mut Context<'_>) -> Result<String, Refusal> {
    let digits = wire.replace(':', "").to_ascii_lowercase();
    if digits.len() != HEXADECIMAL_DIGEST || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(context.refusal_here("is not a SHA-256 digest in hexadecimal"));
    }
    Ok(digits)
}
