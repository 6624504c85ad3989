//! Who we are to istiod: the node of the first request of every stream, as Istio's agent makes it.
//!
//! istiod finds the configuration of a gateway by the labels, the namespace and the addresses in here; a node without them gets
//! the configuration of nobody.

mod downward;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Map, Value};
use xds_api::envoy::config::core::v3 as core;

/// The version of Istio whose configuration we understand. istiod sends older forms to older proxies.
const ISTIO_VERSION: &str = "1.32.0";

/// istiod's own default.
const DEFAULT_CLUSTER_ID: &str = "Kubernetes";

/// Where the pod template mounts labels and annotations.
const POD_INFO_DIRECTORY: &str = "/etc/istio/pod";

/// Where the facts about a node come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The directory with the files `labels` and `annotations` of the downward API; either may be missing.
    pub pod_info: PathBuf,
    /// Our addresses, should `INSTANCE_IP` not say.
    pub addresses: Vec<IpAddr>,
    /// DNS domain, `<namespace>.svc.cluster.local`; the argument `--domain` of Istio's agent.
    pub domain: String,
    /// `router` for gateways.
    pub role: String,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// `<role>~<address>~<pod>.<namespace>~<domain>`.
    pub id: String,
    /// Service name in traces.
    pub cluster: String,
    /// Facts, by the names that istiod knows.
    pub metadata: Map<String, Value>,
}

/// A node that istiod would not take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// An environment variable holds something else than it should.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the downward API does.
    #[error("{path}: {reason}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// istiod does not serve a node without an address.
    #[error("no address is known: set INSTANCE_IP")]
    NoAddress,
}

impl Sources {
    /// What a gateway pod has: these variables, and the usual files.
    #[must_use]
    pub fn of_gateway(variables: BTreeMap<String, String>, domain: &str) -> Self {
        Self {
            variables,
            pod_info: POD_INFO_DIRECTORY.into(),
            addresses: Vec::new(),
            domain: domain.to_owned(),
            role: "router".to_owned(),
        }
    }
}

impl Node {
    /// Makes a node.
    ///
    /// # Errors
    /// Names the variable or file that is wrong.
    pub fn from_sources(sources: &Sources) -> Result<Self, NodeError> {
        let variable = |name: &str| sources.variables.get(name).filter(|value| !value.is_empty());
        let mut metadata = Map::new();
        let mut labels = Map::new();
        for (name, value) in &sources.variables {
            if let Some(key) = name.strip_prefix("ISTIO_META_") {
                metadata.insert(key.to_owned(), Value::from(value.as_str()));
            } else if let Some(key) = name.strip_prefix("ISTIO_METAJSON_") {
                let object = json_object(name, value)?;
                match key {
                    "LABELS" => labels.extend(object),
                    _ => metadata.extend(object),
                }
            }
        }
        if !labels.is_empty() {
            metadata.insert("STATIC_LABELS".to_owned(), Value::Object(labels.clone()));
        }
        labels.extend(downward::read(&sources.pod_info.join("labels"))?);
        metadata.insert("LABELS".to_owned(), Value::Object(labels));
        metadata
            .insert("ANNOTATIONS".to_owned(), Value::Object(downward::read(&sources.pod_info.join("annotations"))?));

        for (key, name) in
            [("NAME", "POD_NAME"), ("NAMESPACE", "POD_NAMESPACE"), ("SERVICE_ACCOUNT", "SERVICE_ACCOUNT")]
        {
            if let Some(value) = variable(name) {
                metadata.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        set_default(&mut metadata, "CLUSTER_ID", DEFAULT_CLUSTER_ID);
        set_default(&mut metadata, "ISTIO_VERSION", ISTIO_VERSION);
        if let Some(proxy_config) = proxy_config(&sources.variables)? {
            metadata.insert("PROXY_CONFIG".to_owned(), proxy_config);
        }
        let addresses = addresses(sources)?;
        let joined = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        metadata.insert("INSTANCE_IPS".to_owned(), Value::from(joined));

        let namespace = text(&metadata, "NAMESPACE").unwrap_or("default");
        let pod = text(&metadata, "NAME").unwrap_or("selvedge");
        let address = addresses.first().ok_or(NodeError::NoAddress)?;
        let id = format!("{}~{address}~{pod}.{namespace}~{}", sources.role, sources.domain);
        let cluster = format!("{}.{namespace}", label(&metadata, "app").unwrap_or("istio-proxy"));
        Ok(Self { id, cluster, metadata })
    }

    /// A text of the metadata, such as `NAMESPACE` or `CLUSTER_ID`.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        text(&self.metadata, name)
    }

    /// What stays the same when the pod is replaced: whose state on disk may be used.
    #[must_use]
    pub fn owner(&self) -> String {
        let role = self.id.split('~').next().unwrap_or_default();
        let facts = ["CLUSTER_ID", "NAMESPACE", "WORKLOAD_NAME", "SERVICE_ACCOUNT"];
        facts.iter().fold(role.to_owned(), |owner, name| format!("{owner}~{}", self.fact(name).unwrap_or_default()))
    }

    /// As it is sent.
    #[must_use]
    pub fn message(&self) -> core::Node {
        let number = |text: &str| text.parse().unwrap_or_default();
        let version = xds_api::envoy::r#type::v3::SemanticVersion {
            major_number: number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor_number: number(env!("CARGO_PKG_VERSION_MINOR")),
            patch: number(env!("CARGO_PKG_VERSION_PATCH")),
        };
        let build = core::BuildVersion { version: Some(version), metadata: None };
        core::Node {
            id: self.id.clone(),
            cluster: self.cluster.clone(),
            metadata: Some(to_struct(&self.metadata)),
            locality: self.locality_message(),
            user_agent_name: "selvedge".to_owned(),
            user_agent_version_type: Some(core::node::UserAgentVersionType::UserAgentBuildVersion(build)),
            ..core::Node::default()
        }
    }

    /// Where it is, as Istio writes it: region, zone and sub-zone with `/` between them; empty if the pod has no label `istio-locality`.
    #[must_use]
    pub fn locality(&self) -> String {
        let Some(core::Locality { region, zone, sub_zone }) = self.locality_message() else { return String::new() };
        format!("{region}/{zone}/{sub_zone}").trim_end_matches('/').to_owned()
    }

    /// The label `istio-locality`, in which dots stand for slashes unless there are slashes.
    fn locality_message(&self) -> Option<core::Locality> {
        let label = label(&self.metadata, "istio-locality")?;
        let separator = if label.contains('/') { '/' } else { '.' };
        let mut parts = label.splitn(3, separator).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Some(core::Locality { region: next(), zone: next(), sub_zone: next() })
    }
}

fn addresses(sources: &Sources) -> Result<Vec<IpAddr>, NodeError> {
    let mut addresses = Vec::new();
    for name in ["INSTANCE_IP", "ISTIO_META_INSTANCE_IPS"] {
        let listed = sources.variables.get(name).map(String::as_str).unwrap_or_default();
        for address in listed.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            let invalid =
                |_| NodeError::Variable { name: name.to_owned(), reason: format!("{address:?} is not an address") };
            addresses.push(address.parse().map_err(invalid)?);
        }
    }
    if addresses.is_empty() {
        addresses.extend(&sources.addresses);
    }
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    Ok(addresses)
}

/// The mesh's settings for this proxy; they replace those that istiod has for all, so an empty one is not sent.
fn proxy_config(variables: &BTreeMap<String, String>) -> Result<Option<Value>, NodeError> {
    const NAME: &str = "PROXY_CONFIG";
    let Some(value) = variables.get(NAME).filter(|value| !value.trim().is_empty()) else { return Ok(None) };
    let invalid = |reason: String| NodeError::Variable { name: NAME.to_owned(), reason };
    match yaml_serde::from_str(value).map_err(|error| invalid(error.to_string()))? {
        Value::Object(settings) if settings.is_empty() => Ok(None),
        Value::Null => Ok(None),
        Value::Object(settings) => Ok(Some(Value::Object(settings))),
        _ => Err(invalid("is not an object".to_owned())),
    }
}

fn json_object(name: &str, value: &str) -> Result<Map<String, Value>, NodeError> {
    let invalid = |error: serde_json::Error| NodeError::Variable { name: name.to_owned(), reason: error.to_string() };
    serde_json::from_str(value).map_err(invalid)
}

fn set_default(metadata: &mut Map<String, Value>, name: &str, value: &str) {
    let present = text(metadata, name).is_some_and(|value| !value.is_empty());
    if !present {
        metadata.insert(name.to_owned(), Value::from(value));
    }
}

fn text<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    metadata.get(name)?.as_str()
}

fn label<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    metadata.get("LABELS")?.get(name)?.as_str()
}

fn to_struct(object: &Map<String, Value>) -> prost_types::Struct {
    prost_types::Struct { fields: object.iter().map(|(name, value)| (name.clone(), to_value(value))).collect() }
}

fn to_value(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(to_value).collect() })
        }
        Value::Object(object) => Kind::StructValue(to_struct(object)),
    };
    prost_types::Value { kind: Some(kind) }
}
