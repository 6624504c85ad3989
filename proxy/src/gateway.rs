//! A running gateway: workers, control and admin interface, put together in one place for every command that starts one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use xds_client::ca::{CaOptions, CertificateClient};
use xds_client::session::{Session, SessionOptions};
use xds_client::{Event, ResourceType};

use crate::admin::{self, Access, Admin, LogLevels, Readiness, Source};
use crate::bootstrap::DrainSettings;
use crate::config::dns::DnsResolver;
use crate::config::local::{self, LocalOptions};
use crate::config::publish::{Mailbox, Publisher};
use crate::config::{Control, ControlInputs, ControlOptions};
use crate::drain::Drain;
use crate::identity;
use crate::listener::socket::SocketTable;
use crate::overload::{MemoryFiles, OverloadSettings, watch_memory};
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
    },
    /// A folder of YAML.
    Local(LocalOptions),
}

/// A running gateway. Dropping it ends it at once; [`Gateway::run`] ends it in good order.
#[derive(Debug)]
pub struct Gateway {
    admin: Arc<Admin>,
    settings: DrainSettings,
    workers: Workers,
    quit: watch::Receiver<bool>,
    /// Ends with the gateway.
    _certificates: Option<CertificateClient>,
    /// Control and its helpers; aborted when dropped.
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts everything; configuration arrives on its own time.
    ///
    /// # Errors
    /// A port of the admin interface is taken, a folder cannot be served, or the system refuses threads or randomness.
    pub async fn start(options: GatewayOptions, source: SourceOptions) -> anyhow::Result<Self> {
        let drain = Drain::default();
        let limits = &options.overload.connections;
        let process = Arc::new(Process::with_limits(options.local_address, options.host_name, limits));
        let mailboxes: Vec<Arc<Mailbox>> = (0..options.workers).map(|_| Arc::default()).collect();
        let publisher = Publisher::new(mailboxes.iter().cloned());
        // Bound before anything else starts, so that a second process stops here.
        let servers = bind_servers(&options.servers)?;
        let mut tasks = JoinSet::new();

        let measuring = watch_memory(options.overload.manager, MemoryFiles::of_process(), process.clone());
        tasks.spawn(vital("overload manager", measuring));

        let (event_sender, events) = mpsc::channel(QUEUE);
        let (resolved_sender, resolved) = mpsc::channel(QUEUE);
        let (secret_sender, agent_secrets) = mpsc::channel(QUEUE);
        let (question_sender, questions) = mpsc::channel(QUEUE);
        let wanted_secrets = watch::Sender::new(BTreeSet::new());
        let files = identity::files::serve(options.file_root, wanted_secrets.subscribe(), secret_sender.clone());
        tasks.spawn(vital("file secrets", files));

        let (source, readiness, certificates) = match source {
            SourceOptions::ControlPlane { session, certificates } => {
                let readiness = Readiness::of([CLUSTERS, LISTENERS]);
                let (session, batches) = Session::spawn(*session);
                tasks.spawn(vital("configuration", forward(batches, event_sender, readiness.clone())));
                let certificates = certificates.map(|ca| {
                    let (client, identities) = CertificateClient::spawn(*ca);
                    tasks.spawn(vital("certificates", identity::workload::serve(identities, secret_sender)));
                    client
                });
                (Source::ControlPlane(session), readiness, certificates)
            }
            SourceOptions::Local(local) => {
                let held = local::start(local, event_sender, &mut tasks).await?;
                (Source::Local(held), Readiness::default(), None)
            }
        };

        let workers = Workers::start(WorkersOptions {
            mailboxes,
            process: process.clone(),
            drain: drain.subscribe(),
            settings: options.drain,
        });
        let workers = workers.context("cannot start worker threads")?;
        let logs = AccessLogSinks::start().context("cannot start the access log writer")?;
        let control = Control::new(ControlOptions {
            publisher,
            workers: options.workers,
            sockets: SocketTable::default(),
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
            questions: question_sender,
            readiness,
            drain,
            quit: quit_sender,
            log_levels: options.log_levels,
            node: options.node,
            started: Instant::now(),
            options: options.command_line,
        });
        for (listener, access) in servers {
            tasks.spawn(admin::serve(listener, access, admin.clone()));
        }
        Ok(Self { admin, settings: options.drain, workers, quit, _certificates: certificates, _tasks: tasks })
    }

    /// What the admin interface looks at.
    pub fn admin(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// Serves until SIGTERM or SIGINT, then drains; `/quitquitquit` or a second signal ends it at once.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub async fn run(mut self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let quits = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            _ = self.quit.wait_for(|quit| *quit) => true,
        };
        if !quits {
            tracing::info!("draining");
            let drained = self.admin.drain.run(&self.settings, || self.workers.active_connections());
            tokio::select! {
                () = drained => {}
                _ = terminate.recv() => tracing::warn!("ending at once: a second signal"),
                _ = interrupt.recv() => tracing::warn!("ending at once: a second signal"),
                _ = self.quit.wait_for(|quit| *quit) => {}
            }
        }
        self.stop().await
    }

    /// Ends the workers, and writes what is not on disk yet: the last lines of access logs, and the configuration.
    ///
    /// # Errors
    /// A worker thread has panicked or does not end.
    pub async fn stop(self) -> anyhow::Result<()> {
        let failed = self.workers.stop(STOP_DEADLINE).await;
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

/// Connections of the admin interface that wait to be accepted.
const BACKLOG: i32 = 128;

const CLUSTERS: &str = "clusters of the control plane (CDS)";
const LISTENERS: &str = "listeners of the control plane (LDS)";

fn bind_servers(servers: &[(SocketAddr, Access)]) -> anyhow::Result<Vec<(TcpListener, Access)>> {
    let mut bound = Vec::new();
    for (address, access) in servers {
        let listener = bind(*address)
            .with_context(|| format!("cannot listen on {address} (admin interface); is another gateway running?"))?;
        bound.push((listener, *access));
    }
    Ok(bound)
}

/// `[::]` stands for all addresses of both families, as it does in Istio's agent, and for IPv4's where the kernel has no IPv6.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match listen(address) {
        Err(error) if no_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says: probes come over IPv4 as well.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The kernel was built or booted without IPv6, or it is switched off for this network namespace.
fn no_ipv6(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// Hands batches on to control, and marks what has become ready. A restored configuration serves as well as a fresh one.
async fn forward(mut batches: mpsc::Receiver<Vec<Event>>, events: mpsc::Sender<Vec<Event>>, readiness: Readiness) {
    while let Some(batch) = batches.recv().await {
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
