//! The services that the gateway can see, from Kubernetes Services and ServiceEntries.

mod from_entries;
mod from_kubernetes;

use std::collections::BTreeMap;

use crate::mesh::is_visible;
use crate::mesh::service::{Endpoint, Registry, Service};
use crate::object::Objects;

/// Istio's default name of the cluster that endpoints are in.
pub(crate) const CLUSTER_ID: &str = "Kubernetes";
/// Istio's default name of the domain of trust.
pub(crate) const TRUST_DOMAIN: &str = "cluster.local";

/// Services by host name.
pub(crate) struct Services {
    by_host: BTreeMap<String, Service>,
    /// Services that another one of the same host name hides from the gateway, by host name and namespace.
    hidden: BTreeMap<(String, String), Service>,
}

impl Services {
    /// Services of `objects` that can be seen from `namespace`.
    pub(crate) fn new(objects: &Objects, namespace: &str) -> Self {
        let mut all = from_kubernetes::services(objects);
        all.extend(from_entries::services(objects));
        all.sort_by(|one, other| age(one).cmp(&age(other)));
        pool_endpoints(&mut all);
        let mut services = Self { by_host: BTreeMap::new(), hidden: BTreeMap::new() };
        let is_visible = |service: &Service| {
            let unrestricted = service.export_to.is_empty();
            unrestricted || is_visible(&service.export_to, namespace)
        };
        all.into_iter().filter(is_visible).for_each(|service| services.add(service));
        services
    }

    /// The service of a host, seen by an object in `namespace`, whose own services come first.
    pub(crate) fn find(&self, hostname: &str, namespace: &str) -> Option<&Service> {
        let own = self.hidden.get(&(hostname.to_owned(), namespace.to_owned()));
        own.or_else(|| self.by_host.get(hostname))
    }

    /// The service that clusters of a host are made from.
    pub(crate) fn get(&self, hostname: &str) -> Option<&Service> {
        self.by_host.get(hostname)
    }

    /// By host name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Service> {
        self.by_host.values()
    }

    /// Of services with one host name the oldest counts, but Kubernetes' own before others; ports of services that are otherwise
    /// alike come together.
    fn add(&mut self, service: Service) {
        let Some(known) = self.by_host.get_mut(&service.hostname) else {
            self.by_host.insert(service.hostname.clone(), service);
            return;
        };
        match (known.registry, service.registry) {
            (Registry::ServiceEntry, Registry::Kubernetes) => {
                let replaced = std::mem::replace(known, service);
                self.hide(replaced);
            }
            (Registry::ServiceEntry, Registry::ServiceEntry) if can_merge(known, &service) => {
                for port in service.ports {
                    if known.port(port.number).is_none() {
                        known.ports.push(port);
                    }
                }
            }
            _ => self.hide(service),
        }
    }

    fn hide(&mut self, service: Service) {
        let key = (service.hostname.clone(), service.namespace.clone());
        if self.by_host.get(&service.hostname).is_none_or(|known| known.namespace != service.namespace) {
            self.hidden.entry(key).or_insert(service);
        }
    }
}

fn age(service: &Service) -> (&str, &str, &str) {
    (&service.created, &service.name, &service.namespace)
}

fn can_merge(one: &Service, other: &Service) -> bool {
    one.namespace == other.namespace && one.resolution == other.resolution && one.labels == other.labels
}

/// Services of one host and namespace share their endpoints.
fn pool_endpoints(services: &mut [Service]) {
    let mut pools: BTreeMap<(String, String), Vec<Endpoint>> = BTreeMap::new();
    for service in services.iter() {
        let key = (service.hostname.clone(), service.namespace.clone());
        pools.entry(key).or_default().extend(service.endpoints.iter().cloned());
    }
    for service in services {
        if let Some(pool) = pools.get(&(service.hostname.clone(), service.namespace.clone())) {
            service.endpoints.clone_from(pool);
        }
    }
}

/// The SPIFFE name of a service account.
fn identity(namespace: &str, service_account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{service_account}")
}
