//! When the state is written to disk, and the task that does it.

use std::future::pending;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::snapshot::{Snapshot, State};

/// How long a failed write is not repeated.
const RETRY: Duration = Duration::from_secs(10);

/// For so many times the CPU time that a write took there is no other: a large state that changes all the time would cost more to
/// keep than to serve.
const PAUSE: u32 = 200;

/// Writes at most once at a time, some time after a change.
pub(super) struct Keeper {
    snapshot: Snapshot,
    quiet: Duration,
    latest: Duration,
    first_change: Option<Instant>,
    last_change: Option<Instant>,
    not_before: Option<Instant>,
    writing: Option<JoinHandle<Written>>,
}

/// How a write went.
struct Written {
    result: Result<(), String>,
    cpu_time: Duration,
}

impl Keeper {
    pub(super) fn new(snapshot: Snapshot, quiet: Duration, latest: Duration) -> Self {
        Self { snapshot, quiet, latest, first_change: None, last_change: None, not_before: None, writing: None }
    }

    pub(super) async fn read(&self) -> Result<Option<State>, String> {
        let snapshot = self.snapshot.clone();
        match spawn_blocking(move || snapshot.read()).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(format!("reading the last good state: {error}")),
        }
    }

    pub(super) fn note_change(&mut self, now: Instant) {
        self.first_change.get_or_insert(now);
        self.last_change = Some(now);
    }

    /// When to write; `None` if nothing has changed, or a write is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.writing.is_some() {
            return None;
        }
        let due = (self.last_change? + self.quiet).min(self.first_change? + self.latest);
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }

    pub(super) fn write(&mut self, state: State) {
        self.first_change = None;
        self.last_change = None;
        let snapshot = self.snapshot.clone();
        self.writing = Some(spawn_blocking(move || {
            let before = cpu_time();
            let result = snapshot.write(&state).map_err(|error| error.to_string());
            drop(state);
            Written { result, cpu_time: cpu_time().saturating_sub(before) }
        }));
    }

    /// Waits for the write under way, if there is one.
    pub(super) async fn outcome(keeper: &mut Option<Self>) -> Result<(), String> {
        match keeper {
            Some(keeper) if keeper.writing.is_some() => keeper.wait().await,
            _ => pending().await,
        }
    }

    /// Waits for the write under way, and writes the last state, if there is one.
    pub(super) async fn finish(&mut self, state: Option<State>) -> Result<(), String> {
        let before = self.wait().await;
        match state {
            Some(state) => {
                self.write(state);
                self.wait().await
            }
            None => before,
        }
    }

    async fn wait(&mut self) -> Result<(), String> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let failed = |error| Err(format!("writing the last good state: {error}"));
        let ended = writing.await;
        let Written { result, cpu_time } =
            ended.unwrap_or_else(|error| Written { result: failed(error), cpu_time: Duration::ZERO });
        self.writing = None;
        let now = Instant::now();
        self.not_before = Some(now + cpu_time * PAUSE);
        if result.is_err() {
            // It still has to be written.
            self.not_before = Some(now + RETRY);
            self.note_change(now);
        }
        result
    }
}

/// Of this thread; none where the kernel does not tell.
fn cpu_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_core = times.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    Duration::from_nanos(on_core.unwrap_or(0))
}
