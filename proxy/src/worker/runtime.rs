//! The thread of a worker and the tasks that it always runs.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use super::{Process, Worker};
use crate::io::Flusher;

/// Idle upstream connections are looked at this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts a worker thread that runs `serve` until it returns.
///
/// # Errors
/// The system refuses a thread.
pub fn start<F, S>(name: &str, process: Arc<Process>, serve: S) -> io::Result<JoinHandle<io::Result<()>>>
where
    S: FnOnce(Rc<Worker>) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    thread::Builder::new().name(name.to_owned()).spawn(move || run(process, serve))
}

/// Turns this thread into a worker until `serve` returns; what it leaves running is ended.
///
/// # Errors
/// The system refuses a runtime.
pub fn run<F, S>(process: Arc<Process>, serve: S) -> io::Result<()>
where
    S: FnOnce(Rc<Worker>) -> F,
    F: Future<Output = ()> + 'static,
{
    let runtime = Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Worker::new(process);
        let mut upkeep = JoinSet::new();
        upkeep.spawn_local(Flusher::run(worker.io.clone()));
        upkeep.spawn_local(worker.timers.clone().run());
        upkeep.spawn_local(supervise(worker.clone()));
        upkeep.spawn_local(write_logs(worker.clone()));
        upkeep.spawn_local(sweep(worker.clone()));
        // A task of its own: what `block_on` polls itself is polled before the tasks that are ready, and would break up their batches.
        let mut served = JoinSet::new();
        served.spawn_local(serve(worker.clone()));
        while served.join_next().await.is_some() {}
        worker.tasks.abort();
        worker.tasks.finished().await;
        worker.logs.flush();
    });
    Ok(())
}

async fn supervise(worker: Rc<Worker>) {
    worker.tasks.supervise(|| worker.counters.connection_panics.increment()).await;
}

async fn write_logs(worker: Rc<Worker>) {
    worker.logs.run().await;
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        worker.io.clock.invalidate();
        worker.clusters.sweep();
    }
}
