//! TLS towards endpoints.

use xds_api::Any;
use xds_api::envoy::config::cluster::v3::Cluster;
use xds_api::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use xds_api::envoy::config::core::v3::UpstreamHttpProtocolOptions;
use xds_api::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use xds_api::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use xds_api::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use xds_api::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, TlsParameters, UpstreamTlsContext,
};
use xds_api::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

use super::cluster::Target;
use super::sds::{self, AUTHORITY_SUFFIX, MESH_AUTHORITY, OWN_CERTIFICATE};
use super::wire::{cluster_sni, exact, structure, text, transport_socket};
use crate::mesh::service::{Registry, Resolution, Service};
use crate::object::destination_rule::{ClientTls, ClientTlsMode};

/// Sets the TLS of a cluster. Without a setting, services of the mesh get mutual TLS for the endpoints that take it.
pub(super) fn apply(
    cluster: &mut Cluster,
    target: &Target<'_>,
    tls: Option<&ClientTls>,
    speaks_http2: bool,
    http: &mut Option<HttpProtocolOptions>,
) {
    match tls {
        None if takes_mutual_tls(target.service) => {
            cluster.transport_socket_matches = by_endpoint(&mesh_context(target, &ClientTls::default(), speaks_http2));
        }
        None => {}
        Some(tls) => match tls.mode {
            ClientTlsMode::Disable => {}
            ClientTlsMode::IstioMutual => set(cluster, &mesh_context(target, tls, speaks_http2)),
            ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                derive_names(tls, http);
                set(cluster, &own_context(target, tls, speaks_http2));
            }
        },
    }
}

/// Names of the secrets that a setting needs: resources of the control plane.
pub(super) fn secrets(tls: &ClientTls) -> Vec<String> {
    let own = matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual) && !tls.credential_name.is_empty();
    let mut names = Vec::new();
    if own && tls.mode == ClientTlsMode::Mutual {
        names.push(sds::resource_name(&tls.credential_name));
    }
    if own && !tls.insecure_skip_verify {
        names.push(sds::resource_name(&format!("{}{AUTHORITY_SUFFIX}", tls.credential_name)));
    }
    names
}

/// Services outside the mesh never do, and of those without an address of their own only the ones whose endpoints all do.
fn takes_mutual_tls(service: &Service) -> bool {
    let all_do = !service.endpoints.is_empty() && service.endpoints.iter().all(|endpoint| endpoint.takes_mutual_tls);
    !service.mesh_external && (service.resolution != Resolution::Passthrough || all_do)
}

fn set(cluster: &mut Cluster, context: &UpstreamTlsContext) {
    cluster.transport_socket = Some(transport_socket("envoy.transport_sockets.tls", Any::pack(context)));
}

/// TLS for endpoints whose metadata says so, else none.
fn by_endpoint(context: &UpstreamTlsContext) -> Vec<TransportSocketMatch> {
    let tls = transport_socket("envoy.transport_sockets.tls", Any::pack(context));
    let raw = transport_socket("envoy.transport_sockets.raw_buffer", Any::pack(&RawBuffer {}));
    vec![
        TransportSocketMatch {
            name: "tlsMode-istio".into(),
            r#match: Some(structure([("tlsMode", text("istio"))])),
            transport_socket: Some(tls),
        },
        TransportSocketMatch {
            name: "tlsMode-disabled".into(),
            r#match: Some(structure([])),
            transport_socket: Some(raw),
        },
    ]
}

/// Mutual TLS with the certificates of the mesh.
fn mesh_context(target: &Target<'_>, tls: &ClientTls, speaks_http2: bool) -> UpstreamTlsContext {
    let default_sni = cluster_sni(target.port.number, target.subset_name(), &target.service.hostname);
    let names =
        if tls.subject_alt_names.is_empty() { target.service.identities() } else { tls.subject_alt_names.clone() };
    let mut protocols = vec!["istio-peer-exchange".to_owned(), "istio".to_owned()];
    protocols.extend(speaks_http2.then(|| "h2".to_owned()));
    let common = CommonTlsContext {
        alpn_protocols: protocols,
        tls_certificate_sds_secret_configs: vec![sds::of_process(OWN_CERTIFICATE)],
        validation_context_type: Some(sds::validation(named(&names), sds::of_process(MESH_AUTHORITY))),
        ..common_context()
    };
    UpstreamTlsContext {
        common_tls_context: Some(common),
        sni: if tls.sni.is_empty() { default_sni } else { tls.sni.clone() },
        ..UpstreamTlsContext::default()
    }
}

/// TLS as the user set it.
fn own_context(target: &Target<'_>, tls: &ClientTls, speaks_http2: bool) -> UpstreamTlsContext {
    let mut common = common_context();
    if speaks_http2 {
        common.alpn_protocols.push("h2".into());
    }
    if tls.mode == ClientTlsMode::Mutual {
        let certificate = if tls.credential_name.is_empty() {
            sds::of_process(&format!("file-cert:{}~{}", tls.client_certificate, tls.private_key))
        } else {
            sds::credential(&tls.credential_name)
        };
        common.tls_certificate_sds_secret_configs.push(certificate);
    }
    common.validation_context_type = own_validation(target, tls);
    UpstreamTlsContext { common_tls_context: Some(common), sni: tls.sni.clone(), ..UpstreamTlsContext::default() }
}

fn own_validation(target: &Target<'_>, tls: &ClientTls) -> Option<ValidationContextType> {
    if tls.insecure_skip_verify {
        let nothing = ValidationContextType::ValidationContext(CertificateValidationContext::default());
        return tls.credential_name.is_empty().then_some(nothing);
    }
    let from_entry = target.service.registry == Registry::ServiceEntry && tls.subject_alt_names.is_empty();
    // Names of a subset's own endpoints are not known to it (istiod).
    let names = if from_entry { target.service.identities() } else { tls.subject_alt_names.clone() };
    let mut checks = named(&names);
    let authority = if tls.credential_name.is_empty() {
        checks.crl = sds::file(&tls.ca_crl);
        let file = if tls.ca_certificates.is_empty() { "system" } else { &tls.ca_certificates };
        sds::of_process(&format!("file-root:{file}"))
    } else {
        sds::credential(&format!("{}{AUTHORITY_SUFFIX}", tls.credential_name))
    };
    Some(sds::validation(checks, authority))
}

/// Without a name to ask for, the request's authority is asked for, and must be in the certificate unless other names are given.
fn derive_names(tls: &ClientTls, http: &mut Option<HttpProtocolOptions>) {
    if !tls.sni.is_empty() {
        return;
    }
    http.get_or_insert_default().upstream_http_protocol_options = Some(UpstreamHttpProtocolOptions {
        auto_sni: true,
        auto_san_validation: tls.subject_alt_names.is_empty() && !tls.insecure_skip_verify,
        ..UpstreamHttpProtocolOptions::default()
    });
}

fn common_context() -> CommonTlsContext {
    let parameters = TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12 as i32,
        tls_maximum_protocol_version: TlsProtocol::TlSv13 as i32,
        ..TlsParameters::default()
    };
    CommonTlsContext { tls_params: Some(parameters), ..CommonTlsContext::default() }
}

fn named(names: &[String]) -> CertificateValidationContext {
    let match_subject_alt_names = names.iter().map(|name| exact(name)).collect();
    CertificateValidationContext { match_subject_alt_names, ..CertificateValidationContext::default() }
}
