//! ServiceEntries, with their endpoints or the WorkloadEntries that they select.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::identity;
use crate::mesh::service::{Endpoint, Health, Port, Registry, Resolution, Service};
use crate::object::Objects;
use crate::object::service_entry::{EntryPort, EntryResolution, ServiceEntry, WorkloadEntry};

/// The label by which an endpoint says whether it takes mutual TLS.
const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";

pub(super) fn services(objects: &Objects) -> Vec<Service> {
    let entries = objects.service_entries.iter();
    entries.flat_map(|entry| entry.hosts.iter().map(move |host| convert(entry, host, objects))).collect()
}

fn convert(entry: &ServiceEntry, host: &str, objects: &Objects) -> Service {
    let metadata = &entry.metadata;
    let resolution = match entry.resolution {
        EntryResolution::None => Resolution::Passthrough,
        EntryResolution::Static => Resolution::Static,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
    };
    Service {
        hostname: host.to_owned(),
        name: host.to_owned(),
        namespace: metadata.namespace.clone(),
        registry: Registry::ServiceEntry,
        mesh_external: entry.mesh_external,
        resolution,
        ports: entry.ports.iter().map(service_port).collect(),
        export_to: entry.export_to.clone(),
        subject_alt_names: entry.subject_alt_names.clone(),
        labels: metadata.labels.clone(),
        created: metadata.created.clone(),
        alias_of: String::new(),
        endpoints: endpoints(entry, host, resolution, objects),
        place: metadata.place.clone(),
    }
}

fn endpoints(entry: &ServiceEntry, host: &str, resolution: Resolution, objects: &Objects) -> Vec<Endpoint> {
    let of = |workload: &WorkloadEntry| {
        let named = |port: &EntryPort| workload.ports.get(&port.name).copied().or(port.target).unwrap_or(port.number);
        let endpoints = entry.ports.iter().map(|port| workload_endpoint(workload, service_port(port), named(port)));
        endpoints.collect::<Vec<_>>()
    };
    match &entry.workload_selector {
        Some(selector) => {
            let mut selected: Vec<_> = objects
                .workload_entries
                .iter()
                .filter(|workload| workload.metadata.namespace == entry.metadata.namespace)
                .filter(|workload| selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value)))
                .filter(|workload| resolution.is_dns() || !workload.is_dns_name())
                .collect();
            selected.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
            selected.into_iter().flat_map(of).collect()
        }
        None if entry.endpoints.is_empty() && resolution.is_dns() => {
            entry.ports.iter().map(|port| host_endpoint(entry, host, port)).collect()
        }
        None => entry.endpoints.iter().flat_map(of).collect(),
    }
}

/// Without endpoints the host itself is resolved.
fn host_endpoint(entry: &ServiceEntry, host: &str, port: &EntryPort) -> Endpoint {
    Endpoint {
        address: host.to_owned(),
        port: port.target.unwrap_or(port.number),
        service_port: service_port(port),
        labels: BTreeMap::new(),
        locality: String::new(),
        weight: 1,
        identity: String::new(),
        takes_mutual_tls: false,
        workload: entry.metadata.name.clone(),
        namespace: entry.metadata.namespace.clone(),
        health: Health::Unknown,
    }
}

/// A workload as the endpoint of one port of a service.
pub(super) fn workload_endpoint(workload: &WorkloadEntry, service_port: Port, port: u32) -> Endpoint {
    let metadata = &workload.metadata;
    let account = &workload.service_account;
    let name = metadata.annotations.get("istio.io/autoRegistrationGroup");
    let name = name.or_else(|| workload.labels.get("service.istio.io/workload-name")).unwrap_or(&metadata.name);
    Endpoint {
        address: canonical_address(&workload.address),
        port,
        service_port,
        labels: workload.labels.clone(),
        locality: locality(workload),
        weight: workload.weight.max(1),
        identity: if account.is_empty() { String::new() } else { identity(&metadata.namespace, account) },
        takes_mutual_tls: match workload.labels.get(TLS_MODE_LABEL) {
            Some(mode) => mode == "istio",
            None => !account.is_empty(),
        },
        workload: name.clone(),
        namespace: metadata.namespace.clone(),
        health: Health::Unknown,
    }
}

fn canonical_address(address: &str) -> String {
    address.parse::<IpAddr>().map_or_else(|_| address.to_owned(), |address| address.to_string())
}

/// From the field, or from the label, where dots stand for slashes.
fn locality(workload: &WorkloadEntry) -> String {
    let label = workload.labels.get("istio-locality").map(|label| label.replace('.', "/"));
    if workload.locality.is_empty() { label.unwrap_or_default() } else { workload.locality.clone() }
}

fn service_port(port: &EntryPort) -> Port {
    Port { name: port.name.clone(), number: port.number, protocol: port.protocol }
}
