//! Secrets that listeners and clusters refer to.

use std::collections::BTreeMap;

use bytes::Bytes;
use xds_api::envoy::config::core::v3::{DataSource, data_source};
use xds_api::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use xds_api::envoy::extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate};

use super::sds::AUTHORITY_SUFFIX;
use super::{Resource, server_tls, upstream_tls};
use crate::mesh::Mesh;
use crate::object::Objects;
use crate::object::destination_rule::{ClientTls, DestinationRule, TrafficPolicy};
use crate::object::secret::Secret as Object;
use crate::problem::{Place, Problems};
use crate::secret::{Authority, authority, certificate};

/// The secrets by the names they are referred to by. One that is missing is a warning: what needs it does not work, nothing else
/// is disturbed.
pub(super) fn resources(mesh: &Mesh, objects: &Objects, problems: &Problems) -> Vec<Resource> {
    let mut resources = Vec::new();
    for (name, place) in references(mesh, objects) {
        match secret(mesh, objects, &name) {
            Ok(kind) => resources.push(Resource::new(&name, &Secret { name: name.clone(), r#type: Some(kind) })),
            Err(reason) => problems.warning(&place, format!("{reason}: TLS that needs it does not work")),
        }
    }
    resources
}

/// Each name with a place that refers to it.
fn references(mesh: &Mesh, objects: &Objects) -> BTreeMap<String, Place> {
    let mut references = BTreeMap::new();
    for bound in mesh.ports.iter().flat_map(|port| &port.servers) {
        let place = bound.server.tls.as_ref().map_or(&bound.server.place, |tls| &tls.place);
        for name in server_tls::secrets(&bound.server) {
            references.entry(name).or_insert_with(|| place.clone());
        }
    }
    for rule in &objects.destination_rules {
        for tls in settings(rule) {
            for name in upstream_tls::secrets(tls) {
                let place = tls.place.clone().unwrap_or_else(|| rule.metadata.place.clone());
                references.entry(name).or_insert(place);
            }
        }
    }
    references
}

fn settings(rule: &DestinationRule) -> impl Iterator<Item = &ClientTls> {
    let policies = rule.policy.iter().chain(rule.subsets.iter().filter_map(|subset| subset.policy.as_ref()));
    policies.flat_map(|policy: &TrafficPolicy| {
        policy.tls.iter().chain(policy.ports.values().filter_map(|policy| policy.tls.as_ref()))
    })
}

/// Finds the secret that a name means: `scheme://namespace/name`, or without namespace in that of the gateway.
fn secret(mesh: &Mesh, objects: &Objects, resource: &str) -> Result<Type, String> {
    let (scheme, path) = resource.split_once("://").unwrap_or(("kubernetes", resource));
    let (namespace, name) = path.split_once('/').unwrap_or((&mesh.namespace, path));
    let find = |name: &str| {
        objects.secrets.iter().find(|secret| secret.metadata.namespace == namespace && secret.metadata.name == name)
    };
    if scheme == "kubernetes" && namespace != mesh.namespace {
        return Err(format!("the Secret {namespace}/{name} is not in {}, the gateway's namespace", mesh.namespace));
    }
    if scheme == "configmap" {
        return config_map(objects, namespace, name.strip_suffix(AUTHORITY_SUFFIX).unwrap_or(name));
    }
    if let Some(base) = name.strip_suffix(AUTHORITY_SUFFIX) {
        let found = find(name).or_else(|| find(base));
        let object: &Object =
            found.ok_or_else(|| format!("there is no Secret {namespace}/{name} or {namespace}/{base}"))?;
        let found = authority(&object.data);
        return found
            .map(validation)
            .ok_or_else(|| format!("the Secret {namespace}/{} has no ca.crt", object.metadata.name));
    }
    let object = find(name).ok_or_else(|| format!("there is no Secret {namespace}/{name}"))?;
    let certificate = certificate(object)?;
    Ok(Type::TlsCertificate(TlsCertificate {
        certificate_chain: Some(inline(certificate.chain)),
        private_key: Some(inline(certificate.key)),
        ocsp_staple: certificate.ocsp_staple.map(inline),
        ..TlsCertificate::default()
    }))
}

fn config_map(objects: &Objects, namespace: &str, name: &str) -> Result<Type, String> {
    let mut maps = objects.config_maps.iter();
    let found = maps.find(|map| map.metadata.namespace == namespace && map.metadata.name == name);
    let map = found.ok_or_else(|| format!("there is no ConfigMap {namespace}/{name}"))?;
    let data = map.data.iter().map(|(key, text)| (key.clone(), Bytes::from(text.clone()))).collect();
    authority(&data).map(validation).ok_or_else(|| format!("the ConfigMap {namespace}/{name} has no ca.crt"))
}

fn validation(authority: Authority) -> Type {
    Type::ValidationContext(CertificateValidationContext {
        trusted_ca: Some(inline(authority.certificates)),
        crl: authority.revocations.map(inline),
        ..CertificateValidationContext::default()
    })
}

fn inline(bytes: Bytes) -> DataSource {
    DataSource { specifier: Some(data_source::Specifier::InlineBytes(bytes)), ..DataSource::default() }
}
