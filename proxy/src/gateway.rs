//! A running gateway: workers, control and admin interface, put together in one place for every command that starts one.

mod end;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use xds_client::ca::{CaOptions, CertificateClient};
use xds_client::session::{Session, SessionOptions};
use xds_client::{Event, ResourceType};

pub(crate) use self::end::Signals;
use self::end::{End, drain};
use crate::admin::{Access, Admin, LogLevels, Ports, Readiness, Source};
use crate::bootstrap::DrainSettings;
use crate::config::dns::DnsResolver;
use crate::config::local::{self, EdgeSide, LocalOptions};
use crate::config::publish::{Mailbox, Publisher};
use crate::config::{Control, ControlInputs, ControlOptions};
use crate::drain::{Drain, Phase};
use crate::edge::{
    Availability, Edge, EdgeOptions, EdgeProblems, KubernetesOptions, Services, Succession, Surroundings, hold,
};
use crate::identity;
use crate::io::DriverChoice;
use crate::listener::socket::SocketTable;
use crate::overload::{MemoryFiles, OverloadSettings, watch_memory};
use crate::restart::{self, Estate, Place};
use crate::telemetry::access_log::AccessLogSinks;
use crate::tls::SessionTickets;
use crate::worker::{Process, Workers, WorkersOptions, vital};

/// Messages that may wait between the parts of control; then the sender waits.
const QUEUE: usize = 64;

/// How long workers may take to let go of what is open once the drain is over.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// How a gateway is to run.
#[derive(Debug)]
pub struct GatewayOptions {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Ports of the admin interface.
    pub servers: Vec<(SocketAddr, Access)>,
    /// How it ends.
    pub drain: DrainSettings,
    /// Where it takes over from another process, and another one from it.
    pub handover_socket: Option<PathBuf>,
    /// What drives sockets.
    pub io_driver: DriverChoice,
    /// Limits of connections, and what memory in use leads to.
    pub overload: OverloadSettings,
    /// Who we are, for people who look: `core.v3.Node` as JSON.
    pub node: Value,
    /// Command line, for people who look.
    pub command_line: Value,
    /// Our own log.
    pub log_levels: LogLevels,
    /// Where relative paths of file secrets start.
    pub file_root: PathBuf,
    /// Our own address, which `x-forwarded-for` shows in place of a loopback peer.
    pub local_address: IpAddr,
    /// Name of this machine or pod, for logs.
    pub host_name: String,
}

/// Where configuration comes from.
#[derive(Debug)]
pub enum SourceOptions {
    /// istiod.
    ControlPlane {
        /// xDS.
        session: Box<SessionOptions>,
        /// Our own certificate; `None` where the control plane is not asked for one.
        certificates: Option<Box<CaOptions>>,
        /// What connects it with other edges.
        edge: Option<Box<(EdgeOptions, KubernetesOptions)>>,
    },
    /// A folder of YAML.
    Local {
        /// The folder.
        folder: LocalOptions,
        /// What connects it with other edges.
        edge: Option<EdgeOptions>,
    },
}

impl SourceOptions {
    fn edge(&self) -> Option<&EdgeOptions> {
        match self {
            Self::ControlPlane { edge, .. } => edge.as_deref().map(|(edge, _)| edge),
            Self::Local { edge, .. } => edge.as_ref(),
        }
    }
}

/// A running gateway. Dropping it ends it at once; [`Gateway::run`] ends it in good order.
#[derive(Debug)]
pub struct Gateway {
    admin: Arc<Admin>,
    place: Place,
    estate: Estate,
    settings: DrainSettings,
    workers: Workers,
    quit: watch::Receiver<bool>,
    signals: Signals,
    /// Ends with the gateway.
    _certificates: Option<CertificateClient>,
    /// Those of the edge. None of them may end by itself, so they are aborted before anything that they follow.
    edge: JoinSet<()>,
    /// Control and its helpers; aborted when dropped.
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts everything; configuration arrives on its own time.
    ///
    /// # Errors
    /// A port of the admin interface is taken, a folder cannot be served, the system refuses threads or randomness, or the process
    /// to take over from refuses.
    pub async fn start(options: GatewayOptions, source: SourceOptions) -> anyhow::Result<Self> {
        let (place, inherited) = restart::begin(options.handover_socket.as_deref()).await?;
        let takes_over = matches!(place, Place::After(_));
        let drain = if takes_over { Drain::taking_over() } else { Drain::default() };
        let limits = &options.overload.connections;
        let mut process = Process::with_limits(options.local_address, options.host_name, limits);
        process.minimum_rate = options.overload.minimum_rate;
        process.driver = options.io_driver.choose().context("--io-driver io_uring")?;
        let process = Arc::new(process);
        let mailboxes: Vec<Arc<Mailbox>> = (0..options.workers).map(|_| Arc::default()).collect();
        let publisher = Publisher::new(mailboxes.iter().cloned());
        // Bound before anything else starts, so that a second process stops here.
        let ports = Ports::bind(&options.servers, inherited.own)?;
        let sockets = SocketTable::inheriting(inherited.listeners);
        let (mut tasks, mut edge_tasks) = (JoinSet::new(), JoinSet::new());
        if let Some(edge) = source.edge() {
            tasks.spawn(hold(&edge.state, drain.subscribe())?);
        }

        let measuring = watch_memory(options.overload.manager, MemoryFiles::of_process(), process.clone());
        tasks.spawn(vital("overload manager", measuring));

        let (event_sender, events) = mpsc::channel(QUEUE);
        let waiting_events = event_sender.downgrade();
        let (resolved_sender, resolved) = mpsc::channel(QUEUE);
        let (secret_sender, agent_secrets) = mpsc::channel(QUEUE);
        let (question_sender, questions) = mpsc::channel(QUEUE);
        let wanted_secrets = watch::Sender::new(BTreeSet::new());
        let files = identity::files::serve(options.file_root, wanted_secrets.subscribe(), secret_sender.clone());
        tasks.spawn(vital("file secrets", files));

        let has_outlived = watch::Sender::new(false);
        let succession = Succession {
            generation: place.epoch().number,
            phase: drain.subscribe(),
            drain: options.drain.drain_duration,
            has_outlived: has_outlived.subscribe(),
        };
        let registry = &process.registry;
        let workers = options.workers;
        let surroundings =
            |tasks, events| Surroundings { workers, succession: succession.clone(), registry, events, tasks };
        let mut edge_share = None;
        let mut edge_problems = EdgeProblems::default();
        let (source, readiness, certificates) = match source {
            SourceOptions::ControlPlane { mut session, certificates, edge } => {
                let readiness = Readiness::of([CLUSTERS, LISTENERS]);
                let mut availability = None;
                if let Some((options, cluster)) = edge.as_deref() {
                    let surroundings = surroundings(&mut edge_tasks, event_sender.clone());
                    let (edge, observer) = Edge::of_cluster(options, cluster, surroundings).await?;
                    session.needed_clusters = edge.offered();
                    availability = Some(observer);
                    (edge_share, edge_problems) = (Some(edge.share()), edge.problems());
                    edge.run(&mut edge_tasks);
                }
                let (session, batches) = Session::spawn(*session);
                let forward = forward(batches, event_sender, readiness.clone(), availability);
                tasks.spawn(vital("configuration", forward));
                let certificates = certificates.map(|ca| {
                    let (client, identities) = CertificateClient::spawn(*ca);
                    tasks.spawn(vital("certificates", identity::workload::serve(identities, secret_sender)));
                    client
                });
                (Source::ControlPlane(session), readiness, certificates)
            }
            SourceOptions::Local { folder, edge } => {
                let readiness = Readiness::of([FOLDER]);
                let first = readiness.clone();
                let (services, defined) = watch::channel(Services::default());
                let edge = match edge {
                    Some(options) => {
                        let surroundings = surroundings(&mut edge_tasks, event_sender.clone());
                        Some(Edge::of_folder(&options, &folder.directory, defined, surroundings).await?)
                    }
                    None => None,
                };
                let offered = edge.as_ref().map_or_else(|| watch::channel(BTreeSet::new()).1, Edge::offered);
                let side = EdgeSide { services, offered };
                let held = local::start(folder, event_sender, side, move || first.done(FOLDER), &mut tasks).await?;
                if let Some(edge) = edge {
                    (edge_share, edge_problems) = (Some(edge.share()), edge.problems());
                    edge.run(&mut edge_tasks);
                }
                (Source::Local(held), readiness, None)
            }
        };

        let overlay = edge_share.as_ref().map(|share| share.shards.clone());
        let workers = Workers::start(WorkersOptions {
            mailboxes,
            process: process.clone(),
            drain: drain.subscribe(),
            settings: options.drain,
            edge: edge_share,
        });
        let workers = workers.context("cannot start worker threads")?;
        let logs = AccessLogSinks::start().context("cannot start the access log writer")?;
        let control = Control::new(ControlOptions {
            publisher,
            workers: options.workers,
            sockets: sockets.clone(),
            logs: logs.clone(),
            tickets: SessionTickets::new()?,
            resolver: DnsResolver::new(resolved_sender).map_err(anyhow::Error::msg)?,
            agent_secrets: wanted_secrets,
        });
        tasks.spawn(vital("configuration", control.run(ControlInputs { events, resolved, agent_secrets, questions })));

        let (quit_sender, quit) = watch::channel(false);
        let admin = Arc::new(Admin {
            process,
            logs,
            source,
            overlay,
            edge_problems,
            questions: question_sender,
            readiness,
            drain,
            quit: quit_sender,
            log_levels: options.log_levels,
            node: options.node,
            started: Instant::now(),
            epoch: place.epoch(),
            options: options.command_line,
        });
        // Before anybody can see that it is ready.
        let signals = Signals::catch().context("cannot receive signals")?;
        // The process before writes it until it has handed over.
        admin.source.keep_on_disk(!takes_over);
        ports.serve(&admin, &mut tasks).context("cannot serve the admin interface")?;
        tasks.spawn(notify_when_ready(admin.clone()));
        let accept_loops = workers.accept_loops();
        let events = waiting_events;
        let estate = Estate { admin: admin.clone(), sockets, ports, accept_loops, events, has_outlived };
        let settings = options.drain;
        Ok(Self {
            admin,
            place,
            estate,
            settings,
            workers,
            quit,
            signals,
            _certificates: certificates,
            edge: edge_tasks,
            _tasks: tasks,
        })
    }

    /// What the admin interface looks at.
    pub fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// Serves until SIGTERM or SIGINT, or until another process has taken over; then drains. `/quitquitquit` or a second signal
    /// ends it at once.
    ///
    /// # Errors
    /// This process cannot take over from the one before it, or a worker has panicked.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let end = tokio::select! {
            () = self.signals.next() => Ok(End::Signal),
            _ = self.quit.wait_for(|quit| *quit) => Ok(End::AtOnce),
            handed_over = self.place.hold(&self.estate) => handed_over.map(End::HandedOver),
        };
        let serves = self.admin.drain.phase() >= Phase::Serving;
        if let Ok(end @ (End::Signal | End::HandedOver(_))) = &end
            && serves
        {
            tokio::select! {
                () = drain(&self.admin, &self.settings, &self.workers, end) => {}
                never = self.place.end(&self.estate, "it is ending") => match never {},
                () = self.signals.next() => tracing::warn!("ending at once: a second signal"),
                _ = self.quit.wait_for(|quit| *quit) => {}
            }
        }
        // Why it cannot serve at all says more than that it did not end well.
        let stopped = self.stop().await;
        end.and(stopped)
    }

    /// Ends the workers, and writes what is not on disk yet: the last lines of access logs, and the configuration.
    ///
    /// # Errors
    /// A worker thread has panicked or does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        let failed = self.workers.stop(STOP_DEADLINE).await;
        drop(self.edge);
        let admin = self.admin;
        let logs = admin.logs.clone();
        let on_disk = async {
            if let Source::ControlPlane(session) = &admin.source {
                session.stop().await;
            }
            let (done, flushed) = oneshot::channel();
            // Not one of the runtime's threads: the process would wait for it.
            std::thread::spawn(move || {
                logs.flush();
                let _ = done.send(());
            });
            flushed.await
        };
        // A disk or a pipe that takes nothing must not keep the process.
        if tokio::time::timeout(STOP_DEADLINE, on_disk).await.is_err() {
            tracing::warn!("the last log lines or the last configuration may not be on disk: writing takes too long");
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!("worker threads that did not end in good order: {}", failed.join(", "))
    }
}

/// How often it is looked whether the gateway has become ready, for the service manager.
const READY_POLL: Duration = Duration::from_millis(50);

async fn notify_when_ready(admin: Arc<Admin>) {
    while admin.drain.phase() < Phase::Serving || !admin.readiness.missing().is_empty() {
        tokio::time::sleep(READY_POLL).await;
    }
    restart::notify_ready();
}

const FOLDER: &str = "the folder";
const CLUSTERS: &str = "clusters of the control plane (CDS)";
const LISTENERS: &str = "listeners of the control plane (LDS)";

/// Hands batches on to control, and marks what has become ready. A restored configuration serves as well as a fresh one.
async fn forward(
    mut batches: mpsc::Receiver<Vec<Event>>,
    events: mpsc::Sender<Vec<Event>>,
    readiness: Readiness,
    mut availability: Option<Availability>,
) {
    while let Some(batch) = batches.recv().await {
        if let Some(availability) = &mut availability {
            availability.observe(&batch);
        }
        let mut ready = Vec::new();
        for event in &batch {
            match event {
                Event::Synced(ResourceType::Cluster) => ready.push(CLUSTERS),
                Event::Synced(ResourceType::Listener) => ready.push(LISTENERS),
                Event::Restored { resources, .. } if *resources > 0 => ready.extend([CLUSTERS, LISTENERS]),
                _ => {}
            }
        }
        if events.send(batch).await.is_err() {
            return;
        }
        for part in ready {
            readiness.done(part);
        }
    }
}
