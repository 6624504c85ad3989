//! Listeners: one for each address and port.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use xds_api::Any;
use xds_api::envoy::config::core::v3::TrafficDirection;
use xds_api::envoy::config::listener::v3::{Listener, ListenerFilter, listener_filter};
use xds_api::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;

use super::Resource;
use super::access_log;
use super::filter_chain::{self, Chain};
use super::wire::socket_address;
use crate::mesh::Mesh;
use crate::problem::Problems;

/// Bound on a client's TLS handshake (`PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT`).
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections accepted in one turn (`MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP`).
const CONNECTIONS_PER_TURN: u32 = 1;
/// Bytes that the TLS inspector reads first, enough for most handshakes.
const INSPECTOR_BUFFER: u32 = 512;

pub(super) fn resources(mesh: &Mesh, problems: &Problems) -> Vec<Resource> {
    let mut listeners: BTreeMap<(String, u32), Vec<Chain>> = BTreeMap::new();
    let mut claimed_sni = BTreeMap::new();
    for port in mesh.ports.iter() {
        let claimed: &mut BTreeSet<(String, String)> = claimed_sni.entry(port.key.number).or_default();
        let chains = filter_chain::chains(mesh, port, &port.key.listener_name(), claimed, problems);
        listeners.entry((port.key.address().to_owned(), port.key.number)).or_default().extend(chains);
    }
    let made = listeners.into_iter().filter(|(_, chains)| !chains.is_empty());
    made.map(|((bind, port), chains)| listener(mesh, &bind, port, chains)).collect()
}

fn listener(mesh: &Mesh, bind: &str, port: u32, chains: Vec<Chain>) -> Resource {
    let looks_at_tls = chains.iter().any(|chain| !chain.sni_hosts.is_empty() || chain.tls.is_some());
    let name = format!("{bind}_{port}");
    let listener = Listener {
        name: name.clone(),
        address: Some(socket_address(bind, port)),
        traffic_direction: TrafficDirection::Outbound as i32,
        listener_filters: looks_at_tls.then(tls_inspector).into_iter().collect(),
        access_log: access_log::listener_logs(mesh),
        filter_chains: chains.into_iter().map(Chain::into_wire).collect(),
        max_connections_to_accept_per_socket_event: Some(CONNECTIONS_PER_TURN),
        ..Listener::default()
    };
    Resource::new(&name, &listener)
}

fn tls_inspector() -> ListenerFilter {
    let config =
        Any::pack(&TlsInspector { initial_read_buffer_size: Some(INSPECTOR_BUFFER), ..TlsInspector::default() });
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".into(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    }
}
