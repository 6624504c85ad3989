//! Istio's `ProxyConfig` (`istio.mesh.v1alpha1`), as far as the process itself acts on it. All of it goes to istiod as node metadata.

use std::time::Duration;

use serde_json::Value;

use super::BootstrapError;

/// Settings from the mesh's `defaultConfig`, the `PROXY_CONFIG` variable and the pod annotation `proxy.istio.io/config`, each
/// overriding the one before, field by field.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyConfig {
    /// `host:port` of istiod.
    pub discovery_address: String,
    /// Worker threads; `None` follows the CPU limit.
    pub concurrency: Option<usize>,
    /// Envoy's `--drain-time-s`.
    pub drain_duration: Duration,
    /// How long the process lives on after SIGTERM.
    pub termination_drain_duration: Duration,
    /// Port of the admin server.
    pub proxy_admin_port: u16,
    /// Port of the agent's health and merged metrics.
    pub status_port: u16,
    /// Extra environment for the node's metadata (`proxyMetadata`).
    pub proxy_metadata: Vec<(String, String)>,
    /// Envoy's runtime (`runtimeValues`).
    pub runtime_values: Vec<(String, String)>,
    /// `connectionSettings.globalDownstreamConnectionLimit`.
    pub global_downstream_connection_limit: Option<u64>,
    /// `connectionSettings.listenerConnectionLimit`.
    pub listener_connection_limit: Option<u64>,
    /// The merged document, sent to istiod as `PROXY_CONFIG` metadata.
    pub document: Value,
}

impl ProxyConfig {
    /// Merges documents, the later ones winning.
    ///
    /// # Errors
    /// A document is not YAML, or a field that we act on has the wrong type; the error names which.
    pub fn merge(documents: &[(&str, &str)]) -> Result<Self, BootstrapError> {
        let mut merged = serde_json::Map::new();
        for (name, text) in documents {
            let value: Value =
                yaml_serde::from_str(text).map_err(|error| BootstrapError::new(*name, error.to_string()))?;
            match value {
                Value::Object(fields) => merged.extend(fields),
                Value::Null => {}
                _ => return Err(BootstrapError::new(*name, "is not a mapping")),
            }
        }
        let read = Reader(&merged);
        let none = serde_json::Map::new();
        let settings = Reader(read.object("connectionSettings")?.unwrap_or(&none));
        Ok(Self {
            discovery_address: read.text("discoveryAddress")?.unwrap_or("istiod.istio-system.svc:15012").to_owned(),
            concurrency: read.number("concurrency")?.and_then(|number| usize::try_from(number).ok()).filter(|n| *n > 0),
            drain_duration: read.duration("drainDuration", Duration::from_secs(45))?,
            termination_drain_duration: read.duration("terminationDrainDuration", Duration::from_secs(5))?,
            proxy_admin_port: read.port("proxyAdminPort", 15000)?,
            status_port: read.port("statusPort", 15020)?,
            proxy_metadata: read.strings("proxyMetadata")?,
            runtime_values: read.strings("runtimeValues")?,
            global_downstream_connection_limit: settings.number("globalDownstreamConnectionLimit")?,
            listener_connection_limit: settings.number("listenerConnectionLimit")?,
            document: Value::Object(merged),
        })
    }
}

struct Reader<'a>(&'a serde_json::Map<String, Value>);

impl<'a> Reader<'a> {
    fn text(&self, field: &str) -> Result<Option<&'a str>, BootstrapError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(field, other, "a string")),
        }
    }

    fn object(&self, field: &str) -> Result<Option<&'a serde_json::Map<String, Value>>, BootstrapError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(other) => Err(wrong(field, other, "a mapping")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<u64>, BootstrapError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(field, value, "a number")),
        }
    }

    fn port(&self, field: &str, default: u16) -> Result<u16, BootstrapError> {
        match self.number(field)? {
            None | Some(0) => Ok(default),
            Some(number) => u16::try_from(number).map_err(|_| {
                BootstrapError::new(format!("ProxyConfig.{field}"), format!("{number} is not a port number"))
            }),
        }
    }

    fn duration(&self, field: &str, default: Duration) -> Result<Duration, BootstrapError> {
        match self.text(field)? {
            None => Ok(default),
            Some(text) => super::environment::parse_go_duration(text).ok_or_else(|| {
                BootstrapError::new(format!("ProxyConfig.{field}"), format!("`{text}` is not a duration"))
            }),
        }
    }

    fn strings(&self, field: &str) -> Result<Vec<(String, String)>, BootstrapError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(entries)) => entries
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => Ok((name.clone(), text.clone())),
                    other => Err(wrong(&format!("{field}.{name}"), other, "a string")),
                })
                .collect(),
            Some(other) => Err(wrong(field, other, "a mapping")),
        }
    }
}

fn wrong(field: &str, value: &Value, expected: &str) -> BootstrapError {
    BootstrapError::new(format!("ProxyConfig.{field}"), format!("{value} is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_documents_override_earlier_ones_field_by_field() {
        let config = ProxyConfig::merge(&[
            ("mesh", "discoveryAddress: istiod.istio-system.svc:15012\nconcurrency: 2\n"),
            ("PROXY_CONFIG", r#"{"concurrency": 3, "drainDuration": "10s"}"#),
        ])
        .unwrap();
        assert_eq!(config.concurrency, Some(3));
        assert_eq!(config.discovery_address, "istiod.istio-system.svc:15012");
        assert_eq!(config.drain_duration, Duration::from_secs(10));
        assert_eq!(config.termination_drain_duration, Duration::from_secs(5));
    }

    #[test]
    fn a_wrong_type_names_the_field() {
        let error = ProxyConfig::merge(&[("PROXY_CONFIG", "drainDuration: 10")]).unwrap_err();
        assert_eq!(error.to_string(), "ProxyConfig.drainDuration: 10 is not a string");
        let error = ProxyConfig::merge(&[("PROXY_CONFIG", "{")]).unwrap_err();
        assert!(error.to_string().starts_with("PROXY_CONFIG: "));
    }
}
