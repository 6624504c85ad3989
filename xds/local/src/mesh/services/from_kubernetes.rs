//! Kubernetes Services, with the endpoints of EndpointSlices and of the WorkloadEntries that they select.

use std::collections::BTreeMap;

use super::from_entries::workload_endpoint;
use super::identity;
use crate::mesh::host;
use crate::mesh::service::{Endpoint, Health, Port, Registry, Resolution, Service};
use crate::object::metadata::Metadata;
use crate::object::service::{Service as KubernetesService, TargetPort};
use crate::object::{Objects, service::EndpointSlice};

pub(super) fn services(objects: &Objects) -> Vec<Service> {
    let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in &objects.endpoint_slices {
        slices.entry((&slice.metadata.namespace, &slice.service)).or_default().push(slice);
    }
    let with_slices = objects.services.iter().map(|service| {
        let key = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
        convert(service, slices.get(&key).map_or(&[], Vec::as_slice), objects)
    });
    with_slices.collect()
}

fn convert(service: &KubernetesService, slices: &[&EndpointSlice], objects: &Objects) -> Service {
    let metadata = &service.metadata;
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| Port { name: port.name.clone(), number: port.number, protocol: port.protocol })
        .collect();
    let mut endpoints: Vec<_> = slices.iter().flat_map(|slice| slice_endpoints(slice, &ports)).collect();
    if !service.is_headless && !service.selector.is_empty() {
        endpoints.extend(selected_workloads(service, &ports, objects));
    }
    Service {
        hostname: host::full_name(&metadata.name, &metadata.namespace),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        registry: Registry::Kubernetes,
        mesh_external: !service.external_name.is_empty(),
        resolution: if service.is_headless { Resolution::Passthrough } else { Resolution::Static },
        ports,
        export_to: exported_to(metadata),
        subject_alt_names: account_names(metadata),
        labels: metadata.labels.clone(),
        created: metadata.created.clone(),
        alias_of: service.external_name.clone(),
        endpoints,
        place: metadata.place.clone(),
    }
}

fn slice_endpoints(slice: &EndpointSlice, ports: &[Port]) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for endpoint in &slice.endpoints {
        // One that is not ready is shown as such, unless it is going, or may be.
        let health = match (endpoint.ready, endpoint.terminating) {
            (true, _) => Health::Ready,
            (false, Some(false)) => Health::NotReady,
            (false, _) => continue,
        };
        for (address, port) in
            endpoint.addresses.iter().flat_map(|address| slice.ports.iter().map(move |port| (address, port)))
        {
            let Some(service_port) = ports.iter().find(|service_port| service_port.name == port.name) else { continue };
            found.push(Endpoint {
                address: address.clone(),
                port: port.number,
                service_port: service_port.clone(),
                labels: BTreeMap::new(),
                locality: String::new(),
                weight: 1,
                identity: String::new(),
                takes_mutual_tls: false,
                workload: String::new(),
                // Only a Pod object would say.
                namespace: String::new(),
                health,
            });
        }
    }
    found
}

fn selected_workloads(service: &KubernetesService, ports: &[Port], objects: &Objects) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for workload in &objects.workload_entries {
        let is_selected = service.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        if workload.metadata.namespace != service.metadata.namespace || !is_selected || workload.is_dns_name() {
            continue;
        }
        for (port, service_port) in service.ports.iter().zip(ports) {
            let number = match &port.target {
                TargetPort::Number(number) => Some(*workload.ports.get(&port.name).unwrap_or(number)),
                TargetPort::Named(name) => workload.ports.get(name).copied(),
            };
            found.extend(number.map(|number| workload_endpoint(workload, service_port.clone(), number)));
        }
    }
    found
}

fn exported_to(metadata: &Metadata) -> Vec<String> {
    let listed = metadata.annotations.get("networking.istio.io/exportTo").map_or("", String::as_str);
    let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| if name == "." { metadata.namespace.clone() } else { name.to_owned() }).collect()
}

fn account_names(metadata: &Metadata) -> Vec<String> {
    let listed = |key: &str| {
        let names = metadata.annotations.get(key).map_or("", String::as_str);
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut names = listed("alpha.istio.io/canonical-serviceaccounts");
    let accounts = listed("alpha.istio.io/kubernetes-serviceaccounts");
    names.extend(accounts.iter().map(|account| identity(&metadata.namespace, account)));
    names
}
