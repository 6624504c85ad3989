//! A gateway in this process: control and workers, fed with resources as the control plane sends them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use selvedge::bootstrap::DrainSettings;
use selvedge::config::dns::DnsResolver;
use selvedge::config::publish::{Mailbox, Publisher};
use selvedge::config::{ConfigStatus, Control, ControlInputs, ControlOptions};
use selvedge::drain::Drain;
use selvedge::telemetry::access_log::AccessLogSinks;
use selvedge::tls::SessionTickets;
use selvedge::worker::{Process, Workers, WorkersOptions};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use xds_client::{Event, Resource, ResourceType};
use xds_model::cluster::Cluster;
use xds_model::listener::Listener;
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

impl Edge {
    /// With two workers and a drain that is longer than any test.
    pub(crate) fn start() -> Self {
        Self::with(2, Duration::from_secs(600))
    }

    /// `drain` is what connections get whose listener or chain is gone.
    pub(crate) fn with(workers: usize, drain: Duration) -> Self {
        let mailboxes: Vec<Arc<Mailbox>> = (0..workers).map(|_| Arc::default()).collect();
        let publisher = Publisher::new(mailboxes.iter().cloned());
        let process = Arc::new(Process::default());
        let settings = DrainSettings {
            drain_duration: drain,
            termination_drain_duration: drain,
            exit_on_zero_active_connections: false,
            minimum_drain_duration: Duration::ZERO,
        };
        let phase = Drain::default();
        let options = WorkersOptions { mailboxes, process: process.clone(), drain: phase.subscribe(), settings };
        let running = Workers::start(options).unwrap();
        let (resolved_sender, resolved) = mpsc::channel(8);
        let (_agent_sender, agent_secrets) = mpsc::channel(1);
        let (events, event_receiver) = mpsc::channel(8);
        let (questions, question_receiver) = mpsc::channel(8);
        let control = Control::new(ControlOptions {
            publisher,
            workers,
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
        self.send(vec![Event::Upsert(Resource::Cluster(Arc::new(cluster)))]).await;
    }

    pub(crate) async fn secret(&self, secret: Secret) {
        self.send(vec![Event::Upsert(Resource::Secret(Arc::new(secret)))]).await;
    }

    /// Sends a listener and returns where it listens. It may take a moment until every worker has heard of it.
    pub(crate) async fn listener(&self, listener: Listener) -> SocketAddr {
        let name = listener.name.clone();
        self.send(vec![Event::Upsert(Resource::Listener(Arc::new(listener)))]).await;
        let status = self.status().await;
        let found = status.listeners.iter().find(|status| status.name == name).unwrap();
        assert_ne!(found.address.port(), 0, "{:?}", found.state);
        found.address
    }

    pub(crate) async fn remove_listener(&self, name: &str) {
        self.send(vec![Event::Remove { kind: ResourceType::Listener, name: name.into() }]).await;
    }

    pub(crate) async fn status(&self) -> ConfigStatus {
        let (answer, received) = oneshot::channel();
        self.questions.send(answer).await.unwrap();
        within("the status", received).await.unwrap()
    }

    /// The sum of all counters whose name ends like this.
    pub(crate) fn count(&self, suffix: &str) -> u64 {
        let all = self.process.registry.collect();
        let matching: Vec<_> = all.iter().filter(|(name, _)| name.ends_with(suffix)).collect();
        assert!(!matching.is_empty(), "no counter {suffix} in {all:?}");
        matching.iter().map(|(_, (_, value))| value).sum()
    }

    /// Waits until a counter has reached a value.
    pub(crate) async fn counts(&self, suffix: &str, least: u64) {
        eventually(&format!("{suffix} reaches {least}"), async || self.count(suffix) >= least).await;
    }

    pub(crate) async fn stop(self) {
        let failed = within("the end of the workers", self.workers.stop(Duration::from_secs(20))).await;
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// Returns when control has taken the events; it answers questions only when it is done with them.
    async fn send(&self, events: Vec<Event>) {
        self.events.send(events).await.unwrap();
        eventually("control takes the events", async || self.events.capacity() == self.events.max_capacity()).await;
        self.status().await;
    }
}

/// A client's connection.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    within("a connect", TcpStream::connect(address)).await.unwrap()
}
