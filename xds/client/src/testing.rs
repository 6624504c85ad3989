//! Resources for tests, written as JSON.

use serde_json::{Value, json};

use crate::ResourceType;
use crate::delta::Received;
use crate::event::Event;

const HTTP: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const RBAC: &str = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const DOWNSTREAM_TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

pub(crate) fn received(kind: ResourceType, name: &str, content: Value) -> Received {
    let body = xds_api::json::from_json(kind.type_url(), content).unwrap();
    Received { name: name.into(), version: "".into(), body }
}

pub(crate) fn cluster(name: &str) -> Received {
    cluster_with(name, "10s")
}

pub(crate) fn cluster_with(name: &str, connect_timeout: &str) -> Received {
    let content = json!({
        "name": name, "type": "EDS", "connectTimeout": connect_timeout,
        "edsClusterConfig": {"edsConfig": {"ads": {}}, "serviceName": name},
    });
    received(ResourceType::Cluster, name, content)
}

/// Active health checks are refused.
pub(crate) fn bad_cluster(name: &str) -> Received {
    let content = json!({"name": name, "type": "STATIC", "healthChecks": [{"timeout": "1s"}]});
    received(ResourceType::Cluster, name, content)
}

pub(crate) fn endpoints(name: &str, ports: &[u16]) -> Received {
    let endpoint =
        |port: &u16| json!({"endpoint": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": port}}}});
    let list: Vec<Value> = ports.iter().map(endpoint).collect();
    received(ResourceType::Endpoints, name, json!({"clusterName": name, "endpoints": [{"lbEndpoints": list}]}))
}

pub(crate) fn http_listener(name: &str, route: &str) -> Received {
    listener(name, json!([http_chain(route)]))
}

pub(crate) fn https_listener(name: &str, route: &str, secret: &str) -> Received {
    let mut chain = http_chain(route);
    chain["transportSocket"] = json!({"name": "envoy.transport_sockets.tls", "typedConfig": {
        "@type": DOWNSTREAM_TLS,
        "commonTlsContext": {"tlsCertificateSdsSecretConfigs": [{"name": secret, "sdsConfig": {"ads": {}}}]},
    }});
    listener(name, json!([chain]))
}

/// Two chains that take every connection are refused.
pub(crate) fn bad_listener(name: &str) -> Received {
    listener(name, json!([http_chain("r"), http_chain("other")]))
}

/// With an HTTP filter that comes by discovery; `default` lets everything pass, and may serve before the filter has come.
pub(crate) fn filtered_listener(name: &str, route: &str, filter: &str, default: bool) -> Received {
    let mut discovery = json!({"configSource": {"ads": {}}, "typeUrls": [RBAC]});
    if default {
        discovery["defaultConfig"] = json!({"@type": RBAC});
        discovery["applyDefaultConfigWithoutWarming"] = json!(true);
    }
    discovering_listener(name, route, filter, &discovery)
}

/// Waits for its filter as long as `timeout` says.
pub(crate) fn patient_listener(name: &str, route: &str, filter: &str, timeout: &str) -> Received {
    let source = json!({"ads": {}, "initialFetchTimeout": timeout});
    discovering_listener(name, route, filter, &json!({"configSource": source, "typeUrls": [RBAC]}))
}

fn discovering_listener(name: &str, route: &str, filter: &str, discovery: &Value) -> Received {
    let mut chain = http_chain(route);
    let filters = chain.pointer_mut("/filters/0/typedConfig/httpFilters").and_then(Value::as_array_mut).unwrap();
    filters.insert(0, json!({"name": filter, "configDiscovery": discovery}));
    listener(name, json!([chain]))
}

/// Rules that allow nothing; with a prefix for statistics that tells versions apart.
pub(crate) fn extension(name: &str, prefix: &str) -> Received {
    let rbac = json!({"@type": RBAC, "rules": {}, "rulesStatPrefix": prefix});
    received(ResourceType::ExtensionConfig, name, json!({"name": name, "typedConfig": rbac}))
}

/// Lua is not supported.
pub(crate) fn bad_extension(name: &str) -> Received {
    let lua = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"});
    received(ResourceType::ExtensionConfig, name, json!({"name": name, "typedConfig": lua}))
}

pub(crate) fn tcp_listener(name: &str, cluster: &str) -> Received {
    let proxy = json!({"@type": TCP, "statPrefix": "tcp", "cluster": cluster});
    listener(name, json!([{"filters": [{"name": "tcp", "typedConfig": proxy}]}]))
}

pub(crate) fn route(name: &str, clusters: &[&str]) -> Received {
    let host = |(index, cluster): (usize, &&str)| {
        json!({"name": format!("h{index}"), "domains": [format!("h{index}.test")],
               "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]})
    };
    let hosts: Vec<Value> = clusters.iter().enumerate().map(host).collect();
    received(ResourceType::Route, name, json!({"name": name, "virtualHosts": hosts}))
}

pub(crate) fn certificate(name: &str) -> Received {
    let content = json!({"name": name, "tlsCertificate": {
        "certificateChain": {"inlineString": "CERTIFICATE"}, "privateKey": {"inlineString": "PRIVATE KEY"},
    }});
    received(ResourceType::Secret, name, content)
}

/// What happened, in a form that is easy to compare: `+` and `-` with kind and name.
pub(crate) fn summary(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Upsert(resource) => format!("+{:?} {}", resource.kind(), resource.name()),
        Event::Remove { kind, name } => format!("-{kind:?} {name}"),
        Event::Synced(kind) => format!("synced {kind:?}"),
        Event::Restored { resources, .. } => format!("restored {resources}"),
        Event::Connected => "connected".to_owned(),
        Event::Disconnected { .. } => "disconnected".to_owned(),
        Event::SnapshotFailed { .. } => "snapshot failed".to_owned(),
    };
    events.iter().map(text).collect()
}

fn listener(name: &str, chains: Value) -> Received {
    let content = json!({
        "name": name, "address": {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}, "filterChains": chains,
    });
    received(ResourceType::Listener, name, content)
}

fn http_chain(route: &str) -> Value {
    let manager = json!({
        "@type": HTTP, "statPrefix": "http",
        "rds": {"routeConfigName": route, "configSource": {"ads": {}}},
        "httpFilters": [{"name": "envoy.filters.http.router", "typedConfig": {"@type": ROUTER}}],
    });
    json!({"filters": [{"name": "http", "typedConfig": manager}]})
}
