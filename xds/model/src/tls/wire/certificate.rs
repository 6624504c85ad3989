//! Conversion of certificates with their keys.

use bytes::Bytes;
use xds_api::envoy::config::core::v3 as core;
use xds_api::envoy::extensions::transport_sockets::tls::v3 as tls;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::secret::TlsCertificate;
use crate::tls::{CertificateSource, SecretReference, SecretServer};
use crate::wire::data::{self, Data};

/// The parts of a certificate, each here or in a file.
struct Parts {
    chain: Data,
    private_key: Data,
    ocsp_staple: Bytes,
}

/// A certificate in TLS settings. Files become a secret of the agent, which watches them.
pub(super) fn source(wire: &tls::TlsCertificate, context: &mut Context<'_>) -> Result<CertificateSource, Refusal> {
    match parts(wire, context)? {
        Parts { chain: Data::Inline(chain), private_key: Data::Inline(private_key), ocsp_staple } => {
            Ok(CertificateSource::Inline(Box::new(TlsCertificate { chain, private_key, ocsp_staple })))
        }
        Parts { chain: Data::File(chain), private_key: Data::File(key), ocsp_staple } if ocsp_staple.is_empty() => {
            let name = format!("file-cert:{chain}~{key}");
            Ok(CertificateSource::Secret(SecretReference { name, server: SecretServer::Agent }))
        }
        _ => Err(context.refusal_here("everything must be in files, or nothing, and staples cannot be")),
    }
}

/// A certificate whose parts are all in the configuration.
pub(crate) fn certificate(wire: &tls::TlsCertificate, context: &mut Context<'_>) -> Result<TlsCertificate, Refusal> {
    match parts(wire, context)? {
        Parts { chain: Data::Inline(chain), private_key: Data::Inline(private_key), ocsp_staple } => {
            Ok(TlsCertificate { chain, private_key, ocsp_staple })
        }
        _ => Err(context.refusal_here("files are not read here")),
    }
}

fn parts(wire: &tls::TlsCertificate, context: &mut Context<'_>) -> Result<Parts, Refusal> {
    fates! { context, wire => tls::TlsCertificate {
        [implemented] certificate_chain, private_key;
        [implemented "in the configuration itself"] ocsp_staple;
        [no_op "files are always watched"] watched_directory;
        [refused "a PEM chain and a PEM key are needed"] pkcs12, password;
        [refused "keys are used by the TLS library itself"] private_key_provider;
        [refused "not supported"] signed_certificate_timestamp, tls_params;
    } }
    Ok(Parts {
        chain: context.required("certificate_chain", certificate_chain, not_empty)?,
        private_key: context.required("private_key", private_key, not_empty)?,
        ocsp_staple: context.optional("ocsp_staple", ocsp_staple, data::inline)?.unwrap_or_default(),
    })
}

fn not_empty(wire: &core::DataSource, context: &mut Context<'_>) -> Result<Data, Refusal> {
    match data::data(wire, context)? {
        Data::Inline(bytes) if bytes.is_empty() => Err(context.refusal_here("is empty")),
        data => Ok(data),
    }
}
