//! Each listener of a Gateway becomes a Gateway of Istio with one server.

use std::collections::BTreeMap;

use super::MADE;
use crate::mesh::protocol::Protocol;
use crate::object::Objects;
use crate::object::gateway::{Gateway, Server, ServerTls, ServerTlsMode, TlsVersion};
use crate::object::gateway_api::gateway as api;
use crate::object::gateway_api::gateway::{AllowedNamespaces, Listener, ListenerProtocol, SecretRef};
use crate::object::gateway_api::reference_grant::allows;
use crate::object::metadata::Metadata;
use crate::object::secret::Secret;
use crate::problem::Problems;
use crate::secret::{authority, certificate};

/// Option of a listener that asks for client certificates.
const TLS_MODE_OPTION: &str = "gateway.istio.io/tls-terminate-mode";
/// Option of a listener that restricts its ciphers.
const CIPHERS_OPTION: &str = "gateway.istio.io/tls-cipher-suites";

/// A listener that routes attach to.
pub(super) struct Attachable {
    /// Namespace and name of its Gateway.
    pub(super) owner: (String, String),
    pub(super) section: String,
    pub(super) port: u32,
    pub(super) protocol: ListenerProtocol,
    /// Empty for all.
    pub(super) hostname: String,
    /// `namespace/host` or `*/host`.
    pub(super) hosts: Vec<String>,
    /// Kinds of routes that may attach.
    pub(super) kinds: Vec<String>,
    /// `namespace/name` of what it became.
    pub(super) name: String,
    /// What it became; nothing if it cannot be served.
    pub(super) gateway: Option<Gateway>,
}

pub(super) fn convert(objects: &Objects, problems: &Problems) -> Vec<Attachable> {
    let mut result = Vec::new();
    for gateway in &objects.api_gateways {
        let mut seen = BTreeMap::new();
        for listener in &gateway.listeners {
            let key = (listener.port, listener.protocol as u8, listener.hostname.to_ascii_lowercase());
            if let Some(first) = seen.insert(key, &listener.name) {
                problems.warning(
                    &listener.place,
                    format!(
                        "the listener {} is left out: {first} has the same port, protocol and hostname",
                        listener.name
                    ),
                );
                continue;
            }
            result.push(attachable(gateway, listener, objects, problems));
        }
    }
    result
}

fn attachable(gateway: &api::Gateway, listener: &Listener, objects: &Objects, problems: &Problems) -> Attachable {
    let owner = &gateway.metadata;
    let name = format!("{}~{MADE}~{}", owner.name, listener.name);
    let hosts = hosts(owner, listener, objects);
    let (protocol, protocol_text) = match listener.protocol {
        ListenerProtocol::Http => (Protocol::Http, "HTTP"),
        ListenerProtocol::Https => (Protocol::Https, "HTTPS"),
        ListenerProtocol::Tls => (Protocol::Tls, "TLS"),
        ListenerProtocol::Tcp => (Protocol::Tcp, "TCP"),
    };
    let tls = listener.tls.as_ref().map(|tls| server_tls(gateway, listener.port, tls, objects));
    let server = match tls {
        None => Ok(None),
        Some(Ok(tls)) => Ok(Some(tls)),
        Some(Err(reason)) => Err(reason),
    };
    let made = server.map(|tls| Gateway {
        metadata: Metadata { name: name.clone(), ..owner.clone() },
        selector: None,
        servers: vec![Server {
            name: String::new(),
            port: listener.port,
            port_name: "default".into(),
            protocol,
            protocol_text: protocol_text.into(),
            bind: String::new(),
            hosts: hosts.clone(),
            tls,
            place: listener.place.clone(),
        }],
    });
    if let Err(reason) = &made {
        problems.warning(&listener.place, format!("the listener {} is left out: {reason}", listener.name));
    }
    Attachable {
        owner: (owner.namespace.clone(), owner.name.clone()),
        section: listener.name.clone(),
        port: listener.port,
        protocol: listener.protocol,
        hostname: listener.hostname.clone(),
        hosts,
        kinds: kinds(listener),
        name: format!("{}/{name}", owner.namespace),
        gateway: made.ok(),
    }
}

fn kinds(listener: &Listener) -> Vec<String> {
    if !listener.kinds.is_empty() {
        return listener.kinds.clone();
    }
    let kinds: &[&str] = match listener.protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => &["HTTPRoute"],
        ListenerProtocol::Tcp => &["TCPRoute"],
        ListenerProtocol::Tls if listener.tls.as_ref().is_some_and(|tls| tls.passthrough) => &["TLSRoute"],
        ListenerProtocol::Tls => &["TLSRoute", "TCPRoute"],
    };
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

/// The host with each namespace whose routes may attach.
fn hosts(owner: &Metadata, listener: &Listener, objects: &Objects) -> Vec<String> {
    let host = if listener.hostname.is_empty() { "*" } else { &listener.hostname };
    let namespaces = match &listener.namespaces {
        AllowedNamespaces::Same => vec![owner.namespace.clone()],
        AllowedNamespaces::All => vec!["*".into()],
        AllowedNamespaces::Selected(selector) => {
            let matches = |namespace: &&Metadata| {
                let mut labels = namespace.labels.clone();
                labels.insert("kubernetes.io/metadata.name".into(), namespace.name.clone());
                selector.matches(&labels)
            };
            let mut names: Vec<_> = objects.namespaces.iter().filter(matches).map(|found| found.name.clone()).collect();
            names.sort();
            names
        }
    };
    match namespaces.as_slice() {
        // No namespace has this name: no route attaches.
        [] => vec![format!("~/{host}")],
        namespaces => namespaces.iter().map(|namespace| format!("{namespace}/{host}")).collect(),
    }
}

fn server_tls(
    gateway: &api::Gateway,
    port: u32,
    tls: &api::ListenerTls,
    objects: &Objects,
) -> Result<ServerTls, String> {
    let mut result = ServerTls {
        mode: if tls.passthrough { ServerTlsMode::Passthrough } else { ServerTlsMode::Simple },
        https_redirect: false,
        credential_names: Vec::new(),
        ca_credential_name: String::new(),
        certificates: Vec::new(),
        ca_certificates: String::new(),
        ca_crl: String::new(),
        subject_alt_names: Vec::new(),
        verify_certificate_spki: Vec::new(),
        verify_certificate_hash: Vec::new(),
        minimum_version: TlsVersion::Auto,
        maximum_version: TlsVersion::Auto,
        cipher_suites: ciphers(tls),
        insecure_skip_verify: false,
        place: tls.place.clone(),
    };
    if tls.passthrough {
        return Ok(result);
    }
    match tls.options.get(TLS_MODE_OPTION).map(String::as_str) {
        Some("ISTIO_SIMPLE") => {
            result.credential_names = vec!["builtin://".into()];
            return Ok(result);
        }
        Some("ISTIO_MUTUAL") => {
            result.mode = ServerTlsMode::IstioMutual;
            return Ok(result);
        }
        Some("MUTUAL") => result.mode = ServerTlsMode::Mutual,
        Some("OPTIONAL_MUTUAL") => result.mode = ServerTlsMode::OptionalMutual,
        _ => {}
    }
    result.credential_names = certificates(&gateway.metadata, tls, objects)?;
    let validation = gateway.client_validation_by_port.get(&port).unwrap_or(&gateway.client_validation);
    if let Some(validation) = validation.as_ref().filter(|validation| !validation.authorities.is_empty()) {
        apply_validation(&mut result, &gateway.metadata, validation, tls, objects)?;
    }
    Ok(result)
}

fn ciphers(tls: &api::ListenerTls) -> Vec<String> {
    let listed = tls.options.get(CIPHERS_OPTION).map_or("", String::as_str);
    listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Names of the secrets that hold a good certificate and may be used; if there is none, why.
fn certificates(owner: &Metadata, tls: &api::ListenerTls, objects: &Objects) -> Result<Vec<String>, String> {
    if tls.certificates.len() > 2 {
        return Err("it can have two certificates at most".into());
    }
    let (mut names, mut reasons) = (Vec::new(), Vec::new());
    for reference in &tls.certificates {
        match usable(owner, reference, objects).and_then(|secret| certificate(secret).map(|_| secret)) {
            Ok(secret) => names.push(resource_name("kubernetes-gateway", &secret.metadata)),
            Err(reason) => reasons.push(reason),
        }
    }
    if names.is_empty() {
        reasons.push("it has no certificate".into());
        return Err(reasons.join("; "));
    }
    Ok(names)
}

fn usable<'a>(owner: &Metadata, reference: &SecretRef, objects: &'a Objects) -> Result<&'a Secret, String> {
    let namespace = namespace_of(owner, reference);
    let name = &reference.name;
    if reference.kind != "Secret" || !reference.group.is_empty() {
        return Err(format!("a certificate comes from a Secret, not from a {}", reference.kind));
    }
    if !allows(&objects.reference_grants, "Gateway", &owner.namespace, "Secret", namespace, name) {
        return Err(format!(
            "no ReferenceGrant in {namespace} lets Gateways of {} use the Secret {name}",
            owner.namespace
        ));
    }
    let mut secrets = objects.secrets.iter().map(|secret| (secret, &secret.metadata));
    let found = secrets.find(|(_, metadata)| metadata.namespace == namespace && metadata.name == *name);
    found.map(|(secret, _)| secret).ok_or_else(|| format!("there is no Secret {namespace}/{name}"))
}

fn apply_validation(
    result: &mut ServerTls,
    owner: &Metadata,
    validation: &api::ClientValidation,
    tls: &api::ListenerTls,
    objects: &Objects,
) -> Result<(), String> {
    let [reference] = validation.authorities.as_slice() else {
        return Err("it can have one caCertificateRef".into());
    };
    result.ca_credential_name = match reference.kind.as_str() {
        "ConfigMap" => {
            let (namespace, name) = (namespace_of(owner, reference), &reference.name);
            let found = objects
                .config_maps
                .iter()
                .find(|map| map.metadata.namespace == namespace && map.metadata.name == *name);
            let map = found.ok_or_else(|| format!("there is no ConfigMap {namespace}/{name}"))?;
            let is_good =
                map.data.get("ca.crt").or_else(|| map.data.get("cacert")).is_some_and(|text| !text.is_empty());
            let missing = || format!("the ConfigMap {namespace}/{name} has no ca.crt");
            is_good.then(|| resource_name("configmap", &map.metadata)).ok_or_else(missing)?
        }
        _ => {
            let secret = usable(owner, reference, objects)?;
            authority(&secret.data).ok_or_else(|| format!("the Secret {} has no ca.crt", reference.name))?;
            resource_name("kubernetes-gateway", &secret.metadata)
        }
    } + "-cacert";
    let asked = tls.options.get(TLS_MODE_OPTION).map(String::as_str);
    result.mode = match asked {
        Some("MUTUAL") => ServerTlsMode::Mutual,
        Some("OPTIONAL_MUTUAL") => ServerTlsMode::OptionalMutual,
        _ if validation.allow_insecure => ServerTlsMode::OptionalMutual,
        _ => ServerTlsMode::Mutual,
    };
    result.insecure_skip_verify = validation.allow_insecure && !matches!(asked, Some("MUTUAL" | "OPTIONAL_MUTUAL"));
    Ok(())
}

fn namespace_of<'a>(owner: &'a Metadata, reference: &'a SecretRef) -> &'a str {
    if reference.namespace.is_empty() { &owner.namespace } else { &reference.namespace }
}

fn resource_name(scheme: &str, metadata: &Metadata) -> String {
    format!("{scheme}://{}/{}", metadata.namespace, metadata.name)
}
