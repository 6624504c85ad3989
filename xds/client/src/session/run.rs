//! The life of a session: streams, one after the other, and what has to be done meanwhile.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::keep::Keeper;
use super::stream::Outgoing;
use super::{SessionOptions, Shared};
use crate::back_off::BackOff;
use crate::control_plane::Connection;
use crate::delta::Protocol;
use crate::event::Event;
use crate::snapshot::{Snapshot, State};

/// What the task owns.
pub(super) struct Runner {
    pub(super) options: Arc<SessionOptions>,
    pub(super) shared: Arc<Shared>,
    pub(super) protocol: Protocol,
    /// While a stream stands.
    pub(super) outgoing: Option<Outgoing>,
    events: mpsc::Sender<Vec<Event>>,
    stop: watch::Receiver<bool>,
    needed_clusters: watch::Receiver<BTreeSet<String>>,
    keeper: Option<Keeper>,
    next_roots_check: Instant,
}

/// Why a stream, or the session, came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Try again later.
    Failed(String),
    /// The session is over.
    Stopped,
}

pub(super) async fn run(
    options: SessionOptions,
    shared: Arc<Shared>,
    events: mpsc::Sender<Vec<Event>>,
    stop: watch::Receiver<bool>,
) {
    let keeper = options.snapshot_directory.as_ref().map(|directory| {
        let snapshot = Snapshot::new(directory, &options.name, &options.node.owner());
        Keeper::new(snapshot, options.timing.snapshot_quiet, options.timing.snapshot_latest)
    });
    let next_roots_check = Instant::now() + options.timing.roots_check;
    let options = Arc::new(options);
    let protocol = Protocol::default();
    let needed_clusters = options.needed_clusters.clone();
    let mut runner =
        Runner { options, shared, protocol, outgoing: None, events, stop, needed_clusters, keeper, next_roots_check };
    // Before the state on disk is read, of which only what is needed is kept.
    runner.need_clusters();
    runner.live().await;
    runner.finish().await;
}

impl Runner {
    /// Returns when the session is over.
    async fn live(&mut self) {
        if self.restore().await == Err(End::Stopped) {
            return;
        }
        let timing = self.options.timing.clone();
        let mut back_off = BackOff::new(timing.back_off_minimum, timing.back_off_maximum);
        loop {
            let reason = match self.serve_stream().await {
                End::Failed(reason) => reason,
                End::Stopped => return,
            };
            let stable = self.note_failure(&reason).is_some_and(|stood| stood >= timing.stable_after);
            if stable {
                back_off.reset();
            }
            let wait = back_off.wait();
            warn!(
                session = self.options.name,
                ?wait,
                "no stream with the control plane: {reason}; serving what is known"
            );
            if self.send(vec![Event::Disconnected { reason }]).await.is_err() {
                return;
            }
            let slept = self.attend(tokio::time::sleep(wait), None).await;
            if slept == Err(End::Stopped) {
                return;
            }
        }
    }

    /// Waits for something, and does meanwhile what is due. `connection` is the one whose roots may be replaced on disk.
    pub(super) async fn attend<T>(
        &mut self,
        future: impl Future<Output = T>,
        connection: Option<&Connection>,
    ) -> Result<T, End> {
        let mut future = pin!(future);
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                _ = self.stop.changed() => return Err(End::Stopped),
                () = self.events.closed() => return Err(End::Stopped),
                result = &mut future => return Ok(result),
                () = sleep_until(wake.into()) => self.do_what_is_due(connection).await?,
                outcome = Keeper::outcome(&mut self.keeper) => self.note_written(outcome).await?,
                // Where nobody names any the sender is gone.
                Ok(()) = self.needed_clusters.changed() => {
                    self.need_clusters();
                    self.publish().await?;
                }
            }
        }
    }

    /// Tells the server what is wanted now, and the consumer what has changed. The server first: it is not kept waiting by a
    /// slow consumer.
    pub(super) async fn publish(&mut self) -> Result<(), End> {
        let (events, subscriptions) = {
            let mut configuration = self.shared.configuration();
            (configuration.take_events(), configuration.take_subscriptions())
        };
        for change in subscriptions {
            let (kind, name) = &change.target;
            if change.needed {
                self.protocol.subscribe(*kind, name);
            } else {
                self.protocol.unsubscribe(*kind, name);
            }
        }
        let requests = self.protocol.flush();
        self.request(requests)?;
        if events.is_empty() {
            return Ok(());
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.note_change(Instant::now());
        }
        self.send(events).await
    }

    pub(super) async fn send(&mut self, events: Vec<Event>) -> Result<(), End> {
        tokio::select! {
            biased;
            _ = self.stop.changed() => Err(End::Stopped),
            sent = self.events.send(events) => sent.map_err(|_| End::Stopped),
        }
    }

    async fn restore(&mut self) -> Result<(), End> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        match keeper.read().await {
            Ok(None) => Ok(()),
            Ok(Some(State { written, resources })) => {
                let kept = resources.len();
                self.shared.configuration().restore(resources, Instant::now());
                let mut events = self.shared.configuration().take_events();
                info!(
                    session = self.options.name,
                    kept,
                    used = events.len(),
                    "the last good configuration was read from disk"
                );
                self.shared.status().snapshot.written = Some(written);
                events.push(Event::Restored { resources: events.len(), written });
                self.send(events).await?;
                self.publish().await
            }
            Err(reason) => self.note_written(Err(reason)).await,
        }
    }

    fn need_clusters(&mut self) {
        let needed = self.needed_clusters.borrow_and_update();
        self.shared.configuration().need_clusters(needed.iter().map(|name| name.as_str().into()), Instant::now());
    }

    fn next_wake(&self) -> Instant {
        let held_back = self.shared.configuration().next_deadline();
        let snapshot = self.keeper.as_ref().filter(|_| self.shared.keeps_on_disk()).and_then(Keeper::due);
        [held_back, snapshot].into_iter().flatten().fold(self.next_roots_check, Instant::min)
    }

    async fn do_what_is_due(&mut self, connection: Option<&Connection>) -> Result<(), End> {
        let now = Instant::now();
        self.shared.configuration().tick(now);
        self.publish().await?;
        let due = |keeper: &&mut Keeper| keeper.due().is_some_and(|due| due <= now);
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.shared.keeps_on_disk()).filter(due) {
            let state = State::of(&self.shared.configuration());
            keeper.write(state);
        }
        if self.next_roots_check <= now {
            self.next_roots_check = now + self.options.timing.roots_check;
            if let Some(connection) = connection
                && self.options.control_plane.roots_changed(connection).await
            {
                return Err(End::Failed("the root certificates were replaced; connecting anew".to_owned()));
            }
        }
        Ok(())
    }

    async fn note_written(&mut self, outcome: Result<(), String>) -> Result<(), End> {
        match outcome {
            Ok(()) => {
                self.shared.status().snapshot.written = Some(std::time::SystemTime::now());
                Ok(())
            }
            Err(reason) => {
                warn!(session = self.options.name, "{reason}");
                self.shared.status().snapshot.failures += 1;
                self.send(vec![Event::SnapshotFailed { reason }]).await
            }
        }
    }

    /// Returns how long the stream stood.
    fn note_failure(&mut self, reason: &str) -> Option<std::time::Duration> {
        let mut status = self.shared.status();
        status.failures += 1;
        status.last_failure = Some(reason.to_owned());
        status.connected_since.take().map(|since| since.elapsed().unwrap_or_default())
    }

    /// What is not on disk yet is written before the end.
    async fn finish(&mut self) {
        self.protocol.close();
        if let Some(keeper) = &mut self.keeper {
            let unwritten = keeper.due().is_some() && self.shared.keeps_on_disk();
            let state = unwritten.then(|| State::of(&self.shared.configuration()));
            if let Err(reason) = keeper.finish(state).await {
                warn!(session = self.options.name, "{reason}");
                self.shared.status().snapshot.failures += 1;
            }
        }
        self.shared.status().connected_since = None;
    }
}
