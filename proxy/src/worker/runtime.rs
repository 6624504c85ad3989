//! The thread of a worker and the tasks that it always runs.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinSet;

use super::vital::{end_process, vital};
use super::{Process, Worker};
use crate::io::Flusher;

/// Idle upstream connections are looked at this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts a worker thread that runs `serve` until it returns. A panic, other than in a connection, ends the process.
///
/// # Errors
/// The system refuses a thread.
pub fn start<F, S>(name: &str, process: Arc<Process>, serve: S) -> io::Result<JoinHandle<io::Result<()>>>
where
    S: FnOnce(Rc<Worker>) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(process, serve).inspect_err(|error| end_process("runtime", &error.to_string())))
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
    let ended = runtime.block_on(async move {
        let worker = Worker::new(process)?;
        let mut upkeep = JoinSet::new();
        upkeep.spawn_local(vital("flusher", Flusher::run(worker.io.clone())));
        upkeep.spawn_local(vital("timers", worker.timers.clone().run()));
        upkeep.spawn_local(vital("supervisor of connections", supervise(worker.clone())));
        upkeep.spawn_local(vital("supervisor of shared connections", supervise_background(worker.clone())));
        upkeep.spawn_local(vital("access logs", write_logs(worker.clone())));
        upkeep.spawn_local(vital("sweep", sweep(worker.clone())));
        // A task of its own: what `block_on` polls itself is polled before the tasks that are ready, and would break up their batches.
        let mut served = JoinSet::new();
        served.spawn_local(vital("configuration", serve(worker.clone())));
        while served.join_next().await.is_some() {}
        worker.tasks.abort();
        worker.tasks.finished().await;
        worker.background.abort();
        worker.background.finished().await;
        worker.logs.flush();
        Ok(())
    });
    // Whoever looks up a name may wait for that for long. What else may be under way writes a file, which is replaced as a whole or not at all.
    runtime.shutdown_background();
    ended
}

async fn supervise(worker: Rc<Worker>) {
    worker.tasks.supervise(|| worker.counters.connection_panics.increment()).await;
}

async fn supervise_background(worker: Rc<Worker>) {
    worker.background.supervise(|| worker.counters.connection_panics.increment()).await;
}

async fn write_logs(worker: Rc<Worker>) {
    worker.logs.run().await;
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        worker.io.clock.invalidate();
        worker.clusters.sweep();
        worker.process.forget_unused_breakers();
        worker.process.forget_unused_outliers();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_worker_ends_while_a_name_is_looked_up() {
        let (answer, answered) = mpsc::channel::<()>();
        let (began, begins) = mpsc::channel();
        let look_up = async move || {
            drop(tokio::task::spawn_blocking(move || (began.send(()), answered.recv())));
        };
        let worker = start("worker-7", Arc::default(), |_| look_up()).unwrap();
        begins.recv().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !worker.is_finished() {
            assert!(Instant::now() < end, "it waits for the answer");
            thread::sleep(Duration::from_millis(5));
        }
        drop(answer);
        assert!(matches!(worker.join(), Ok(Ok(()))));
    }

    /// Says to a copy of the tests that it is to panic.
    const PANICS: &str = "SELVEDGE_TEST_WORKER_PANICS";

    #[test]
    fn a_worker_that_panics_ends_the_process() {
        if std::env::var_os(PANICS).is_some() {
            let worker = start("worker-7", Arc::default(), |_| async { panic!("on purpose") }).unwrap();
            drop(worker.join());
            return;
        }
        let this = "worker::runtime::tests::a_worker_that_panics_ends_the_process";
        let mut copy = Command::new(std::env::current_exe().unwrap());
        let ended = copy.args([this, "--exact", "--nocapture"]).env(PANICS, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(70), "{said}");
        assert!(said.contains("thread 'worker-7'") && said.contains("on purpose"), "{said}");
    }
}
