//! Istio's `ServiceEntry` and `WorkloadEntry`: services and endpoints that Kubernetes does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::load::field::Fields;
use crate::mesh::protocol::Protocol;
use crate::object::metadata::Metadata;
use crate::object::virtual_service::export_to;

/// One service per host.
#[derive(Clone, Debug)]
pub(crate) struct ServiceEntry {
    pub(crate) metadata: Metadata,
    pub(crate) hosts: Vec<String>,
    pub(crate) ports: Vec<EntryPort>,
    pub(crate) mesh_external: bool,
    pub(crate) resolution: EntryResolution,
    pub(crate) endpoints: Vec<WorkloadEntry>,
    pub(crate) workload_selector: Option<BTreeMap<String, String>>,
    pub(crate) export_to: Vec<String>,
    pub(crate) subject_alt_names: Vec<String>,
}

/// A port of a service.
#[derive(Clone, Debug)]
pub(crate) struct EntryPort {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    /// Port of the endpoints, if it differs.
    pub(crate) target: Option<u32>,
}

/// `ServiceEntry.Resolution`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EntryResolution {
    #[default]
    None,
    Static,
    Dns,
    DnsRoundRobin,
}

/// An endpoint, on its own or in a service entry.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadEntry {
    pub(crate) metadata: Metadata,
    /// IP address or DNS name.
    pub(crate) address: String,
    /// Ports by the name of the service's port.
    pub(crate) ports: BTreeMap<String, u32>,
    pub(crate) labels: BTreeMap<String, String>,
    /// `region/zone/subzone`.
    pub(crate) locality: String,
    pub(crate) weight: u32,
    pub(crate) service_account: String,
}

impl WorkloadEntry {
    pub(crate) fn is_dns_name(&self) -> bool {
        self.address.parse::<IpAddr>().is_err()
    }
}

pub(super) fn read(fields: &mut Fields<'_>, metadata: Metadata) -> Option<ServiceEntry> {
    fields.required("spec")?.object(|fields| {
        // Virtual addresses matter to sidecars and to DNS, not to a gateway.
        fields.ignore(&["addresses"]);
        let hosts = fields.strings("hosts");
        fields.require_elements("hosts");
        fields.require_elements("ports");
        let mesh_external = fields
            .get("location")
            .and_then(|value| value.choice(&[("MESH_EXTERNAL", true), ("MESH_INTERNAL", false)]))
            .unwrap_or(true);
        let entry = ServiceEntry {
            hosts,
            ports: fields.objects("ports", port),
            mesh_external,
            resolution: fields.get("resolution").and_then(|value| value.choice(RESOLUTIONS)).unwrap_or_default(),
            endpoints: inline_endpoints(fields, &metadata),
            workload_selector: fields.object("workloadSelector", |fields| fields.string_map("labels")),
            export_to: export_to(fields, &metadata.namespace),
            subject_alt_names: fields.strings("subjectAltNames"),
            metadata,
        };
        check(fields, &entry);
        entry
    })
}

pub(super) fn read_workload_entry(fields: &mut Fields<'_>, metadata: Metadata) -> Option<WorkloadEntry> {
    fields.required("spec")?.object(|fields| workload(fields, metadata))
}

const RESOLUTIONS: &[(&str, EntryResolution)] = &[
    ("NONE", EntryResolution::None),
    ("STATIC", EntryResolution::Static),
    ("DNS", EntryResolution::Dns),
    ("DNS_ROUND_ROBIN", EntryResolution::DnsRoundRobin),
];

fn check(fields: &Fields<'_>, entry: &ServiceEntry) {
    if entry.workload_selector.is_some() && !entry.endpoints.is_empty() {
        fields.error("only one of workloadSelector and endpoints can be given");
    }
    let is_dns = matches!(entry.resolution, EntryResolution::Dns | EntryResolution::DnsRoundRobin);
    if is_dns && entry.endpoints.is_empty() && entry.hosts.iter().any(|host| host.starts_with('*')) {
        fields.error("hosts: a wildcard cannot be resolved by DNS without endpoints");
    }
    if entry.resolution == EntryResolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        fields.error("endpoints: there can be only one with resolution DNS_ROUND_ROBIN");
    }
    match entry.resolution {
        EntryResolution::None if !entry.endpoints.is_empty() => {
            fields.error("endpoints cannot be given with resolution NONE");
        }
        EntryResolution::Static => {
            for endpoint in entry.endpoints.iter().filter(|endpoint| endpoint.is_dns_name()) {
                fields.error(format!(
                    "endpoints: {} is not an IP address, which resolution STATIC needs",
                    endpoint.address
                ));
            }
        }
        _ => {}
    }
}

fn port(fields: &mut Fields<'_>) -> Option<EntryPort> {
    let number = fields.required("number").and_then(|value| value.port());
    let name = fields.required("name").and_then(|value| value.string());
    let protocol = Protocol::parse(&fields.string("protocol"));
    let target = fields.port("targetPort");
    Some(EntryPort { number: number?, name: name?, protocol, target })
}

/// Endpoints of a service entry are named after it, with their position.
fn inline_endpoints(fields: &mut Fields<'_>, owner: &Metadata) -> Vec<WorkloadEntry> {
    let mut index = 0;
    fields.objects("endpoints", |fields| {
        let metadata = Metadata {
            name: format!("{}-{index}", owner.name),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            place: fields.place(),
            ..owner.clone()
        };
        index += 1;
        Some(workload(fields, metadata))
    })
}

fn workload(fields: &mut Fields<'_>, metadata: Metadata) -> WorkloadEntry {
    // An endpoint of another network is reached through a gateway of that network, which needs a mesh.
    fields.unsupported(&["network"]);
    let address = fields.required("address").and_then(|value| value.string()).unwrap_or_default();
    if address.starts_with("unix://") {
        fields.error(format!("address: {address}: Unix sockets are not supported yet"));
    }
    let ports = fields.get("ports").and_then(|value| value.map(|value| value.port())).unwrap_or_default();
    let mut labels = fields.string_map("labels");
    labels.extend(metadata.labels.clone());
    WorkloadEntry {
        address,
        ports,
        labels,
        locality: fields.string("locality"),
        weight: fields.u32("weight").unwrap_or(0),
        service_account: fields.string("serviceAccount"),
        metadata,
    }
}
