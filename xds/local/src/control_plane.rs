//! From a folder to resources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::attachment;
use crate::convert;
use crate::delegates;
use crate::generate::{self, Resource};
use crate::load;
use crate::mesh::destination_rules::DestinationRules;
use crate::mesh::ports::GatewayPorts;
use crate::mesh::services::Services;
use crate::mesh::virtual_services::VirtualServices;
use crate::mesh::{GatewayPlace, Mesh};
use crate::object::Objects;
use crate::object::gateway::Gateway;
use crate::object::service::TargetPort;
use crate::problem::{Place, Problem, Problems};
use crate::refusal;
use crate::services::{self, Service};
use crate::summary::Summary;
use crate::watch::Watch;

/// What the gateway process is.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its labels: only Gateways whose `selector` fits are served, and Services that select it translate their ports into those
    /// that it listens on. Without labels every Gateway is served, on its own ports. Gateways of the Gateway API have no selector
    /// and are always served.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its namespace: secrets of Istio's Gateways are looked for there, and `exportTo` is seen from there. Without it that of the
    /// first served Gateway counts.
    pub namespace: Option<String>,
    /// Where it is, as Istio writes it: `region/zone/sub-zone`. By that it is decided which endpoints are near.
    pub locality: String,
}

/// What a folder comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Sorted by type and name.
    pub resources: Vec<Resource>,
    /// What is served, for a person.
    pub summary: Summary,
    /// The services that there are, sorted by host.
    pub services: Vec<Service>,
    /// What is served only in part, or not at all; sorted by file and line.
    pub warnings: Vec<Problem>,
}

/// What is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Added, or with another message.
    pub changed: Vec<Resource>,
    /// Type URLs and names of those that are gone.
    pub removed: Vec<(String, String)>,
}

/// A folder as a control plane.
#[derive(Clone, Debug)]
pub struct LocalControlPlane {
    directory: PathBuf,
    options: Options,
}

impl LocalControlPlane {
    /// Reads nothing yet.
    pub fn new(directory: impl Into<PathBuf>, options: Options) -> Self {
        Self { directory: directory.into(), options }
    }

    /// Where the files are: `*.yaml`, `*.yml` and `*.json`, in folders within it, too.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads the folder.
    ///
    /// # Errors
    ///
    /// Everything that is wrong or not supported, warnings included, sorted by file and line, if at least one of it is an error.
    pub fn load(&self) -> Result<Generated, Vec<Problem>> {
        let problems = Problems::default();
        let objects = load::folder(&self.directory, &problems);
        if problems.has_errors() {
            // What is missing because it could not be read is not worth a word.
            return Err(problems.into_sorted());
        }
        let mesh = mesh(&objects, &self.options, &problems);
        attachment::check(&objects, &mesh, &problems);
        let resources = generate::resources(&mesh, &objects, &problems);
        let folder = Place { file: self.directory.to_string_lossy().into(), line: 0 };
        refusal::check(&resources, &mesh, &folder, &problems);
        if mesh.ports.iter().next().is_none() {
            problems.warning(&folder, "no Gateway is served from here");
        }
        if problems.has_errors() {
            return Err(problems.into_sorted());
        }
        let summary = Summary::new(&resources, &mesh);
        let services = services::services(&mesh.services);
        Ok(Generated { resources, summary, services, warnings: problems.into_sorted() })
    }

    /// Watches the folder.
    pub fn watch(self) -> Watch {
        Watch::new(self)
    }
}

impl Generated {
    /// What differs from an earlier state; without one everything is new.
    pub fn changes_since(&self, earlier: Option<&Self>) -> Changes {
        let key = |resource: &Resource| (resource.type_url.clone(), resource.name.clone());
        let earlier = earlier.map_or(&[][..], |generated| &generated.resources);
        let mut before: BTreeMap<_, _> = earlier.iter().map(|resource| (key(resource), &resource.message)).collect();
        let mut changed = Vec::new();
        for resource in &self.resources {
            if before.remove(&key(resource)) != Some(&resource.message) {
                changed.push(resource.clone());
            }
        }
        Changes { changed, removed: before.into_keys().collect() }
    }
}

fn mesh(objects: &Objects, options: &Options, problems: &Problems) -> Mesh {
    let converted = convert::gateway_api(objects, problems);
    let mut gateways: Vec<_> =
        objects.gateways.iter().filter(|gateway| is_selected(gateway, options)).cloned().collect();
    let namespace = namespace(&gateways, &converted.gateways, options, problems);
    gateways.extend(converted.gateways);
    let resolve = |number| listening_port(number, objects, options, &namespace);
    let mut virtual_services = delegates::merge(&objects.virtual_services, problems);
    virtual_services.extend(converted.virtual_services);
    Mesh {
        ports: GatewayPorts::new(&gateways, resolve, problems),
        services: Services::new(objects, &namespace),
        destination_rules: DestinationRules::new(objects.destination_rules.clone(), &namespace),
        virtual_services: VirtualServices::new(virtual_services, &namespace),
        access_log: objects.access_log.clone(),
        namespace,
        gateway: GatewayPlace {
            locality: options.locality.clone(),
            labels: options.labels.clone().unwrap_or_default(),
        },
    }
}

fn is_selected(gateway: &Gateway, options: &Options) -> bool {
    match (&options.labels, &gateway.selector) {
        (Some(labels), Some(selector)) => selector.iter().all(|(key, value)| labels.get(key) == Some(value)),
        _ => true,
    }
}

fn namespace(gateways: &[Gateway], of_api: &[Gateway], options: &Options, problems: &Problems) -> String {
    if let Some(namespace) = &options.namespace {
        return namespace.clone();
    }
    let Some(first) = gateways.first().or_else(|| of_api.first()) else { return "default".into() };
    let namespace = &first.metadata.namespace;
    if let Some(other) = gateways.iter().find(|gateway| gateway.metadata.namespace != *namespace) {
        let message = format!(
            "Gateways are in the namespaces {namespace} and {}: secrets are looked for in {namespace} alone",
            other.metadata.namespace
        );
        problems.warning(&other.metadata.place, message);
    }
    namespace.clone()
}

/// The port behind the port of a Service in front of the gateway, if the labels say that there is one.
fn listening_port(number: u32, objects: &Objects, options: &Options, namespace: &str) -> u32 {
    let Some(labels) = &options.labels else { return number };
    let services = objects.services.iter().filter(|service| {
        service.metadata.namespace == namespace
            && !service.selector.is_empty()
            && service.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    });
    let mut ports = services.flat_map(|service| &service.ports).filter(|port| port.number == number);
    match ports.next().map(|port| &port.target) {
        Some(TargetPort::Number(target)) => *target,
        _ => number,
    }
}
