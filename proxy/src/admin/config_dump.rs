//! `/config_dump`: every resource of the control plane, in the form that `istioctl proxy-config` reads
//! (`envoy.admin.v3.ConfigDump`).

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use xds_api::json::to_redacted_json;
use xds_client::ResourceType;
use xds_client::session::HeldResource;

use super::server::{Call, Reply, json as json_page};
use super::{Admin, timestamp};
use crate::config::{ConfigStatus, ListenerFailure, ListenerState};

const TYPE_PREFIX: &str = "type.googleapis.com/envoy.admin.v3.";

/// The page. As in Envoy, endpoints are left out unless `include_eds` is asked for; `resource` narrows it to one list.
pub(super) fn page(admin: &Admin, status: &ConfigStatus, call: &Call) -> Reply {
    let failures = status.listeners.iter().filter_map(|listener| match &listener.state {
        ListenerState::Failed(failure) => Some((listener.name.as_str(), failure)),
        ListenerState::Active | ListenerState::WaitingForSecrets(_) => None,
    });
    let known = Known { held: admin.source.held(), failures: failures.collect() };
    if let Some(list) = call.parameter("resource") {
        let configs = LISTS.iter().filter(|named| named.name == list).flat_map(|named| named.entries(&known));
        return json_page(&json!({ "configs": configs.collect::<Vec<_>>() }));
    }
    let mut configs = vec![bootstrap(admin)];
    configs.extend(
        LISTS
            .iter()
            .filter(|list| list.kind != ResourceType::Endpoints || call.has("include_eds"))
            .map(|list| list.dump(&known)),
    );
    json_page(&json!({ "configs": configs }))
}

fn bootstrap(admin: &Admin) -> Value {
    json!({ "@type": format!("{TYPE_PREFIX}BootstrapConfigDump"), "bootstrap": { "node": admin.node } })
}

/// One message of the dump: which resources go where.
struct List {
    kind: ResourceType,
    message: &'static str,
    /// Field with the entries, as `resource=` names it.
    name: &'static str,
    /// Field of an entry with the resource.
    resource: &'static str,
}

const LISTS: &[List] = &[
    List {
        kind: ResourceType::Cluster,
        message: "ClustersConfigDump",
        name: "dynamic_active_clusters",
        resource: "cluster",
    },
    List {
        kind: ResourceType::Endpoints,
        message: "EndpointsConfigDump",
        name: "dynamic_endpoint_configs",
        resource: "endpoint_config",
    },
    List {
        kind: ResourceType::Listener,
        message: "ListenersConfigDump",
        name: "dynamic_listeners",
        resource: "listener",
    },
    List {
        kind: ResourceType::Route,
        message: "RoutesConfigDump",
        name: "dynamic_route_configs",
        resource: "route_config",
    },
    List {
        kind: ResourceType::Secret,
        message: "SecretsConfigDump",
        name: "dynamic_active_secrets",
        resource: "secret",
    },
    List {
        kind: ResourceType::ExtensionConfig,
        message: "EcdsConfigDump",
        name: "ecds_filters",
        resource: "ecds_filter",
    },
];

/// What the pages are made of.
struct Known<'a> {
    held: Vec<HeldResource>,
    /// Listeners that were accepted and cannot be served.
    failures: HashMap<&'a str, &'a ListenerFailure>,
}

impl Known<'_> {
    fn failure(&self, held: &HeldResource) -> Option<&ListenerFailure> {
        self.failures.get(&*held.name).copied().filter(|_| held.kind == ResourceType::Listener)
    }
}

impl List {
    fn dump(&self, known: &Known<'_>) -> Value {
        let mut message = Map::new();
        message.insert("@type".to_owned(), json!(format!("{TYPE_PREFIX}{}", self.message)));
        message.insert(self.name.to_owned(), self.entries(known).collect());
        Value::Object(message)
    }

    fn entries(&self, known: &Known<'_>) -> impl Iterator<Item = Value> {
        let of_kind = known.held.iter().filter(|resource| resource.kind == self.kind);
        of_kind.map(|resource| self.entry(resource, known.failure(resource)))
    }

    fn entry(&self, held: &HeldResource, failure: Option<&ListenerFailure>) -> Value {
        let mut state = Map::new();
        state.insert("version_info".to_owned(), json!(&*held.version));
        if let Some(accepted) = held.accepted_at {
            state.insert("last_updated".to_owned(), json!(timestamp(accepted)));
            state.insert(self.resource.to_owned(), resource_json(held));
        }
        let error = error_state(held, failure);
        match self.kind {
            // Listeners wrap the state once more, and name themselves outside.
            ResourceType::Listener => {
                let mut entry = Map::from_iter([("name".to_owned(), json!(&*held.name))]);
                if failure.is_none() {
                    entry.insert("active_state".to_owned(), Value::Object(state));
                }
                Value::Object(with_error(entry, error))
            }
            ResourceType::Secret => {
                state.insert("name".to_owned(), json!(&*held.name));
                Value::Object(with_error(state, error))
            }
            _ => Value::Object(with_error(state, error)),
        }
    }
}

/// `envoy.admin.v3.UpdateFailureState`: why the newest version is not in force.
fn error_state(held: &HeldResource, failure: Option<&ListenerFailure>) -> Option<Value> {
    if let Some(refused) = &held.refused {
        return Some(json!({
            "details": &*refused.reason,
            "version_info": &*refused.version,
            "last_update_attempt": timestamp(refused.at),
        }));
    }
    failure.map(|failure| {
        json!({
            "failed_configuration": resource_json(held),
            "details": failure.to_string(),
            "version_info": &*held.version,
            "last_update_attempt": timestamp(failure.last_attempt),
        })
    })
}

fn with_error(mut state: Map<String, Value>, error: Option<Value>) -> Map<String, Value> {
    if let Some(error) = error {
        state.insert("error_state".to_owned(), error);
    }
    state
}

/// The resource with `@type`; private keys are left out.
fn resource_json(held: &HeldResource) -> Value {
    let type_url = held.kind.type_url();
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    match to_redacted_json(name, &held.body) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("@type".to_owned(), json!(type_url));
            Value::Object(fields)
        }
        Ok(other) => other,
        Err(error) => json!({ "@type": type_url, "error": error.to_string() }),
    }
}
