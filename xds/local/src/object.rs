//! The objects that files hold, as Rust types.

pub(crate) mod destination_rule;
pub(crate) mod gateway;
pub(crate) mod gateway_api;
pub(crate) mod mesh_config;
pub(crate) mod metadata;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod service_entry;
pub(crate) mod string_match;
pub(crate) mod virtual_service;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::load::field::{Fields, Value};
use crate::load::yaml::Node;
use crate::problem::{Place, Problems};
use metadata::Metadata;

/// Everything in a folder.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) gateways: Vec<gateway::Gateway>,
    pub(crate) virtual_services: Vec<virtual_service::VirtualService>,
    pub(crate) destination_rules: Vec<destination_rule::DestinationRule>,
    pub(crate) service_entries: Vec<service_entry::ServiceEntry>,
    pub(crate) workload_entries: Vec<service_entry::WorkloadEntry>,
    pub(crate) services: Vec<service::Service>,
    pub(crate) endpoint_slices: Vec<service::EndpointSlice>,
    pub(crate) secrets: Vec<secret::Secret>,
    pub(crate) config_maps: Vec<secret::ConfigMap>,
    /// What the mesh configuration says of it, if there is one.
    pub(crate) access_log: Option<mesh_config::AccessLog>,
    /// Those that are defined, and those that an object is in.
    pub(crate) namespaces: Vec<Metadata>,
    pub(crate) api_gateways: Vec<gateway_api::gateway::Gateway>,
    pub(crate) http_routes: Vec<gateway_api::http_route::HttpRoute>,
    pub(crate) tls_routes: Vec<gateway_api::stream_route::StreamRoute>,
    pub(crate) tcp_routes: Vec<gateway_api::stream_route::StreamRoute>,
    pub(crate) reference_grants: Vec<gateway_api::reference_grant::ReferenceGrant>,
}

/// API groups in which an unknown kind may change what a gateway does, so that leaving it out needs to be known.
const OUR_GROUPS: &[&str] = &[
    "networking.istio.io",
    "security.istio.io",
    "telemetry.istio.io",
    "extensions.istio.io",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "networking.k8s.io",
];

/// Kinds of those groups that istiod leaves out of account for gateways.
const NOT_FOR_GATEWAYS: &[(&str, &str)] = &[
    ("networking.istio.io", "Sidecar"),
    ("networking.istio.io", "WorkloadGroup"),
    ("networking.k8s.io", "NetworkPolicy"),
];

/// Reads documents and keeps what they hold.
pub(crate) struct Reader<'a> {
    problems: &'a Problems,
    objects: Objects,
    /// Where each object was first seen, by group, kind, namespace and name.
    seen: BTreeMap<(String, String, String, String), Place>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(problems: &'a Problems) -> Self {
        Self { problems, objects: Objects::default(), seen: BTreeMap::new() }
    }

    /// Reads one document: an object, or a `List` of them.
    pub(crate) fn read(&mut self, node: &Node, file: &Arc<str>) {
        self.object(&Value::new(node, String::new(), file, self.problems));
    }

    pub(crate) fn finish(mut self) -> Objects {
        let mut known: BTreeSet<_> = self.objects.namespaces.iter().map(|metadata| metadata.name.clone()).collect();
        for ((_, _, namespace, _), place) in &self.seen {
            if !namespace.is_empty() && known.insert(namespace.clone()) {
                self.objects.namespaces.push(Metadata::of_namespace(namespace, place));
            }
        }
        self.objects
    }

    fn object(&mut self, value: &Value<'_>) {
        value.object(|fields| {
            let api_version = fields.required("apiVersion").and_then(|value| value.string());
            let kind = fields.required("kind").and_then(|value| value.string());
            match (api_version, kind) {
                (Some(version), Some(kind)) if version == "v1" && kind.ends_with("List") => self.list(fields),
                (Some(version), Some(kind)) => self.known(fields, &version, &kind),
                _ => fields.ignore_rest(),
            }
        });
    }

    /// The answer of `kubectl get -o yaml` for several objects.
    fn list(&mut self, fields: &mut Fields<'_>) {
        fields.ignore(&["metadata"]);
        fields.list("items", |value| {
            self.object(&value);
            Some(())
        });
    }

    fn known(&mut self, fields: &mut Fields<'_>, api_version: &str, kind: &str) {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        if !is_version_known(group, version, kind) {
            return self.unknown(fields, group, api_version, kind);
        }
        let Some(metadata) = Metadata::read(fields, kind) else { return fields.ignore_rest() };
        if self.is_duplicate(group, kind, &metadata) {
            return fields.ignore_rest();
        }
        fields.ignore(&["status"]);
        let objects = &mut self.objects;
        match (group, kind) {
            ("networking.istio.io", "Gateway") => objects.gateways.extend(gateway::read(fields, metadata)),
            ("networking.istio.io", "VirtualService") => {
                objects.virtual_services.extend(virtual_service::read(fields, metadata));
            }
            ("networking.istio.io", "DestinationRule") => {
                objects.destination_rules.extend(destination_rule::read(fields, metadata));
            }
            ("networking.istio.io", "ServiceEntry") => {
                objects.service_entries.extend(service_entry::read(fields, metadata));
            }
            ("networking.istio.io", "WorkloadEntry") => {
                objects.workload_entries.extend(service_entry::read_workload_entry(fields, metadata));
            }
            ("gateway.networking.k8s.io", "Gateway") => {
                objects.api_gateways.extend(gateway_api::gateway::read(fields, metadata));
            }
            ("gateway.networking.k8s.io", "HTTPRoute") => {
                objects.http_routes.extend(gateway_api::http_route::read(fields, metadata));
            }
            ("gateway.networking.k8s.io", "TLSRoute") => {
                objects.tls_routes.extend(gateway_api::stream_route::read(fields, metadata));
            }
            ("gateway.networking.k8s.io", "TCPRoute") => {
                objects.tcp_routes.extend(gateway_api::stream_route::read(fields, metadata));
            }
            ("gateway.networking.k8s.io", "ReferenceGrant") => {
                objects.reference_grants.extend(gateway_api::reference_grant::read(fields, metadata));
            }
            ("discovery.k8s.io", _) => objects.endpoint_slices.extend(service::read_endpoint_slice(fields, metadata)),
            ("", "Service") => objects.services.extend(service::read(fields, metadata)),
            ("", "Secret") => objects.secrets.extend(secret::read(fields, metadata)),
            ("", "ConfigMap") => {
                if mesh_config::is_mesh_config(&metadata) {
                    objects.access_log = mesh_config::read(fields);
                }
                objects.config_maps.push(secret::read_config_map(fields, metadata));
            }
            ("", "Namespace") => {
                fields.ignore_rest();
                objects.namespaces.push(metadata);
            }
            // GatewayClass: who serves a Gateway is settled by starting us.
            _ => fields.ignore_rest(),
        }
    }

    fn unknown(&self, fields: &mut Fields<'_>, group: &str, api_version: &str, kind: &str) {
        fields.ignore_rest();
        if OUR_GROUPS.contains(&group) && !NOT_FOR_GATEWAYS.contains(&(group, kind)) {
            fields.error(format!("{kind} of {api_version} is not supported"));
        } else {
            self.problems.warning(&fields.place(), format!("{kind} of {api_version} is not used by a gateway"));
        }
    }

    fn is_duplicate(&mut self, group: &str, kind: &str, metadata: &Metadata) -> bool {
        let key = (group.to_owned(), kind.to_owned(), metadata.namespace.clone(), metadata.name.clone());
        let first = self.seen.entry(key).or_insert_with(|| metadata.place.clone());
        if *first == metadata.place {
            return false;
        }
        let message = format!("{kind} {}/{} is already defined in {first}", metadata.namespace, metadata.name);
        self.problems.error(&metadata.place, message);
        true
    }
}

fn is_version_known(group: &str, version: &str, kind: &str) -> bool {
    let (kinds, versions): (&[&str], &[&str]) = match group {
        "" => (&["ConfigMap", "Namespace", "Secret", "Service"], &["v1"]),
        "discovery.k8s.io" => (&["EndpointSlice"], &["v1"]),
        "networking.istio.io" => (
            &["DestinationRule", "Gateway", "ServiceEntry", "VirtualService", "WorkloadEntry"],
            &["v1", "v1beta1", "v1alpha3"],
        ),
        "gateway.networking.k8s.io" => (
            &["Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "TCPRoute", "TLSRoute"],
            &["v1", "v1beta1", "v1alpha3", "v1alpha2"],
        ),
        _ => (&[], &[]),
    };
    kinds.contains(&kind) && versions.contains(&version)
}
