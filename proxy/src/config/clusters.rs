//! Clusters that something refers to: model, endpoints and secrets to snapshot.

use std::sync::Arc;
use std::time::Instant;

use balance::Endpoints;
use hashbrown::{HashMap, HashSet};
use xds_model::cluster::{Cluster, Discovery, TransportSocket};
use xds_model::endpoint::ClusterLoadAssignment;
use xds_model::tls::{SecretReference, UpstreamTls};

use super::dns::{DnsResolver, DnsTask, Resolved};
use super::secrets::SecretStore;
use super::snapshot::{ClientTransport, ClusterSnapshot};
use super::status::ClusterStatus;
use crate::tls::{ClientTls, TlsError, named_secrets};

/// All referenced clusters by name, and endpoints by EDS name.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    known: HashMap<Arc<str>, Entry>,
    /// Endpoints by EDS name, which may arrive before their cluster.
    assignments: HashMap<Arc<str>, Arc<Endpoints>>,
    /// Who names which secret: most clusters of a mesh name the same two.
    secret_users: HashMap<SecretReference, HashSet<Arc<str>>>,
}

#[derive(Debug)]
struct Entry {
    model: Arc<Cluster>,
    endpoints: Option<Arc<Endpoints>>,
    transports: Vec<ClientTransport>,
    /// Keeps looking names up for as long as the cluster is known.
    resolution: Option<DnsTask>,
}

/// A cluster that the workers get anew.
pub(super) type Changed = (Arc<str>, Arc<ClusterSnapshot>);

impl Clusters {
    /// Takes over a new version.
    pub(super) fn upsert(&mut self, model: Arc<Cluster>, secrets: &SecretStore, resolver: &DnsResolver) -> Changed {
        let name: Arc<str> = model.name.as_str().into();
        let old = self.forget(&name);
        for secret in cluster_secrets(&model) {
            self.secret_users.entry(secret.clone()).or_default().insert(name.clone());
        }
        let before = old.as_ref().and_then(|old| old.endpoints.clone());
        let unchanged_discovery = old.filter(|old| old.model.discovery == model.discovery);
        let (endpoints, resolution) = match (&model.discovery, unchanged_discovery) {
            (_, Some(old)) => (old.endpoints, old.resolution),
            (Discovery::Eds(service), None) => (self.assignments.get(service.as_str()).cloned(), None),
            (Discovery::Static(assignment), None) => {
                (Some(Arc::new(Endpoints::compile_after(assignment, before.as_deref(), Instant::now()))), None)
            }
            (Discovery::StrictDns(dns), None) => (None, Some(resolver.watch(name.clone(), dns.clone(), false))),
            (Discovery::LogicalDns(dns), None) => (None, Some(resolver.watch(name.clone(), dns.clone(), true))),
        };
        let transports = transports(&model, secrets);
        let entry = Entry { model, endpoints, transports, resolution };
        let snapshot = entry.snapshot();
        self.known.insert(name.clone(), entry);
        (name, snapshot)
    }

    /// Takes over endpoints from EDS, and returns the clusters that use them.
    pub(super) fn assign(&mut self, assignment: &ClusterLoadAssignment) -> Vec<Changed> {
        let service: Arc<str> = assignment.cluster_name.as_str().into();
        let known = self.assignments.get(&service).map(Arc::as_ref);
        let endpoints = Arc::new(Endpoints::compile_after(assignment, known, Instant::now()));
        self.assignments.insert(service.clone(), endpoints.clone());
        let uses = |entry: &Entry| matches!(&entry.model.discovery, Discovery::Eds(name) if **name == *service);
        // Names are equal for everything that istiod sends, which saves looking at every cluster.
        if let Some(entry) = self.known.get_mut(&service).filter(|entry| uses(entry)) {
            entry.endpoints = Some(endpoints);
            return vec![(service, entry.snapshot())];
        }
        let mut changed = Vec::new();
        for (name, entry) in self.known.iter_mut().filter(|(_, entry)| uses(entry)) {
            entry.endpoints = Some(endpoints.clone());
            changed.push((name.clone(), entry.snapshot()));
        }
        changed
    }

    /// Takes over addresses of a DNS cluster.
    pub(super) fn resolved(&mut self, Resolved { cluster, number, assignment }: &Resolved) -> Option<Changed> {
        let entry = self.known.get_mut(cluster)?;
        // The cluster may have become another while the answer was on its way.
        entry.resolution.as_ref().filter(|task| task.number() == *number)?;
        let known = entry.endpoints.as_deref();
        entry.endpoints = Some(Arc::new(Endpoints::compile_after(assignment, known, Instant::now())));
        Some((cluster.clone(), entry.snapshot()))
    }

    /// Builds those anew that name the secret, and returns them.
    pub(super) fn secret_changed(&mut self, secret: &SecretReference, secrets: &SecretStore) -> Vec<Changed> {
        let mut changed = Vec::new();
        for name in self.secret_users.get(secret).into_iter().flatten() {
            if let Some(entry) = self.known.get_mut(name) {
                entry.transports = transports(&entry.model, secrets);
                changed.push((name.clone(), entry.snapshot()));
            }
        }
        changed
    }

    /// Forgets a cluster.
    pub(super) fn remove(&mut self, name: &str) {
        drop(self.forget(name));
    }

    /// Forgets endpoints that no cluster asks for any more.
    pub(super) fn unassign(&mut self, service: &str) {
        self.assignments.remove(service);
    }

    /// The secrets that anything names.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        self.secret_users.keys()
    }

    /// For people.
    pub(super) fn status(&self) -> Vec<ClusterStatus> {
        let status = |(name, entry): (&Arc<str>, &Entry)| ClusterStatus {
            name: name.clone(),
            endpoints: entry.endpoints.clone(),
        };
        let mut all: Vec<_> = self.known.iter().map(status).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    fn forget(&mut self, name: &str) -> Option<Entry> {
        let entry = self.known.remove(name)?;
        for secret in cluster_secrets(&entry.model) {
            if let Some(users) = self.secret_users.get_mut(secret) {
                users.remove(name);
                if users.is_empty() {
                    self.secret_users.remove(secret);
                }
            }
        }
        Some(entry)
    }
}

impl Entry {
    fn snapshot(&self) -> Arc<ClusterSnapshot> {
        Arc::new(ClusterSnapshot {
            model: self.model.clone(),
            endpoints: self.endpoints.clone(),
            transports: self.transports.clone(),
        })
    }
}

fn sockets(cluster: &Cluster) -> impl Iterator<Item = &TransportSocket> {
    cluster.transport.matches.iter().map(|candidate| &candidate.socket).chain([&cluster.transport.default])
}

fn tls_of(socket: &TransportSocket) -> Option<&UpstreamTls> {
    match socket {
        TransportSocket::RawBuffer => None,
        TransportSocket::Tls(tls) => Some(tls),
    }
}

fn cluster_secrets(cluster: &Cluster) -> impl Iterator<Item = &SecretReference> {
    sockets(cluster).filter_map(tls_of).flat_map(|tls| named_secrets(&tls.certificates, tls.validation.as_ref()))
}

/// One for each transport socket match, then the default.
fn transports(cluster: &Cluster, secrets: &SecretStore) -> Vec<ClientTransport> {
    sockets(cluster)
        .map(|socket| match tls_of(socket).map(|tls| ClientTls::prepare(tls, secrets)) {
            None => ClientTransport::Raw,
            Some(Ok(client)) => ClientTransport::Tls(Arc::new(client)),
            Some(Err(TlsError::Waiting(secret))) => ClientTransport::Waiting(secret.into()),
            Some(Err(invalid @ TlsError::Invalid { .. })) => {
                tracing::error!(cluster = cluster.name, "cannot connect: {invalid}");
                ClientTransport::Waiting(invalid.to_string().into())
            }
        })
        .collect()
}
