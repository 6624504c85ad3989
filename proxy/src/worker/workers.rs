//! All worker threads: started together, told of configuration through their mailboxes and of the end through the drain.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::runtime;
use super::{Process, Worker};
use crate::bootstrap::DrainSettings;
use crate::config::publish::Mailbox;
use crate::drain::Phase;
use crate::edge::{EdgeNode, EdgeShare};
use crate::listener::{Listeners, TotalCounters};

/// How often [`Workers::stop`] looks whether the threads have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What workers are started with.
#[derive(Debug)]
pub struct WorkersOptions {
    /// Where each worker picks up its configuration; their number is that of the workers.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// What they share.
    pub process: Arc<Process>,
    /// How far the end of the process has come.
    pub drain: watch::Receiver<Phase>,
    /// How long connections get to finish.
    pub settings: DrainSettings,
    /// What connects them with other edges, if this process is an edge.
    pub edge: Option<EdgeShare>,
}

/// Running workers. They end at once when this is dropped.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<io::Result<()>>>,
    totals: Vec<Arc<TotalCounters>>,
    accept_loops: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
}

impl Workers {
    /// Starts one thread for each mailbox, named `worker-0` and so on.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(options: WorkersOptions) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let accept_loops = Arc::new(AtomicU64::new(0));
        let mut workers = Self { threads: Vec::new(), totals: Vec::new(), accept_loops, stop };
        for (index, mailbox) in options.mailboxes.into_iter().enumerate() {
            let totals = options.process.registry.register(TotalCounters::new("server."));
            workers.totals.push(totals.clone());
            let (drain, stopped, settings) = (options.drain.clone(), stopped.clone(), options.settings);
            let accept_loops = workers.accept_loops.clone();
            let edge = options.edge.clone();
            let start = Start { index, mailbox, totals, accept_loops, drain, stopped, settings, edge };
            let serve = move |worker| start.serve(worker);
            workers.threads.push(runtime::start(&format!("worker-{index}"), options.process.clone(), serve)?);
        }
        Ok(workers)
    }

    /// Connections that are open, accepted ones whose filter chain is not known yet included.
    pub fn active_connections(&self) -> u64 {
        self.totals.iter().map(|totals| totals.total_connections.get()).sum()
    }

    /// Listening sockets that are accepted from, counted by each worker that does.
    pub fn accept_loops(&self) -> Arc<AtomicU64> {
        self.accept_loops.clone()
    }

    /// What may keep a drain from its end: open connections, and sockets from which more may come.
    pub fn open(&self) -> u64 {
        // In this order: the connections of a loop that has ended are counted.
        let accepting = self.accept_loops.load(Ordering::Acquire);
        accepting + self.active_connections()
    }

    /// Closes everything and waits until the threads have ended, but not longer than `deadline`. Returns the names of those that
    /// have not, or ended in a failure.
    pub async fn stop(self, deadline: Duration) -> Vec<String> {
        self.stop.send_replace(true);
        let end = Instant::now() + deadline;
        while Instant::now() < end && self.threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let mut failed = Vec::new();
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if !thread.is_finished() || !matches!(thread.join(), Ok(Ok(()))) {
                failed.push(name);
            }
        }
        failed
    }
}

/// What one worker is started with.
struct Start {
    index: usize,
    mailbox: Arc<Mailbox>,
    totals: Arc<TotalCounters>,
    accept_loops: Arc<AtomicU64>,
    drain: watch::Receiver<Phase>,
    stopped: watch::Receiver<bool>,
    settings: DrainSettings,
    edge: Option<EdgeShare>,
}

impl Start {
    /// Applies what comes until the worker has to end.
    async fn serve(mut self, worker: Rc<Worker>) {
        // Its tasks end with this.
        let _edge = self.edge.take().map(|share| {
            let (edge, tasks) = EdgeNode::start(&worker, self.index, share);
            let _ = worker.edge.set(edge);
            tasks
        });
        let (drain_time, phase) = (self.settings.drain_duration, self.drain.clone());
        let listeners = Listeners::new(worker.clone(), self.index, drain_time, self.totals, phase, self.accept_loops);
        let mut keepalive = worker.process.overload.keepalive_disabled();
        let mut before = Phase::TakingOver;
        loop {
            tokio::select! {
                mut changes = self.mailbox.take() => {
                    worker.apply(&mut changes);
                    for (name, listener) in changes.listeners.drain() {
                        listeners.apply(name, listener);
                        tokio::task::yield_now().await;
                    }
                }
                Ok(()) = self.drain.changed() => {
                    let now = *self.drain.borrow_and_update();
                    enter(&listeners, before, now, &self.settings);
                    before = now;
                }
                // The sender is the process's.
                Ok(()) = keepalive.changed() => {
                    let since = *keepalive.borrow_and_update();
                    if let Some(since) = since {
                        listeners.shed(since.into_std());
                    }
                }
                // An error means that nobody is left who could stop us.
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            }
        }
    }
}

/// Does what a phase wants. One that was too short to be seen is made up for: connections are asked to finish in `Draining`, even if `Closing` follows
/// at once.
fn enter(listeners: &Listeners, before: Phase, now: Phase, settings: &DrainSettings) {
    if before < Phase::Draining && matches!(now, Phase::Draining | Phase::Closing) {
        listeners.drain(spread(settings));
    }
    match now {
        Phase::TakingOver | Phase::Serving | Phase::Draining => {}
        Phase::Closing => listeners.stop_accepting(),
        Phase::HandedOver => listeners.hand_over(settings.drain_duration),
    }
}

/// Connections are asked to finish over the first half of the time that the process has left.
fn spread(settings: &DrainSettings) -> Duration {
    let left = match settings.exit_on_zero_active_connections {
        true => settings.drain_duration.max(settings.minimum_drain_duration),
        false => settings.termination_drain_duration,
    };
    left / 2
}
