//! References to certificates.

use std::time::Duration;

use xds_api::envoy::config::core::v3::api_config_source::ApiType;
use xds_api::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use xds_api::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use xds_api::envoy::config::core::v3::{
    ApiConfigSource, ApiVersion, ConfigSource, DataSource, GrpcService, data_source,
};
use xds_api::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use xds_api::envoy::extensions::transport_sockets::tls::v3::{CertificateValidationContext, SdsSecretConfig};

use super::wire::{ads, duration};

/// The certificate that the mesh gives the gateway.
pub(super) const OWN_CERTIFICATE: &str = "default";
/// The mesh's certificate authority.
pub(super) const MESH_AUTHORITY: &str = "ROOTCA";
/// Suffix of the name of an authority.
pub(super) const AUTHORITY_SUFFIX: &str = "-cacert";

/// A secret of the control plane by its `credentialName`.
pub(super) fn credential(name: &str) -> SdsSecretConfig {
    match resource_name(name).as_str() {
        name @ (OWN_CERTIFICATE | MESH_AUTHORITY) => of_process(name),
        name => SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads(None)) },
    }
}

/// The resource that a `credentialName` means.
pub(super) fn resource_name(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("builtin://") {
        let own = if rest == AUTHORITY_SUFFIX { MESH_AUTHORITY } else { OWN_CERTIFICATE };
        return own.to_owned();
    }
    let name = name.strip_prefix("sds://").unwrap_or(name);
    match ["kubernetes://", "kubernetes-gateway://", "configmap://"].iter().any(|scheme| name.starts_with(scheme)) {
        true => name.to_owned(),
        false => format!("kubernetes://{name}"),
    }
}

/// A secret that the gateway process itself provides: of the mesh, or from files.
pub(super) fn of_process(name: &str) -> SdsSecretConfig {
    let target = EnvoyGrpc { cluster_name: "sds-grpc".into(), ..EnvoyGrpc::default() };
    let service = GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)), ..GrpcService::default() };
    let source = ApiConfigSource {
        api_type: ApiType::Grpc as i32,
        transport_api_version: ApiVersion::V3 as i32,
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..ApiConfigSource::default()
    };
    let is_of_mesh = name == OWN_CERTIFICATE || name == MESH_AUTHORITY;
    let config = ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
        initial_fetch_timeout: is_of_mesh.then(|| duration(Duration::ZERO)),
        resource_api_version: ApiVersion::V3 as i32,
        ..ConfigSource::default()
    };
    SdsSecretConfig { name: name.to_owned(), sds_config: Some(config) }
}

/// Checks of the peer's certificate, with the authority from a secret.
pub(super) fn validation(checks: CertificateValidationContext, authority: SdsSecretConfig) -> ValidationContextType {
    let combined = CombinedCertificateValidationContext {
        default_validation_context: Some(checks),
        validation_context_sds_secret_config: Some(authority),
        ..CombinedCertificateValidationContext::default()
    };
    ValidationContextType::CombinedValidationContext(combined)
}

/// A file; nothing without a path.
pub(super) fn file(path: &str) -> Option<DataSource> {
    let specifier = data_source::Specifier::Filename(path.to_owned());
    (!path.is_empty()).then(|| DataSource { specifier: Some(specifier), ..DataSource::default() })
}
