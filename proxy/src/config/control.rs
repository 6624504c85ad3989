//! The control side: takes what the control plane says, compiles it and publishes it to the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use route::RouteTable;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use xds_client::{Event, Resource, ResourceType};
use xds_model::route::RouteConfiguration;
use xds_model::secret::SecretContent;
use xds_model::tls::{SecretReference, SecretServer};

use super::clusters::{Changed, Clusters};
use super::dns::{DnsResolver, Resolved};
use super::extensions::Extensions;
use super::listeners::{Listeners, Tools};
use super::publish::Publisher;
use super::secrets::SecretStore;
use super::status::{ConfigStatus, Problem, SecretStatus};
use crate::identity::SecretUpdate;
use crate::listener::socket::SocketTable;
use crate::telemetry::access_log::AccessLogSinks;
use crate::tls::SessionTickets;

/// How often a listener is tried again that could not be served.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What control needs from the rest of the process.
#[derive(Debug)]
pub struct ControlOptions {
    /// To the workers.
    pub publisher: Publisher,
    /// How many workers there are.
    pub workers: usize,
    /// Listening sockets.
    pub sockets: SocketTable,
    /// Where access logs go.
    pub logs: Arc<AccessLogSinks>,
    /// For TLS servers.
    pub tickets: SessionTickets,
    /// Addresses of DNS clusters come back through the channel that this sends to.
    pub resolver: DnsResolver,
    /// Told which secrets this process has to serve for itself.
    pub agent_secrets: watch::Sender<BTreeSet<String>>,
}

/// What control is fed with.
#[derive(Debug)]
pub struct ControlInputs {
    /// From the control plane, in batches that belong together.
    pub events: mpsc::Receiver<Vec<Event>>,
    /// Addresses of DNS clusters.
    pub resolved: mpsc::Receiver<Resolved>,
    /// Secrets that this process serves for itself.
    pub agent_secrets: mpsc::Receiver<SecretUpdate>,
    /// Questions for what is in force.
    pub questions: mpsc::Receiver<oneshot::Sender<ConfigStatus>>,
}

/// All configuration in force. One task owns it; nothing in it waits.
#[derive(Debug)]
pub struct Control {
    publisher: Publisher,
    tools: Tools,
    resolver: DnsResolver,
    agent_secrets: watch::Sender<BTreeSet<String>>,
    secrets: SecretStore,
    listeners: Listeners,
    clusters: Clusters,
    tables: HashMap<Arc<str>, Arc<RouteTable>>,
    problems: BTreeMap<(ResourceType, String), String>,
}

impl Control {
    /// With nothing in force.
    pub fn new(options: ControlOptions) -> Self {
        let tools = Tools {
            workers: options.workers,
            sockets: options.sockets,
            tickets: options.tickets,
            logs: options.logs,
            extensions: Extensions::default(),
        };
        Self {
            publisher: options.publisher,
            tools,
            resolver: options.resolver,
            agent_secrets: options.agent_secrets,
            secrets: SecretStore::default(),
            listeners: Listeners::default(),
            clusters: Clusters::default(),
            tables: HashMap::new(),
            problems: BTreeMap::new(),
        }
    }

    /// Applies what arrives until the sender of events goes away.
    pub async fn run(mut self, mut inputs: ControlInputs) {
        let mut retry = tokio::time::interval(RETRY_INTERVAL);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = inputs.events.recv() => match batch {
                    None => return,
                    Some(batch) => {
                        self.apply(batch).await;
                        self.want_agent_secrets();
                    }
                },
                Some(update) = inputs.resolved.recv() => self.resolved(&update),
                Some(update) = inputs.agent_secrets.recv() => self.agent_secret(update),
                _ = retry.tick() => self.retry_failed(),
                Some(answer) = inputs.questions.recv() => {
                    let status = ConfigStatus { is_settled: inputs.events.is_empty(), ..self.status() };
                    // Nobody waits for the answer any more if it cannot be sent.
                    drop(answer.send(status));
                }
            }
        }
    }

    /// Applies events in order. Yields between resources, so that a huge push does not starve the rest of control.
    pub async fn apply(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Upsert(resource) => self.upsert(resource),
                Event::Remove { kind, name } => self.remove(kind, &name),
                // The session has logged these.
                Event::Connected
                | Event::Disconnected { .. }
                | Event::SnapshotFailed { .. }
                | Event::Restored { .. }
                | Event::Synced(_) => {}
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes over a secret that this process serves for itself.
    pub fn agent_secret(&mut self, update: SecretUpdate) {
        let reference = SecretReference { name: update.name, server: SecretServer::Agent };
        match update.content {
            Ok(content) => self.secret(reference, content),
            Err(reason) => {
                tracing::error!(secret = reference.name, "{reason}");
                self.problems.insert((ResourceType::Secret, reference.name), reason);
            }
        }
    }

    /// Tries listeners again that could not be served: a port in use may have become free.
    fn retry_failed(&mut self) {
        for (name, snapshot) in self.listeners.retry_failed(&self.secrets, &mut self.tools) {
            tracing::info!(listener = &*name, "serving at last");
            self.publisher.listener(&name, Some(&snapshot));
        }
    }

    fn resolved(&mut self, update: &Resolved) {
        let changed = self.clusters.resolved(update);
        self.publish_clusters(changed);
    }

    fn upsert(&mut self, resource: Resource) {
        self.problems.remove(&(resource.kind(), resource.name().to_owned()));
        match resource {
            Resource::Cluster(model) => {
                let changed = self.clusters.upsert(model, &self.secrets, &self.resolver);
                self.publish_clusters([changed]);
            }
            Resource::Endpoints(assignment) => {
                let changed = self.clusters.assign(&assignment);
                self.publish_clusters(changed);
            }
            Resource::Route(model) => self.table(&model),
            Resource::Listener(model) => {
                let name: Arc<str> = model.name.as_str().into();
                if let Some(snapshot) = self.listeners.upsert(model, &self.secrets, &mut self.tools) {
                    self.publisher.listener(&name, Some(&snapshot));
                }
            }
            Resource::Secret(secret) => {
                let reference = SecretReference { name: secret.name.clone(), server: SecretServer::Ads };
                self.secret(reference, secret.content.clone());
            }
            Resource::ExtensionConfig(config) => {
                self.tools.extensions.insert(config.clone());
                self.extension_changed(&config.name);
            }
        }
    }

    fn remove(&mut self, kind: ResourceType, name: &Arc<str>) {
        match kind {
            ResourceType::Cluster => {
                self.clusters.remove(name);
                self.publisher.cluster(name, None);
            }
            ResourceType::Endpoints => self.clusters.unassign(name),
            ResourceType::Listener => {
                self.listeners.remove(name);
                self.publisher.listener(name, None);
            }
            ResourceType::Route => {
                self.tables.remove(name);
                self.publisher.routes(name, None);
            }
            // A secret that vanished by mistake must not take a site down: it is kept for as long as anything names it.
            ResourceType::Secret => {
                let reference = SecretReference { name: name.to_string(), server: SecretServer::Ads };
                let mut named = self.listeners.secrets().chain(self.clusters.secrets());
                if !named.any(|named| *named == reference) {
                    self.secrets.remove(&reference);
                }
            }
            ResourceType::ExtensionConfig => {
                self.tools.extensions.remove(name);
                self.extension_changed(name);
            }
        }
        self.problems.remove(&(kind, name.to_string()));
    }

    fn table(&mut self, model: &RouteConfiguration) {
        let name: Arc<str> = model.name.as_str().into();
        let compiled = match self.tables.get(&name) {
            Some(old) => old.update(model),
            None => RouteTable::compile(model),
        };
        match compiled {
            Ok(table) => {
                let table = Arc::new(table);
                self.publisher.routes(&name, Some(&table));
                self.tables.insert(name, table);
            }
            Err(error) => {
                tracing::error!("{error}");
                self.problems.insert((ResourceType::Route, model.name.clone()), error.to_string());
            }
        }
    }

    fn secret(&mut self, reference: SecretReference, content: SecretContent) {
        self.problems.remove(&(ResourceType::Secret, reference.name.clone()));
        match self.secrets.insert(reference.clone(), content) {
            Ok(true) => {}
            Ok(false) => return,
            Err(invalid) => {
                tracing::error!("a new secret is not used, the last one stays: {invalid}");
                self.problems.insert((ResourceType::Secret, reference.name), invalid.to_string());
                return;
            }
        }
        let clusters = self.clusters.secret_changed(&reference, &self.secrets);
        self.publish_clusters(clusters);
        for (name, snapshot) in self.listeners.secret_changed(&reference, &self.secrets, &mut self.tools) {
            self.publisher.listener(&name, Some(&snapshot));
        }
    }

    fn extension_changed(&mut self, name: &str) {
        for (name, snapshot) in self.listeners.extension_changed(name, &self.secrets, &mut self.tools) {
            self.publisher.listener(&name, Some(&snapshot));
        }
    }

    fn publish_clusters(&self, changed: impl IntoIterator<Item = Changed>) {
        for (name, snapshot) in changed {
            self.publisher.cluster(&name, Some(&snapshot));
        }
    }

    /// Tells the agent's part of this process which secrets are named.
    fn want_agent_secrets(&mut self) {
        let named: BTreeSet<&str> =
            self.listeners.secrets().chain(self.clusters.secrets()).map(|reference| reference.name.as_str()).collect();
        self.problems.retain(|(kind, name), _| *kind != ResourceType::Secret || named.contains(name.as_str()));
        let of_agent = |reference: &&SecretReference| reference.server == SecretServer::Agent;
        let named = self.listeners.secrets().chain(self.clusters.secrets()).filter(of_agent);
        let wanted: BTreeSet<String> = named.map(|reference| reference.name.clone()).collect();
        // What a file held once must not come back when it is named again.
        self.secrets.retain_files(|name| wanted.contains(name));
        self.agent_secrets.send_if_modified(|current| {
            let changed = *current != wanted;
            *current = wanted;
            changed
        });
    }

    /// What is in force.
    pub fn status(&self) -> ConfigStatus {
        let table = |table: &Arc<RouteTable>| {
            let hosts = table.virtual_hosts();
            (Arc::from(table.name()), hosts.len(), hosts.iter().map(|host| host.routes().len()).sum())
        };
        let mut route_tables: Vec<_> = self.tables.values().map(table).collect();
        route_tables.sort();
        let mut secrets: Vec<_> =
            self.secrets.iter().map(|(reference, content)| secret_status(reference, content)).collect();
        secrets.sort_by(|left, right| left.name.cmp(&right.name));
        ConfigStatus {
            is_settled: true,
            listeners: self.listeners.status(&self.publisher.behind()),
            listener_failures: self.listeners.failures(),
            clusters: self.clusters.status(),
            route_tables,
            secrets,
            extension_reloads: self.tools.extensions.reloads().clone(),
            problems: self.problems.iter().map(problem).collect(),
        }
    }
}

fn problem(((kind, name), reason): (&(ResourceType, String), &String)) -> Problem {
    Problem { kind: *kind, name: name.clone(), reason: reason.clone() }
}

fn secret_status(reference: &SecretReference, content: &SecretContent) -> SecretStatus {
    let (certificates, has_key) = match content {
        SecretContent::Certificate(certificate) => (certificate.chain.clone(), true),
        SecretContent::Authorities(authorities) => (authorities.certificates.clone(), false),
    };
    SecretStatus { name: reference.name.clone(), certificates, has_key }
}

#[cfg(test)]
mod tests;
