//! Conversion of secrets.

#[cfg(test)]
mod tests;

use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{InSecret, Report, fates};
use crate::secret::{CertificateAuthorities, Secret, SecretContent};
use crate::tls::wire::certificate;
use crate::wire::data;

impl Secret {
    /// Converts a secret.
    ///
    /// # Errors
    /// A field is refused. The reason never quotes the content.
    pub fn from_wire(wire: &tls::Secret, report: &mut Report) -> Result<Self, Refusal> {
        Self::convert(wire, &mut Context::new(&wire.name, report))
    }

    fn convert(wire: &tls::Secret, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => tls::Secret { [implemented] name; }
            oneof r#type {
                [implemented] tls_certificate, validation_context;
                [refused "only certificates and authorities are used"] session_ticket_keys, generic_secret;
            }
        }
        use tls::secret::Type;
        let content = match r#type {
            Some(Type::TlsCertificate(wire)) => {
                SecretContent::Certificate(context.within("tls_certificate", |context| certificate(wire, context))?)
            }
            Some(Type::ValidationContext(wire)) => {
                SecretContent::Authorities(context.within("validation_context", |context| authorities(wire, context))?)
            }
            Some(Type::SessionTicketKeys(_)) => {
                return Err(context.refused_member::<tls::Secret>("session_ticket_keys"));
            }
            Some(Type::GenericSecret(_)) => return Err(context.refused_member::<tls::Secret>("generic_secret")),
            None => return Err(context.refusal_here("is empty")),
        };
        if name.is_empty() {
            return Err(context.refusal("name", "is empty"));
        }
        Ok(Self { name: name.clone(), content })
    }
}

fn authorities(
    wire: &tls::CertificateValidationContext,
    context: &mut Context<'_>,
) -> Result<CertificateAuthorities, Refusal> {
    fates! { context, wire => tls::CertificateValidationContext as InSecret {
        [implemented "in the secret itself"] trusted_ca, crl;
        [no_op "there are no files"] watched_directory;
        [refused "how certificates are checked is not a matter of secrets"] verify_certificate_spki, verify_certificate_hash,
            match_typed_subject_alt_names, match_subject_alt_names, trust_chain_verification, system_root_certs,
            ca_certificate_provider_instance, require_signed_certificate_timestamp, allow_expired_certificate,
            custom_validator_config, only_verify_leaf_cert_crl, max_verify_depth, suppress_client_ca_list;
    } }
    let certificates = context.required("trusted_ca", trusted_ca, data::inline)?;
    if certificates.is_empty() {
        return Err(context.refusal("trusted_ca", "is empty"));
    }
    Ok(CertificateAuthorities { certificates, crl: context.optional("crl", crl, data::inline)?.unwrap_or_default() })
}
