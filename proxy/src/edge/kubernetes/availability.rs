//! Which clusters have endpoints, from what the control plane sends: nobody else has to be asked for them.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use tokio::sync::watch;
use xds_client::resource::Resource;
use xds_client::{Event, ResourceType};
use xds_model::cluster::Discovery;
use xds_model::endpoint::{ClusterLoadAssignment, EndpointAddress, Health};

use super::super::address_range::AddressRange;

/// Follows clusters and endpoints.
#[derive(Debug)]
pub struct Availability {
    /// Endpoints that stand for other edges do not count: they have the service, not we.
    edges: AddressRange,
    clusters: HashMap<String, Endpoints>,
    /// By the name for EDS.
    assigned: HashMap<String, bool>,
    available: watch::Sender<BTreeSet<String>>,
}

#[derive(Debug)]
enum Endpoints {
    /// By EDS, under this name.
    Named(String),
    /// In the cluster itself.
    Own(bool),
}

impl Availability {
    /// Of no clusters yet. Returns where names of those with endpoints are seen.
    pub(super) fn new(edges: AddressRange) -> (Self, watch::Receiver<BTreeSet<String>>) {
        let (available, seen) = watch::channel(BTreeSet::new());
        (Self { edges, clusters: HashMap::new(), assigned: HashMap::new(), available }, seen)
    }

    /// Takes note of what was told.
    pub(crate) fn observe(&mut self, events: &[Event]) {
        let mut changed = false;
        for event in events {
            changed |= match event {
                Event::Upsert(Resource::Cluster(cluster)) => {
                    let endpoints = match &cluster.discovery {
                        Discovery::Eds(name) => Endpoints::Named(name.clone()),
                        Discovery::Static(endpoints) => Endpoints::Own(self.has_endpoints(endpoints)),
                        Discovery::StrictDns(dns) | Discovery::LogicalDns(dns) => {
                            Endpoints::Own(self.has_endpoints(&dns.endpoints))
                        }
                    };
                    self.clusters.insert(cluster.name.clone(), endpoints);
                    true
                }
                Event::Upsert(Resource::Endpoints(endpoints)) => {
                    let is_assigned = self.has_endpoints(endpoints);
                    self.assigned.insert(endpoints.cluster_name.clone(), is_assigned) != Some(is_assigned)
                }
                Event::Remove { kind: ResourceType::Cluster, name } => self.clusters.remove(&**name).is_some(),
                Event::Remove { kind: ResourceType::Endpoints, name } => self.assigned.remove(&**name).is_some(),
                _ => false,
            };
        }
        if changed {
            self.publish();
        }
    }

    fn has_endpoints(&self, assignment: &ClusterLoadAssignment) -> bool {
        let mut endpoints = assignment.localities.iter().flat_map(|locality| &locality.endpoints);
        endpoints.any(|endpoint| {
            matches!(endpoint.health, Health::Healthy | Health::Degraded)
                && !matches!(endpoint.address, EndpointAddress::Socket(address) if self.edges.holds(address.ip()))
        })
    }

    fn publish(&self) {
        self.available.send_if_modified(|available| {
            let before = available.len();
            available.retain(|name| self.clusters.contains_key(name));
            let mut changed = available.len() != before;
            for (name, endpoints) in &self.clusters {
                let has_endpoints = match endpoints {
                    Endpoints::Named(name) => self.assigned.get(name).copied().unwrap_or(false),
                    Endpoints::Own(has_endpoints) => *has_endpoints,
                };
                if has_endpoints != available.contains(name) {
                    changed = true;
                    match has_endpoints {
                        true => drop(available.insert(name.clone())),
                        false => drop(available.remove(name)),
                    }
                }
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use xds_local::{LocalControlPlane, Options};

    use super::*;

    /// What is sent for two services, one of which is that of another edge.
    fn events() -> Vec<Event> {
        let entry = |name: &str, address: &str| {
            format!(
                "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}}}]
"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let text = entry("here", "10.0.0.1") + &entry("there", "127.98.0.1");
        std::fs::write(folder.path().join("entries.yaml"), text).unwrap();
        let generated = LocalControlPlane::new(folder.path(), Options::default()).load().unwrap();
        let decode = |resource: &xds_local::Resource| {
            let kind = ResourceType::ALL.into_iter().find(|kind| kind.type_url() == resource.type_url)?;
            Some(Event::Upsert(Resource::decode(kind, &resource.name, &resource.message).ok()?.0))
        };
        generated.resources.iter().filter_map(decode).collect()
    }

    #[test]
    fn a_cluster_has_endpoints_while_any_is_here() {
        let range = AddressRange::try_from("127.98.0.0/16".to_owned()).unwrap();
        let (mut availability, available) = Availability::new(range);
        let mut events = events();
        availability.observe(&events);
        let names = || available.borrow().iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(), ["outbound|80||here.test"]);

        for event in &mut events {
            if let Event::Upsert(Resource::Endpoints(endpoints)) = event {
                let mut none = ClusterLoadAssignment::clone(endpoints);
                none.localities.clear();
                *event = Event::Upsert(Resource::Endpoints(none.into()));
            }
        }
        availability.observe(&events);
        assert_eq!(names(), Vec::<String>::new());
        availability.observe(&self::events());
        assert_eq!(names().len(), 1);
        let gone = Event::Remove { kind: ResourceType::Cluster, name: "outbound|80||here.test".into() };
        availability.observe(&[gone]);
        assert_eq!(names(), Vec::<String>::new());
    }
}
