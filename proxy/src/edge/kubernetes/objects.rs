//! What is kept of the objects that are followed. Of objects that were written here everything that is, so that a change by hand is seen.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::api::{DynamicObject, ObjectMeta};
use serde_json::Value;
use xds_local::ServicePort;

use super::super::labels::{IMPORTED_LABEL, OWNER_LABEL};

/// How Istio is told which endpoints come first (also a field of a Service).
pub(super) const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";

/// A Service that has pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KubernetesService {
    pub(super) labels: BTreeMap<String, String>,
    /// Those of UDP left out.
    pub(super) ports: Vec<ServicePort>,
    pub(super) is_headless: bool,
    /// Near endpoints come first, whatever a DestinationRule says.
    pub(super) prefers_close: bool,
    /// As the API server writes it: later is greater.
    pub(super) created: String,
}

/// A ServiceEntry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) hosts: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ports: Vec<ServicePort>,
    /// Its endpoints are part of the mesh.
    pub(super) is_internal: bool,
    pub(super) created: String,
    /// Of what was written by an edge.
    pub(super) written: Option<Written>,
}

/// A DestinationRule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) host: String,
    pub(super) detects_outliers: bool,
    /// Of what was written by an edge.
    pub(super) written: Option<Written>,
}

/// What an edge wrote, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// The edge.
    pub(super) owner: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Value,
}

/// `None` for one that stands for another host.
pub(super) fn service(object: Service) -> Option<KubernetesService> {
    let spec = object.spec?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let ports = spec.ports.unwrap_or_default();
    let ports = ports.iter().filter_map(|port| {
        let number = u16::try_from(port.port).ok()?;
        let (name, transport) =
            (port.name.as_deref().unwrap_or_default(), port.protocol.as_deref().unwrap_or_default());
        ServicePort::of_kubernetes(number, name, transport, port.app_protocol.as_deref())
    });
    let annotation = object.metadata.annotations.as_ref().and_then(|all| all.get(TRAFFIC_DISTRIBUTION));
    let distribution = annotation.or(spec.traffic_distribution.as_ref());
    Some(KubernetesService {
        ports: ports.collect(),
        is_headless: spec.cluster_ip.as_deref() == Some("None"),
        prefers_close: distribution.is_some_and(|name| name.starts_with("Prefer")),
        created: created(&object.metadata),
        labels: object.metadata.labels.unwrap_or_default(),
    })
}

pub(super) fn entry(object: DynamicObject) -> Option<Entry> {
    let spec = object.data.get("spec")?;
    let hosts = strings(spec.get("hosts"));
    let ports = spec.get("ports").and_then(Value::as_array).into_iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.get("number")?.as_u64()?).ok()?;
        let text = |field: &str| port.get(field).and_then(Value::as_str).unwrap_or_default();
        ServicePort::of_service_entry(number, text("name"), text("protocol"))
    });
    Some(Entry {
        hosts,
        ports: ports.collect(),
        is_internal: spec.get("location").and_then(Value::as_str) == Some("MESH_INTERNAL"),
        created: created(&object.metadata),
        written: written(&object),
        labels: object.metadata.labels.unwrap_or_default(),
    })
}

pub(super) fn rule(object: DynamicObject) -> Option<Rule> {
    let spec = object.data.get("spec")?;
    Some(Rule {
        host: spec.get("host").and_then(Value::as_str).unwrap_or_default().to_owned(),
        detects_outliers: spec.pointer("/trafficPolicy/outlierDetection").is_some(),
        written: written(&object),
    })
}

pub(super) fn written(object: &DynamicObject) -> Option<Written> {
    let labels = object.metadata.labels.as_ref().filter(|labels| labels.contains_key(IMPORTED_LABEL))?;
    Some(Written {
        owner: labels.get(OWNER_LABEL).cloned().unwrap_or_default(),
        labels: labels.clone(),
        annotations: object.metadata.annotations.clone().unwrap_or_default(),
        spec: object.data.get("spec").cloned().unwrap_or_default(),
    })
}

fn created(meta: &ObjectMeta) -> String {
    meta.creation_timestamp.as_ref().map(|time| time.0.to_string()).unwrap_or_default()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let texts = list.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}
