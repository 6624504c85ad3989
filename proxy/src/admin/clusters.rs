//! `/clusters`: endpoints as they are used (`envoy.admin.v3.Clusters`, which `istioctl proxy-config endpoints` reads).

use std::fmt::Write as _;

use hashbrown::HashSet;
use http::StatusCode;
use serde_json::{Value, json};

use xds_model::endpoint::{EndpointAddress, Health};

use super::server::{Call, Reply, json as json_page, text};
use crate::config::{ClusterStatus, ConfigStatus};
use crate::worker::Process;

/// The page: text, or JSON with `format=json`.
pub(super) fn page(process: &Process, status: &ConfigStatus, call: &Call) -> Reply {
    if call.parameter("format") == Some("json") {
        let json = |cluster: &ClusterStatus| cluster_json(cluster, &process.ejected(&cluster.name));
        let clusters: Vec<Value> = status.clusters.iter().map(json).collect();
        return json_page(&json!({ "cluster_statuses": clusters }));
    }
    let mut page = String::new();
    for cluster in &status.clusters {
        cluster_text(&mut page, cluster, &process.ejected(&cluster.name));
    }
    text(StatusCode::OK, page)
}

fn cluster_json(cluster: &ClusterStatus, ejected: &HashSet<EndpointAddress>) -> Value {
    let hosts: Vec<Value> = cluster
        .endpoints
        .iter()
        .flat_map(|endpoints| endpoints.list())
        .map(|endpoint| {
            let mut health_status = json!({ "eds_health_status": health(endpoint.health) });
            if ejected.contains(&endpoint.address) {
                health_status["failed_outlier_check"] = true.into();
            }
            json!({
                "address": address_json(&endpoint.address),
                "health_status": health_status,
                "weight": endpoint.weight,
                "priority": endpoint.priority,
                "locality": { "region": endpoint.locality.region, "zone": endpoint.locality.zone, "sub_zone": endpoint.locality.sub_zone },
            })
        })
        .collect();
    json!({ "name": &*cluster.name, "added_via_api": true, "host_statuses": hosts, "observability_name": &*cluster.name })
}

fn cluster_text(page: &mut String, cluster: &ClusterStatus, ejected: &HashSet<EndpointAddress>) {
    let name = &cluster.name;
    let Some(endpoints) = &cluster.endpoints else {
        let _ = writeln!(page, "{name}::warming");
        return;
    };
    let _ = writeln!(page, "{name}::observability_name::{name}");
    for endpoint in endpoints.list() {
        let address = address_text(&endpoint.address);
        let flags = match ejected.contains(&endpoint.address) {
            true => "/failed_outlier_check".to_owned(),
            false => health(endpoint.health).to_ascii_lowercase(),
        };
        let _ = writeln!(page, "{name}::{address}::health_flags::{flags}");
        let _ = writeln!(page, "{name}::{address}::weight::{}", endpoint.weight);
        let _ = writeln!(page, "{name}::{address}::priority::{}", endpoint.priority);
    }
}

fn address_json(address: &EndpointAddress) -> Value {
    match address {
        EndpointAddress::Socket(socket) => {
            json!({ "socket_address": { "address": socket.ip().to_string(), "port_value": socket.port() } })
        }
        EndpointAddress::Name(name, port) => json!({ "socket_address": { "address": name, "port_value": port } }),
        EndpointAddress::Unix(path) => json!({ "pipe": { "path": path } }),
    }
}

fn address_text(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Socket(socket) => socket.to_string(),
        EndpointAddress::Name(name, port) => format!("{name}:{port}"),
        EndpointAddress::Unix(path) => path.clone(),
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "HEALTHY",
        Health::Degraded => "DEGRADED",
        Health::Unhealthy => "UNHEALTHY",
        Health::Draining => "DRAINING",
    }
}
