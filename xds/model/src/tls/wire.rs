//! Conversion of TLS settings.

mod certificate;
mod common;
mod parameters;
#[cfg(test)]
mod tests;
mod validation;

use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::tls::{DownstreamTls, UpstreamTls};

pub(crate) use certificate::certificate;

impl DownstreamTls {
    /// Converts the TLS settings of a filter chain.
    pub(crate) fn convert(wire: &tls::DownstreamTlsContext, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => tls::DownstreamTlsContext {
                [implemented] common_tls_context, require_client_certificate;
                [implemented "LENIENT_STAPLING"] ocsp_staple_policy;
                [no_op "sessions live as long as the library's"] session_timeout;
                [no_op "the certificate follows from the filter chain"] full_scan_certs_on_sni_mismatch;
                [no_op "the server chooses the suite"] prefer_client_ciphers;
                [refused "filter chains decide about server names"] require_sni if *require_sni == Some(true);
                [refused "resumption is not configurable"] disable_stateful_session_resumption;
            }
            oneof session_ticket_keys_type {
                [refused "ticket keys are made here"] session_ticket_keys, session_ticket_keys_sds_secret_config;
                [refused "resumption is not configurable"] disable_stateless_session_resumption;
            }
        }
        use tls::downstream_tls_context::{OcspStaplePolicy, SessionTicketKeysType as Tickets};
        let refused = |member| Err(context.refused_member::<tls::DownstreamTlsContext>(member));
        match session_ticket_keys_type {
            None | Some(Tickets::DisableStatelessSessionResumption(false)) => {}
            Some(Tickets::DisableStatelessSessionResumption(true)) => {
                return refused("disable_stateless_session_resumption");
            }
            Some(Tickets::SessionTicketKeys(_)) => return refused("session_ticket_keys"),
            Some(Tickets::SessionTicketKeysSdsSecretConfig(_)) => {
                return refused("session_ticket_keys_sds_secret_config");
            }
        }
        match context.enumeration("ocsp_staple_policy", *ocsp_staple_policy)? {
            OcspStaplePolicy::LenientStapling => {}
            policy => return Err(context.refusal("ocsp_staple_policy", format_args!("{policy:?} is not supported"))),
        }
        let common = context.required("common_tls_context", common_tls_context, common::convert)?;
        let require_client_certificate = require_client_certificate.unwrap_or(false);
        if common.certificates.is_empty() {
            return Err(context.refusal("common_tls_context", "names no certificate"));
        }
        if require_client_certificate && common.validation.is_none() {
            let reason = "needs something that says which certificates are good";
            return Err(context.refusal("require_client_certificate", reason));
        }
        // A condition on the certificate asks for one (Envoy, `DefaultCertValidator::initializeSslContexts`).
        let conditional = common.validation.as_ref().is_some_and(|validation| {
            let conditions = [&validation.spki, &validation.hashes];
            let any = !validation.subject_alt_names.is_empty() || conditions.iter().any(|list| !list.is_empty());
            any && !validation.accept_untrusted
        });
        Ok(Self {
            certificates: common.certificates,
            validation: common.validation,
            require_client_certificate: require_client_certificate || conditional,
            parameters: common.parameters,
            alpn: common.alpn,
        })
    }
}

impl UpstreamTls {
    /// Converts the TLS settings of a cluster; what its HTTP options add is left unset.
    pub(crate) fn convert(wire: &tls::UpstreamTlsContext, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => tls::UpstreamTlsContext {
            [implemented] common_tls_context, sni;
            [no_op "sessions are kept per worker, in a bounded number"] max_session_keys;
            [refused "server names come from the configuration or the authority"] auto_host_sni, auto_sni_san_validation;
            [refused "TLS has no renegotiation any more"] allow_renegotiation;
            [refused "key usage is left to the library"] enforce_rsa_key_usage if *enforce_rsa_key_usage == Some(true);
        } }
        let common = context.optional("common_tls_context", common_tls_context, common::convert)?.unwrap_or_default();
        Ok(Self {
            sni: (!sni.is_empty()).then(|| sni.clone()),
            auto_sni: false,
            auto_san_validation: false,
            certificates: common.certificates,
            validation: common.validation,
            parameters: common.parameters,
            alpn: common.alpn,
        })
    }
}
