//! One listener on one worker: its configuration as it is now, its live connections, and what a change does to them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balance::Limit;

use super::counters::{ListenerCounters, TotalCounters};
use super::effect::{Verdict, verdict};
use super::generation::{ChainCounters, Generation, ServedBy};
use super::limit_warnings::{LimitWarnings, Reached};
use super::live::{Live, LiveTable};
use crate::config::snapshot::ListenerSnapshot;
use crate::overload::{Action, Full, Place};
use crate::worker::Worker;
use crate::worker::connection::Wish;
use crate::worker::timer::Alarm;

/// Live connections that are looked at in one turn of the worker: checking a certificate again takes some 100 microseconds.
const REVIEWED_PER_TURN: usize = 16;

/// Connections that are asked to leave in one turn of the worker when memory gets short.
const SHED_PER_TURN: usize = 32;

/// A listener that is open, or whose last connections are.
#[derive(Debug)]
pub(super) struct OpenListener {
    pub(super) worker: Rc<Worker>,
    pub(super) counters: ListenerCounters,
    pub(super) totals: Arc<TotalCounters>,
    generation: RefCell<Rc<Generation>>,
    live: LiveTable,
    chain_counters: ChainCounters,
    limit_warnings: LimitWarnings,
    /// Of its connections, on all workers.
    limit: Limit,
    /// What is wanted of every connection, new ones included.
    wish: Cell<Wish>,
}

/// A connection that a chain took, counted as such as long as this lives.
#[derive(Debug)]
pub(super) struct ActiveConnection {
    listener: Rc<OpenListener>,
}

/// An active connection's place in the table of live ones; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    connection: ActiveConnection,
    id: u64,
}

impl OpenListener {
    pub(super) fn new(snapshot: &ListenerSnapshot, worker: &Rc<Worker>, totals: &Arc<TotalCounters>) -> Rc<Self> {
        Rc::new(Self {
            worker: worker.clone(),
            counters: ListenerCounters::register(snapshot.sockets.address(), &worker.process.registry),
            totals: totals.clone(),
            generation: RefCell::new(Generation::new(snapshot)),
            live: LiveTable::default(),
            chain_counters: ChainCounters::default(),
            limit_warnings: LimitWarnings::default(),
            limit: worker.process.overload.connections.listener(&snapshot.model.name),
            wish: Cell::new(Wish::Serve),
        })
    }

    /// A place for one more connection; `None`, and counted, if there is none.
    pub(super) fn place(&self) -> Option<Place> {
        let model = &self.generation.borrow().model;
        let overload = &self.worker.process.overload;
        let counters = &self.counters.connections;
        let obeys = !model.bypass_overload_manager;
        if obeys && overload.sheds(Action::RejectIncomingConnections, &self.worker.random) {
            counters.downstream_cx_overload_reject.increment();
            self.limit_reached(Reached::Overload);
            return None;
        }
        let counts_globally = obeys && !model.ignore_global_connection_limit;
        let count = |full: &Full| match full {
            Full::Listener => {
                counters.downstream_cx_overflow.increment();
                self.limit_reached(Reached::Listener);
            }
            Full::Global => {
                counters.downstream_global_cx_overflow.increment();
                self.limit_reached(Reached::Global);
            }
        };
        overload.connections.admit(&self.limit, counts_globally).inspect_err(count).ok()
    }

    /// Says, not too often, that a connection is closed because of this.
    pub(super) fn limit_reached(&self, reached: Reached) {
        let name = &self.generation.borrow().model.name;
        self.limit_warnings.closed(name, reached, self.worker.core());
    }

    /// The configuration as it is now.
    pub(super) fn generation(&self) -> Rc<Generation> {
        self.generation.borrow().clone()
    }

    /// Takes over a new version. [`Self::review`] applies it to live connections.
    pub(super) fn update(&self, snapshot: &ListenerSnapshot) -> Rc<Generation> {
        let generation = Generation::new(snapshot);
        let old = self.generation.replace(generation.clone());
        drop(old);
        self.chain_counters.prune(&generation);
        generation
    }

    /// What serves the connections of a chain.
    pub(super) fn served_by(&self, generation: &Generation, position: usize) -> Option<ServedBy> {
        generation.served_by(position, &self.worker, &self.chain_counters)
    }

    /// Counts a connection that a chain takes, from now on.
    pub(super) fn count_active(self: &Rc<Self>) -> ActiveConnection {
        let counters = &self.counters.connections;
        counters.downstream_cx_total.increment();
        counters.downstream_cx_active.increment();
        ActiveConnection { listener: self.clone() }
    }

    /// Applies a new version to the connections that are live, a few per turn, and waits until those that had to drain are closed.
    pub(super) async fn review(self: Rc<Self>, generation: Rc<Generation>, drain_time: Duration) {
        let mut draining = Vec::new();
        for (count, id) in (1..).zip(self.live.ids()) {
            if count % REVIEWED_PER_TURN == 0 {
                tokio::task::yield_now().await;
                if !Rc::ptr_eq(&self.generation(), &generation) {
                    break; // the review of the newer version looks at all of them
                }
            }
            if let Some(connection) = self.live.get(id)
                && self.apply(&connection, &generation) == Verdict::Drain
            {
                draining.push(id);
            }
        }
        if !draining.is_empty() {
            self.pause(drain_time).await;
            self.close(draining);
        }
    }

    /// Asks all connections to finish, spread over `spread` so that their clients do not all come back at once. New ones are asked
    /// as soon as they are admitted.
    pub(super) async fn drain(self: Rc<Self>, spread: Duration) {
        self.ask_all(Wish::Drain, spread).await;
    }

    /// As [`Self::drain`], but those that are idle may wait for a last request before: a client that is just sending one does not
    /// find the connection closed. Takes 3/4 of `time`.
    pub(super) async fn drain_with_last_requests(self: Rc<Self>, time: Duration) {
        self.ask_all(Wish::LastRequest, time / 4).await;
        self.pause(time / 4).await;
        self.ask_all(Wish::Drain, time / 4).await;
    }

    /// Memory is short: asks connections of HTTP to leave, a few per turn, until there is more. Idle ones would never answer again, and
    /// keep what they hold.
    /// Not those that were accepted later than `since`: they may be about to ask, and their first answer is their last.
    pub(super) async fn shed(self: Rc<Self>, since: Instant) {
        for (count, id) in (1..).zip(self.live.ids()) {
            if count % SHED_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
            if !self.worker.process.overload.is_active(Action::DisableHttpKeepalive) {
                return;
            }
            if let Some(connection) = self.live.get(id).filter(|live| live.facts().accepted <= since) {
                connection.shed();
            }
        }
    }

    async fn ask_all(&self, wish: Wish, spread: Duration) {
        self.wish.set(wish.max(self.wish.get()));
        let ids = self.live.ids();
        let step = spread / u32::try_from(ids.len().max(1)).unwrap_or(u32::MAX);
        for id in ids {
            if let Some(connection) = self.live.get(id) {
                if wish == Wish::Drain {
                    self.counters.connections.downstream_cx_drained.increment();
                }
                connection.ask(wish);
                self.pause(step).await;
            }
        }
    }

    /// As [`Self::drain`] over the first half of `drain_time`; what is open at its end closes.
    pub(super) async fn drain_and_close(self: Rc<Self>, drain_time: Duration) {
        let deadline = Alarm::new(&self.worker.timers);
        self.worker.io.clock.invalidate();
        deadline.set_after(Some(drain_time));
        deadline.limit(self.clone().drain(drain_time / 2)).await;
        while self.live.len() > 0 && deadline.deadline().is_some_and(|deadline| self.worker.io.clock.now() < deadline) {
            self.pause(Duration::from_millis(100).min(drain_time)).await;
        }
        self.close(self.live.ids());
    }

    fn close(&self, connections: impl IntoIterator<Item = u64>) {
        for id in connections {
            if let Some(connection) = self.live.get(id) {
                connection.ask(Wish::Close);
            }
        }
    }

    fn apply(&self, connection: &Live, generation: &Generation) -> Verdict {
        let position = generation.find(connection.facts());
        let candidate = position.and_then(|position| generation.chain(position));
        let verdict = verdict(connection.facts(), connection.kind(), candidate);
        match verdict {
            Verdict::Adopt => {
                if let Some(served_by) = position.and_then(|position| self.served_by(generation, position)) {
                    connection.adopt(served_by);
                }
            }
            Verdict::Drain => {
                self.counters.connections.downstream_cx_drained.increment();
                connection.ask(Wish::Drain);
            }
            Verdict::Close => {
                self.counters.connections.downstream_cx_closed_by_stricter_tls.increment();
                connection.ask(Wish::Close);
            }
        }
        verdict
    }

    async fn pause(&self, duration: Duration) {
        let alarm = Alarm::new(&self.worker.timers);
        self.worker.io.clock.invalidate();
        alarm.set_after(Some(duration));
        alarm.elapsed().await;
        self.worker.io.clock.invalidate();
    }
}

impl ActiveConnection {
    /// Adds it to the live ones. It was admitted under `generation`, which may not be the newest any more.
    pub(super) fn register(self, connection: Live, generation: &Rc<Generation>) -> Registration {
        let listener = &self.listener;
        let id = connection.facts().id;
        listener.live.insert(connection.clone());
        let newest = listener.generation();
        if !Rc::ptr_eq(&newest, generation) {
            listener.apply(&connection, &newest);
        }
        connection.ask(listener.wish.get());
        Registration { connection: self, id }
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        let counters = &self.listener.counters.connections;
        counters.downstream_cx_active.decrement();
        counters.downstream_cx_destroy.increment();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connection.listener.live.remove(self.id);
    }
}
