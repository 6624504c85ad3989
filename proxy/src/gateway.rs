//! A running gateway: workers, control and admin interface, put together in one place for every command that starts one.

mod end;
mod ground;
mod source;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use xds_client::ca::CertificateClient;

pub(crate) use self::end::Signals;
use self::end::{End, drain};
use self::ground::{Ground, queues};
pub use self::source::SourceOptions;
use self::source::{Inputs, Started, WORKERS};
use crate::admin::{Access, Admin, LogLevels, Source};
use crate::bootstrap::DrainSettings;
use crate::config::dns::DnsResolver;
use crate::config::{Control, ControlOptions};
use crate::drain::Phase;
use crate::io::DriverChoice;
use crate::overload::OverloadSettings;
use crate::restart::{self, Estate, Position};
use crate::telemetry::access_log::AccessLogSinks;
use crate::tls::SessionTickets;
use crate::worker::{Workers, vital};

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

/// A running gateway. Dropping it ends it at once; [`Gateway::run`] ends it in good order.
#[derive(Debug)]
pub struct Gateway {
    admin: Arc<Admin>,
    position: Position,
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
    tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts everything; configuration arrives on its own time.
    ///
    /// # Errors
    /// A port of the admin interface is taken, a folder cannot be served, the system refuses threads or randomness, or the process
    /// to take over from refuses.
    pub async fn start(options: GatewayOptions, source: SourceOptions) -> anyhow::Result<Self> {
        let mut ground = Ground::prepare(&options, source.edge()).await?;
        let mut edge_tasks = JoinSet::new();
        let (senders, control_inputs) = queues();
        let events = senders.events.downgrade();
        let wanted_secrets = ground.serve_files(options.file_root.clone(), senders.secrets.clone());
        let has_outlived = watch::Sender::new(false);

        let inputs = Inputs {
            workers: options.workers,
            succession: ground.succession(&options, &has_outlived),
            registry: &ground.process.registry,
            events: senders.events,
            secrets: senders.secrets,
            tasks: &mut ground.tasks,
            edge_tasks: &mut edge_tasks,
        };
        let Started { source, readiness, certificates, edge } = source.start(inputs).await?;
        let overlay = edge.as_ref().map(|share| share.shards.clone());
        let edge_memory = edge.as_ref().map(|share| share.memory_file.clone()).unwrap_or_default();
        let edge_problems = edge.as_ref().map(|share| share.problems.clone()).unwrap_or_default();

        let (workers, publisher) = ground.start_workers(&options, edge)?;
        let logs = AccessLogSinks::start().context("cannot start the access log writer")?;
        let control = Control::new(ControlOptions {
            publisher,
            workers: options.workers,
            sockets: ground.sockets.clone(),
            logs: logs.clone(),
            tickets: SessionTickets::new()?,
            resolver: DnsResolver::new(senders.resolved).map_err(anyhow::Error::msg)?,
            agent_secrets: wanted_secrets,
        });
        ground.tasks.spawn(vital("configuration", control.run(control_inputs)));

        // Before anybody can see that it is ready.
        let signals = Signals::catch().context("cannot receive signals")?;
        let (quit_sender, quit) = watch::channel(false);
        let Ground { position, drain, process, ports, sockets, tasks } = ground;
        let admin = Arc::new(Admin {
            process,
            logs,
            source,
            overlay,
            edge_problems,
            edge_memory,
            questions: senders.questions,
            readiness,
            drain,
            quit: quit_sender,
            log_levels: options.log_levels,
            node: options.node,
            started: Instant::now(),
            epoch: position.epoch(),
            options: options.command_line,
        });
        let accept_loops = workers.accept_loops();
        let estate = Estate { admin: admin.clone(), sockets, ports, accept_loops, events, has_outlived };
        let settings = options.drain;
        let gateway = Self {
            admin,
            position,
            estate,
            settings,
            workers,
            quit,
            signals,
            _certificates: certificates,
            edge: edge_tasks,
            tasks,
        };
        gateway.answer_admin()
    }

    /// From now on it can be asked how it is doing.
    fn answer_admin(mut self) -> anyhow::Result<Self> {
        // The process before writes it until it has handed over.
        self.admin.source.keep_on_disk(!matches!(self.position, Position::After(_)));
        self.estate.ports.serve(&self.admin, &mut self.tasks).context("cannot serve the admin interface")?;
        self.tasks.spawn(notice_when_in_force(self.admin.clone()));
        self.tasks.spawn(notify_when_ready(self.admin.clone()));
        Ok(self)
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
            handed_over = self.position.hold(&self.estate) => handed_over.map(End::HandedOver),
        };
        let serves = self.admin.drain.phase() >= Phase::Serving;
        if let Ok(End::Signal | End::AtOnce) = &end {
            // Before it drains: from then on the next process may start, and it reads that.
            self.admin.edge_memory.write_now().await;
        }
        if let Ok(end @ (End::Signal | End::HandedOver(_))) = &end
            && serves
        {
            tokio::select! {
                () = drain(&self.admin, &self.settings, &self.workers, end) => {}
                never = self.position.end(&self.estate, "it is ending") => match never {},
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

/// How often it is looked whether the gateway has become ready.
const READY_POLL: Duration = Duration::from_millis(20);

/// Workers are ready when what came at first is in force on all of them: before, some port might refuse.
async fn notice_when_in_force(admin: Arc<Admin>) {
    while admin.readiness.missing() != [WORKERS] || !admin.status().await.is_in_force() {
        tokio::time::sleep(READY_POLL).await;
    }
    admin.readiness.done(WORKERS);
}

async fn notify_when_ready(admin: Arc<Admin>) {
    while admin.drain.phase() < Phase::Serving || !admin.readiness.missing().is_empty() {
        tokio::time::sleep(READY_POLL).await;
    }
    restart::notify_ready();
}
