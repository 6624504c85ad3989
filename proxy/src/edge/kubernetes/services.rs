//! The services of a cluster that may be offered to other edges.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use xds_local::Service;

use super::super::config::EdgeConfig;
use super::super::control::Services;
use super::super::export::is_selected;
use super::super::istio::cluster_name;
use super::super::known_file::KnownFile;
use super::objects::{Entry, KubernetesService};
use crate::kubernetes::{Key, Objects};

/// What is offered is remembered here: after a restart it is there before the API server has answered, or while it is away.
const FILE: &str = "known-services.json";

/// What they are made of.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) services: Objects<KubernetesService>,
    pub(super) entries: Objects<Entry>,
    /// Names of clusters that have endpoints.
    pub(super) available: watch::Receiver<BTreeSet<String>>,
    /// The end of names of Services: `cluster.local`.
    pub(super) domain: String,
    /// Says what may be offered.
    pub(super) config: watch::Receiver<Arc<EdgeConfig>>,
}

/// The file with those that were known before.
#[derive(Debug)]
pub(super) struct Remembered {
    file: KnownFile,
    services: Vec<Service>,
}

impl Remembered {
    /// Of an edge's folder. A file that cannot be read is as none: the API server tells all of it again.
    pub(super) fn open(folder: &Path) -> Self {
        let file = KnownFile::new(folder, FILE);
        Self { services: file.read().unwrap_or_default(), file }
    }

    fn keep(&mut self, services: &[Service]) {
        // Who has endpoints is told by whoever has them, even after a restart.
        let services: Vec<Service> =
            services.iter().map(|service| Service { has_endpoints: false, ..service.clone() }).collect();
        if self.services != services && self.file.write(&services) {
            self.services = services;
        }
    }
}

impl Sources {
    /// Says what may be offered, whenever that changes, until it is aborted or loses whoever says what there is.
    pub(super) async fn follow(mut self, mut remembered: Remembered, offered: watch::Sender<Services>) {
        loop {
            let services = self.now(&remembered);
            remembered.keep(&services.known);
            offered.send_if_modified(|before| {
                let changed = *before != services;
                *before = services;
                changed
            });
            let changed = tokio::select! {
                changed = self.services.changed() => changed,
                changed = self.entries.changed() => changed,
                changed = self.available.changed() => changed,
                changed = self.config.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// As of now. What the API server has not told yet is as it was before.
    pub(super) fn now(&mut self, remembered: &Remembered) -> Services {
        let before = |is_kubernetes: bool| {
            remembered.services.iter().filter(move |service| service.is_kubernetes == is_kubernetes).cloned()
        };
        let (services, entries) = (self.services.borrow_and_update(), self.entries.borrow_and_update());
        let are_all = services.is_some() && entries.is_some();
        let mut all: Vec<Service> = match &*services {
            Some(services) => services.iter().map(|(key, service)| of_service(key, service, &self.domain)).collect(),
            None => before(true).collect(),
        };
        match &*entries {
            Some(entries) => all.extend(entries.iter().flat_map(|((namespace, _), entry)| of_entry(namespace, entry))),
            None => all.extend(before(false)),
        }
        let (available, config) = (self.available.borrow_and_update(), self.config.borrow_and_update());
        all.retain(|service| !service.ports.is_empty() && is_selected(service, &config.export));
        for service in &mut all {
            let host = &service.host;
            service.has_endpoints =
                service.ports.iter().any(|port| available.contains(&cluster_name(port.number, host)));
        }
        Services { known: all.into(), are_all }
    }
}

fn of_service((namespace, name): &Key, service: &KubernetesService, domain: &str) -> Service {
    Service {
        host: format!("{name}.{namespace}.svc.{domain}"),
        name: name.clone(),
        namespace: namespace.clone(),
        is_kubernetes: true,
        labels: service.labels.clone(),
        ports: service.ports.clone(),
        datagrams: Vec::new(),
        addresses: BTreeSet::new(),
        has_endpoints: false,
    }
}

/// Those of patterns and outside of the mesh are nobody's to offer.
fn of_entry(namespace: &str, entry: &Entry) -> impl Iterator<Item = Service> {
    let hosts = entry.hosts.iter().filter(|host| entry.is_internal && !host.starts_with('*'));
    hosts.map(move |host| Service {
        host: host.clone(),
        name: host.clone(),
        namespace: namespace.to_owned(),
        is_kubernetes: false,
        labels: entry.labels.clone(),
        ports: entry.ports.clone(),
        datagrams: Vec::new(),
        addresses: BTreeSet::new(),
        has_endpoints: false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::super::config::Selection;
    use super::super::super::labels::IMPORTED_LABEL;
    use super::super::objects;
    use super::*;
    use crate::kubernetes::Followed;

    fn service(value: Value) -> Option<KubernetesService> {
        objects::service(serde_json::from_value(value).unwrap())
    }

    fn entry(value: Value) -> Entry {
        objects::entry(serde_json::from_value(value).unwrap()).unwrap()
    }

    fn all<V>(objects: Vec<(&str, V)>) -> Followed<V> {
        let named = |(name, object)| (("shop".to_owned(), String::from(name)), Arc::new(object));
        Some(objects.into_iter().map(named).collect())
    }

    fn sources(services: Followed<KubernetesService>, entries: Followed<Entry>, available: &[&str]) -> Sources {
        Sources {
            services: watch::channel(services).1,
            entries: watch::channel(entries).1,
            available: watch::channel(available.iter().map(|&name| name.to_owned()).collect()).1,
            domain: "cluster.local".to_owned(),
            config: exporting("shop"),
        }
    }

    fn exporting(namespace: &str) -> watch::Receiver<Arc<EdgeConfig>> {
        let export = vec![Selection { namespaces: vec![namespace.to_owned()], ..Selection::default() }];
        watch::channel(Arc::new(EdgeConfig { export, ..EdgeConfig::default() })).1
    }

    fn ratings() -> KubernetesService {
        let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]);
        let value = json!({"metadata": {"labels": {"app": "ratings"}}, "spec": {"ports": ports, "clusterIP": "None"}});
        service(value).unwrap()
    }

    #[test]
    fn services_and_entries_of_the_mesh_are_offered() {
        let spec = |location: &str| {
            let ports = json!([{"number": 443, "name": "tls", "protocol": "TLS"}]);
            json!({"hosts": ["db.example", "*.db.example"], "location": location, "ports": ports})
        };
        let written = json!({IMPORTED_LABEL: "true"});
        let entries = all(vec![
            ("db", entry(json!({"metadata": {}, "spec": spec("MESH_INTERNAL")}))),
            ("external", entry(json!({"metadata": {}, "spec": spec("MESH_EXTERNAL")}))),
            ("imported", entry(json!({"metadata": {"labels": written}, "spec": spec("MESH_INTERNAL")}))),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let available = ["outbound|80||ratings.shop.svc.cluster.local"];
        let services = sources(all(vec![("ratings", ratings())]), entries, &available);
        let services = { services }.now(&Remembered::open(folder.path())).known;
        let facts: Vec<_> =
            services.iter().map(|one| (one.host.as_str(), one.ports.len(), one.has_endpoints)).collect();
        assert_eq!(facts, [("ratings.shop.svc.cluster.local", 1, true), ("db.example", 1, false)]);
        assert_eq!((&*services[0].ports[0].protocol, &*services[1].ports[0].protocol), ("HTTP", "TLS"));
    }

    #[test]
    fn what_stands_for_another_host_or_has_no_ports_is_not_offered() {
        assert_eq!(service(json!({"metadata": {}, "spec": {"type": "ExternalName", "externalName": "a.test"}})), None);
        let bare = service(json!({"metadata": {}, "spec": {"clusterIP": "10.96.0.1"}})).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut sources = sources(all(vec![("bare", bare)]), Some(BTreeMap::new()), &[]);
        assert_eq!(*sources.now(&Remembered::open(folder.path())).known, []);
    }

    #[test]
    fn what_was_known_before_holds_until_the_api_server_answers() {
        let folder = tempfile::tempdir().unwrap();
        let mut before = Remembered::open(folder.path());
        let known = sources(all(vec![("ratings", ratings())]), Some(BTreeMap::new()), &[]).now(&before);
        before.keep(&known.known);
        let again = Remembered::open(folder.path());
        assert_eq!(sources(None, None, &[]).now(&again), Services { are_all: false, ..known });
        assert_eq!(sources(Some(BTreeMap::new()), None, &[]).now(&again), Services::default());
        let mut others = sources(None, None, &[]);
        others.config = exporting("bank");
        assert_eq!(others.now(&again), Services::default(), "what is offered is said by the rules of now");
        std::fs::write(folder.path().join(FILE), "[{").unwrap();
        assert_eq!(sources(None, None, &[]).now(&Remembered::open(folder.path())), Services::default());
    }
}
