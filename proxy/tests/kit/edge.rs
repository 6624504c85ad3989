//! A gateway in this process: control and workers, fed with resources as the control plane sends them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use balance::Limit;
use selvedge::bootstrap::DrainSettings;
use selvedge::config::dns::DnsResolver;
use selvedge::config::publish::{Mailbox, Publisher};
use selvedge::config::{ConfigStatus, Control, ControlInputs, ControlOptions};
use selvedge::drain::Drain;
use selvedge::http::MinimumRate;
use selvedge::io::Driver;
use selvedge::listener::socket::SocketTable;
use selvedge::overload::{ConnectionLimitSettings, Overload};
use selvedge::telemetry::access_log::AccessLogSinks;
use selvedge::tls::SessionTickets;
use selvedge::worker::{Process, Workers, WorkersOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use xds_client::{Event, Resource, ResourceType};
use xds_model::cluster::Cluster;
use xds_model::endpoint::ClusterLoadAssignment;
use xds_model::http::ExtensionConfig;
use xds_model::listener::Listener;
use xds_model::route::RouteConfiguration;
use xds_model::secret::Secret;

use super::wait::{eventually, within};

/// The gateway under test.
pub(crate) struct Edge {
    pub(crate) drain: Drain,
    pub(crate) workers: Workers,
    process: Arc<Process>,
    events: mpsc::Sender<Vec<Event>>,
    questions: mpsc::Sender<oneshot::Sender<ConfigStatus>>,
    _control: JoinSet<()>,
}

/// How the gateway is to run.
pub(crate) struct Options {
    pub(crate) workers: usize,
    /// What connections get whose listener or chain is gone, and all at the end.
    pub(crate) drain: Duration,
    /// Blocks of request bodies that may be kept for another try.
    pub(crate) replay_blocks: u32,
    /// How many connections there may be.
    pub(crate) connections: ConnectionLimitSettings,
    /// What clients must send and take of bodies.
    pub(crate) minimum_rate: Option<MinimumRate>,
}

impl Default for Options {
    /// With two workers, and a drain that is longer than any test.
    fn default() -> Self {
        Self {
            workers: 2,
            drain: Duration::from_secs(600),
            replay_blocks: u32::MAX,
            connections: ConnectionLimitSettings::default(),
            minimum_rate: None,
        }
    }
}

impl Edge {
    /// With so many workers.
    pub(crate) fn start(workers: usize) -> Self {
        Self::with(Options { workers, ..Options::default() })
    }

    pub(crate) fn with(Options { workers, drain, replay_blocks, connections, minimum_rate }: Options) -> Self {
        let mailboxes: Vec<Arc<Mailbox>> = (0..workers).map(|_| Arc::default()).collect();
        let publisher = Publisher::new(mailboxes.iter().cloned());
        let mut process = Process::with_limits([10, 1, 2, 3].into(), "edge-1".to_owned(), &connections);
        process.minimum_rate = minimum_rate;
        process.driver = Driver::of_tests();
        process.replay_limit = Limit::new(replay_blocks);
        let process = Arc::new(process);
        let settings = DrainSettings {
            drain_duration: drain,
            termination_drain_duration: drain,
            exit_on_zero_active_connections: false,
            minimum_drain_duration: Duration::ZERO,
        };
        let phase = Drain::default();
        let options =
            WorkersOptions { mailboxes, process: process.clone(), drain: phase.subscribe(), settings, edge: None };
        let running = Workers::start(options).unwrap();
        let (resolved_sender, resolved) = mpsc::channel(8);
        let (_agent_sender, agent_secrets) = mpsc::channel(1);
        let (events, event_receiver) = mpsc::channel(8);
        let (questions, question_receiver) = mpsc::channel(8);
        let control = Control::new(ControlOptions {
            publisher,
            workers,
            sockets: SocketTable::default(),
            logs: AccessLogSinks::start().unwrap(),
            tickets: SessionTickets::new().unwrap(),
            resolver: DnsResolver::new(resolved_sender).unwrap(),
            agent_secrets: watch::Sender::new(BTreeSet::new()),
        });
        let inputs = ControlInputs { events: event_receiver, resolved, agent_secrets, questions: question_receiver };
        let mut tasks = JoinSet::new();
        tasks.spawn(control.run(inputs));
        Self { drain: phase, workers: running, process, events, questions, _control: tasks }
    }

    pub(crate) async fn cluster(&self, cluster: Cluster) {
        self.upsert(Resource::Cluster(Arc::new(cluster))).await;
    }

    pub(crate) async fn endpoints(&self, assignment: ClusterLoadAssignment) {
        self.upsert(Resource::Endpoints(Arc::new(assignment))).await;
    }

    pub(crate) async fn routes(&self, table: RouteConfiguration) {
        self.upsert(Resource::Route(Arc::new(table))).await;
    }

    pub(crate) async fn extension(&self, config: ExtensionConfig) {
        self.upsert(Resource::ExtensionConfig(Arc::new(config))).await;
    }

    pub(crate) async fn remove_extension(&self, name: &str) {
        self.send(Event::Remove { kind: ResourceType::ExtensionConfig, name: name.into() }).await;
    }

    /// Sends a listener and returns where it listens. It may take a moment until every worker has heard of it.
    pub(crate) async fn listener(&self, listener: Listener) -> SocketAddr {
        let name = listener.name.clone();
        self.upsert(Resource::Listener(Arc::new(listener))).await;
        let status = self.status().await;
        let found = status.listeners.iter().find(|status| status.name == name).unwrap();
        assert_ne!(found.address.port(), 0, "{:?}", found.state);
        found.address
    }

    pub(crate) async fn secret(&self, secret: Secret) {
        self.upsert(Resource::Secret(Arc::new(secret))).await;
    }

    pub(crate) async fn remove_cluster(&self, name: &str) {
        self.send(Event::Remove { kind: ResourceType::Cluster, name: name.into() }).await;
    }

    pub(crate) async fn remove_listener(&self, name: &str) {
        self.send(Event::Remove { kind: ResourceType::Listener, name: name.into() }).await;
    }

    /// What there is too much of.
    pub(crate) fn overload(&self) -> &Overload {
        &self.process.overload
    }

    /// The sum of all counters whose name ends like this; there must be one.
    pub(crate) fn count(&self, suffix: &str) -> u64 {
        self.find_count(suffix).unwrap_or_else(|| panic!("no counter {suffix}"))
    }

    /// Waits until a counter has this value.
    pub(crate) async fn counts(&self, suffix: &str, value: u64) {
        eventually(&format!("{suffix} is {value}"), async || self.find_count(suffix) == Some(value)).await;
    }

    /// Ends the gateway, which must not have panicked anywhere.
    pub(crate) async fn stop(self) {
        assert_eq!(self.count("server.connection_panics"), 0);
        let stopped = self.workers.stop(Duration::from_secs(20));
        assert_eq!(within("the end of the workers", stopped).await, Vec::<String>::new());
    }

    fn find_count(&self, suffix: &str) -> Option<u64> {
        let all = self.process.registry.collect();
        let matching = all.iter().filter(|(name, _)| name.ends_with(suffix));
        matching.map(|(_, (_, value))| *value).reduce(|sum, value| sum + value)
    }

    async fn upsert(&self, resource: Resource) {
        self.send(Event::Upsert(resource)).await;
    }

    pub(crate) async fn status(&self) -> ConfigStatus {
        let (answer, received) = oneshot::channel();
        self.questions.send(answer).await.unwrap();
        within("the status", received).await.unwrap()
    }

    /// Returns when control has taken the event; it answers questions only when it is done with it.
    async fn send(&self, event: Event) {
        self.events.send(vec![event]).await.unwrap();
        eventually("control takes the event", async || self.events.capacity() == self.events.max_capacity()).await;
        let status = self.status().await;
        assert_eq!(status.problems, []);
    }
}
