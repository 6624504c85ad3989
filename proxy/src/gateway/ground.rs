//! What a gateway stands on before there is any configuration, and what is made of that alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use xds_client::Event;

use super::GatewayOptions;
use crate::admin::Ports;
use crate::config::dns::Resolved;
use crate::config::publish::{Mailbox, Publisher};
use crate::config::{ConfigStatus, ControlInputs};
use crate::drain::Drain;
use crate::edge::{EdgeOptions, EdgeShare, Succession, hold};
use crate::identity::{self, SecretUpdate};
use crate::listener::socket::SocketTable;
use crate::overload::{MemoryFiles, watch_memory};
use crate::restart::{self, Position};
use crate::worker::{Process, Workers, WorkersOptions, vital};

/// Messages that may wait between the parts of control; then the sender waits.
const QUEUE: usize = 64;

/// What there is before any configuration.
pub(super) struct Ground {
    pub(super) position: Position,
    pub(super) drain: Drain,
    pub(super) process: Arc<Process>,
    pub(super) ports: Ports,
    pub(super) sockets: SocketTable,
    pub(super) tasks: JoinSet<()>,
}

impl Ground {
    /// Finds the process to take over from, binds what must be ours alone, and watches memory.
    pub(super) async fn prepare(options: &GatewayOptions, edge: Option<&EdgeOptions>) -> anyhow::Result<Self> {
        let (position, inherited) = restart::begin(options.handover_socket.as_deref()).await?;
        let drain = if matches!(position, Position::After(_)) { Drain::taking_over() } else { Drain::default() };
        let overload = &options.overload;
        let mut process = Process::with_limits(options.local_address, options.host_name.clone(), &overload.connections);
        process.minimum_rate = overload.minimum_rate;
        process.driver = options.io_driver.choose().context("--io-driver io_uring")?;
        let process = Arc::new(process);
        // Bound before anything else starts, so that a second process stops here.
        let ports = Ports::bind(&options.servers, inherited.own)?;
        let sockets = SocketTable::inheriting(inherited.listeners);
        let mut tasks = JoinSet::new();
        if let Some(edge) = edge {
            tasks.spawn(hold(&edge.state, drain.subscribe())?);
        }
        let measuring = watch_memory(overload.manager.clone(), MemoryFiles::of_process(), process.clone());
        tasks.spawn(vital("overload manager", measuring));
        Ok(Self { position, drain, process, ports, sockets, tasks })
    }

    /// Reads the secrets that are files. Which of them are wanted is said to what is returned.
    pub(super) fn serve_files(
        &mut self,
        root: PathBuf,
        secrets: mpsc::Sender<SecretUpdate>,
    ) -> watch::Sender<BTreeSet<String>> {
        let wanted = watch::Sender::new(BTreeSet::new());
        let files = identity::files::serve(root, wanted.subscribe(), secrets);
        self.tasks.spawn(vital("file secrets", files));
        wanted
    }

    pub(super) fn succession(&self, options: &GatewayOptions, has_outlived: &watch::Sender<bool>) -> Succession {
        Succession {
            generation: self.position.epoch().number,
            phase: self.drain.subscribe(),
            drain: options.drain.drain_duration,
            has_outlived: has_outlived.subscribe(),
        }
    }

    /// The workers, and the way by which configuration reaches them.
    pub(super) fn start_workers(
        &self,
        options: &GatewayOptions,
        edge: Option<EdgeShare>,
    ) -> anyhow::Result<(Workers, Publisher)> {
        let mailboxes: Vec<Arc<Mailbox>> = (0..options.workers).map(|_| Arc::default()).collect();
        let publisher = Publisher::new(mailboxes.iter().cloned());
        let workers = Workers::start(WorkersOptions {
            mailboxes,
            process: self.process.clone(),
            drain: self.drain.subscribe(),
            settings: options.drain,
            edge,
        });
        Ok((workers.context("cannot start worker threads")?, publisher))
    }
}

/// Where what control waits for comes from.
pub(super) struct Senders {
    pub(super) events: mpsc::Sender<Vec<Event>>,
    pub(super) resolved: mpsc::Sender<Resolved>,
    pub(super) secrets: mpsc::Sender<SecretUpdate>,
    pub(super) questions: mpsc::Sender<oneshot::Sender<ConfigStatus>>,
}

pub(super) fn queues() -> (Senders, ControlInputs) {
    let (events, events_receiver) = mpsc::channel(QUEUE);
    let (resolved, resolved_receiver) = mpsc::channel(QUEUE);
    let (secrets, secrets_receiver) = mpsc::channel(QUEUE);
    let (questions, questions_receiver) = mpsc::channel(QUEUE);
    let inputs = ControlInputs {
        events: events_receiver,
        resolved: resolved_receiver,
        agent_secrets: secrets_receiver,
        questions: questions_receiver,
    };
    (Senders { events, resolved, secrets, questions }, inputs)
}
