//! TLS towards clients.

use xds_api::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use xds_api::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use xds_api::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use xds_api::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, TlsParameters,
};

use super::sds::{self, AUTHORITY_SUFFIX, MESH_AUTHORITY, OWN_CERTIFICATE};
use super::wire::exact;
use crate::object::gateway::{Server, ServerTls, ServerTlsMode, TlsVersion};

/// The TLS of a server; none if TLS does not end here.
pub(super) fn context(server: &Server) -> Option<DownstreamTlsContext> {
    let tls = server.tls.as_ref().filter(|tls| !tls.mode.is_passthrough())?;
    let is_mesh = tls.mode == ServerTlsMode::IstioMutual;
    let exchanges_metadata = is_mesh && !server.is_http();
    let protocols: &[&str] =
        if exchanges_metadata { &["istio-peer-exchange", "h2", "http/1.1"] } else { &["h2", "http/1.1"] };
    let common = CommonTlsContext {
        alpn_protocols: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
        tls_params: if is_mesh { None } else { parameters(tls) },
        tls_certificate_sds_secret_configs: certificates(tls),
        validation_context_type: validation(tls),
        ..CommonTlsContext::default()
    };
    Some(DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: Some(matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual)),
        ..DownstreamTlsContext::default()
    })
}

/// Names of the secrets that a server needs: resources of the control plane.
pub(super) fn secrets(server: &Server) -> Vec<String> {
    let Some(tls) = server.tls.as_ref().filter(|tls| !tls.mode.is_passthrough()) else { return Vec::new() };
    if tls.mode == ServerTlsMode::IstioMutual || tls.credential_names.is_empty() {
        return Vec::new();
    }
    let authority = asks_for_certificate(tls).then(|| authority_name(tls));
    let names = tls.credential_names.iter().cloned().chain(authority);
    names.map(|name| sds::resource_name(&name)).filter(|name| name.contains("://")).collect()
}

fn asks_for_certificate(tls: &ServerTls) -> bool {
    matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual | ServerTlsMode::IstioMutual)
}

fn authority_name(tls: &ServerTls) -> String {
    let own = tls.credential_names.first().map(|name| format!("{name}{AUTHORITY_SUFFIX}")).unwrap_or_default();
    if tls.ca_credential_name.is_empty() { own } else { tls.ca_credential_name.clone() }
}

fn certificates(tls: &ServerTls) -> Vec<SdsSecretConfig> {
    if tls.mode == ServerTlsMode::IstioMutual {
        return vec![sds::of_process(OWN_CERTIFICATE)];
    }
    if !tls.credential_names.is_empty() {
        return tls.credential_names.iter().map(|name| sds::credential(name)).collect();
    }
    let files = tls.certificates.iter().map(|files| format!("file-cert:{}~{}", files.certificate, files.private_key));
    files.map(|name| sds::of_process(&name)).collect()
}

fn validation(tls: &ServerTls) -> Option<ValidationContextType> {
    let uses_credentials = tls.mode != ServerTlsMode::IstioMutual && !tls.credential_names.is_empty();
    let names: Vec<_> = tls.subject_alt_names.iter().map(|name| exact(name)).collect();
    if !asks_for_certificate(tls) {
        let checks = CertificateValidationContext { match_subject_alt_names: names, ..Default::default() };
        let has_effect = uses_credentials && !tls.subject_alt_names.is_empty();
        return has_effect.then_some(ValidationContextType::ValidationContext(checks));
    }
    let trust = if tls.insecure_skip_verify {
        TrustChainVerification::AcceptUntrusted
    } else {
        TrustChainVerification::VerifyTrustChain
    };
    let mut checks = CertificateValidationContext {
        match_subject_alt_names: names,
        trust_chain_verification: trust as i32,
        ..CertificateValidationContext::default()
    };
    let authority = if uses_credentials {
        checks.verify_certificate_spki.clone_from(&tls.verify_certificate_spki);
        checks.verify_certificate_hash.clone_from(&tls.verify_certificate_hash);
        sds::credential(&authority_name(tls))
    } else {
        checks.crl = sds::file(&tls.ca_crl);
        let is_file = tls.mode != ServerTlsMode::IstioMutual && !tls.ca_certificates.is_empty();
        let name = if is_file { format!("file-root:{}", tls.ca_certificates) } else { MESH_AUTHORITY.to_owned() };
        sds::of_process(&name)
    };
    Some(sds::validation(checks, authority))
}

fn parameters(tls: &ServerTls) -> Option<TlsParameters> {
    let version = |version| match version {
        TlsVersion::Auto => TlsProtocol::TlsAuto as i32,
        TlsVersion::V1_0 => TlsProtocol::TlSv10 as i32,
        TlsVersion::V1_1 => TlsProtocol::TlSv11 as i32,
        TlsVersion::V1_2 => TlsProtocol::TlSv12 as i32,
        TlsVersion::V1_3 => TlsProtocol::TlSv13 as i32,
    };
    let parameters = TlsParameters {
        tls_minimum_protocol_version: version(tls.minimum_version),
        tls_maximum_protocol_version: version(tls.maximum_version),
        cipher_suites: tls.cipher_suites.clone(),
        ..TlsParameters::default()
    };
    (parameters != TlsParameters::default()).then_some(parameters)
}
