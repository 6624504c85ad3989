//! Listeners: from the listening socket to the application that serves a connection.
//!
//! Control binds the sockets ([`socket`]) and publishes snapshots; each worker accepts on its own socket ([`accept`]), finds out
//! what a connection is and which chain takes it ([`admit`]), and keeps track of those that live, so that a change of configuration
//! reaches them ([`effect`]).

mod accept;
mod admit;
mod counters;
pub mod effect;
mod entrance;
mod generation;
mod handshake;
mod limit_warnings;
mod live;
mod open;
pub mod proxy_protocol;
mod refusal;
pub mod socket;
pub mod tls_inspector;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::accept::{AcceptGate, AcceptLoops, AfterLast};
use self::open::OpenListener;
use self::socket::ListeningSockets;
use crate::config::snapshot::ListenerSnapshot;
use crate::drain::Phase;
use crate::worker::{Worker, vital};

pub use counters::{ConnectionCounters, ListenerCounters, OpenConnection, SecretCounters, TlsCounters, TotalCounters};

/// The listeners of one worker. Accepting ends when this is dropped; connections are tasks of the worker.
#[derive(Debug)]
pub struct Listeners {
    worker: Rc<Worker>,
    /// Which of each listener's sockets is ours.
    index: usize,
    /// How long connections may take to finish when their listener or their chain is gone.
    drain_time: Duration,
    totals: Arc<TotalCounters>,
    gate: AcceptGate,
    open: RefCell<HashMap<Arc<str>, Entry>>,
    /// Reviews and drains that are under way.
    upkeep: RefCell<JoinSet<()>>,
    /// A drain of the whole process, and how long it is spread over.
    draining: Cell<Option<Duration>>,
    closing: Cell<bool>,
}

#[derive(Debug)]
struct Entry {
    listener: Rc<OpenListener>,
    sockets: Arc<ListeningSockets>,
    accepting: AcceptLoops,
}

impl Listeners {
    /// None yet, on the worker that takes the socket at `index` of each. Nothing is accepted before `phase` is
    /// [`Phase::Serving`]; `accept_loops` counts the sockets that are accepted from, on all workers.
    pub fn new(
        worker: Rc<Worker>,
        index: usize,
        drain_time: Duration,
        totals: Arc<TotalCounters>,
        phase: watch::Receiver<Phase>,
        accept_loops: Arc<AtomicU64>,
    ) -> Self {
        Self {
            worker,
            index,
            drain_time,
            totals,
            gate: AcceptGate { phase, loops: accept_loops },
            open: RefCell::default(),
            upkeep: RefCell::default(),
            draining: Cell::new(None),
            closing: Cell::new(false),
        }
    }

    /// Takes over a published listener, or its removal.
    pub fn apply(&self, name: Arc<str>, snapshot: Option<Arc<ListenerSnapshot>>) {
        let known = self.open.borrow().contains_key(&name);
        match snapshot {
            None => self.remove(&name),
            Some(snapshot) if known => self.update(&name, &snapshot),
            Some(_) if self.closing.get() => {}
            Some(snapshot) => self.add(name, &snapshot),
        }
    }

    /// Asks live connections to finish, spread over `spread`, and new ones at once. Connections are still accepted.
    pub fn drain(&self, spread: Duration) {
        self.draining.set(Some(spread));
        let listeners: Vec<_> = self.open.borrow().values().map(|entry| entry.listener.clone()).collect();
        for listener in listeners {
            self.keep_up(listener.drain(spread));
        }
    }

    /// Accepts what waits already, then nothing more: clients are refused from now on. Sockets that another process holds too are
    /// left to it, with what waits.
    pub fn stop_accepting(&self) {
        self.closing.set(true);
        for entry in self.open.borrow().values() {
            let shared = entry.sockets.are_shared();
            entry.accepting.stop(if shared { AfterLast::LeaveToAnother } else { AfterLast::ShutDown });
        }
    }

    /// As [`Self::stop_accepting`]; live connections end with a last request, or idle, within 3/4 of `time`.
    pub fn hand_over(&self, time: Duration) {
        self.stop_accepting();
        let listeners: Vec<_> = self.open.borrow().values().map(|entry| entry.listener.clone()).collect();
        for listener in listeners {
            self.keep_up(listener.drain_with_last_requests(time));
        }
    }

    /// Memory is short `since` then: asks idle connections to leave, and the others to do so with their next answer.
    pub fn shed(&self, since: Instant) {
        for entry in self.open.borrow().values() {
            if !entry.listener.generation().model.bypass_overload_manager {
                self.keep_up(entry.listener.clone().shed(since));
            }
        }
    }

    fn add(&self, name: Arc<str>, snapshot: &ListenerSnapshot) {
        let sockets = snapshot.sockets.clone();
        let listener = OpenListener::new(snapshot, &self.worker, &self.totals);
        if let Some(spread) = self.draining.get() {
            self.keep_up(listener.clone().drain(spread));
        }
        let accepting = AcceptLoops::start(&sockets, self.index, &listener, &self.gate);
        self.open.borrow_mut().insert(name, Entry { listener, sockets, accepting });
    }

    fn update(&self, name: &Arc<str>, snapshot: &ListenerSnapshot) {
        let mut open = self.open.borrow_mut();
        let Some(entry) = open.get_mut(name) else { return };
        let generation = entry.listener.update(snapshot);
        let listener = entry.listener.clone();
        let moved = !Arc::ptr_eq(&entry.sockets, &snapshot.sockets) && !self.closing.get();
        let before = moved.then(|| {
            entry.sockets = snapshot.sockets.clone();
            let accepting = AcceptLoops::start(&entry.sockets, self.index, &listener, &self.gate);
            std::mem::replace(&mut entry.accepting, accepting)
        });
        drop(open);
        if let Some(before) = before {
            self.keep_up(before.finish());
        }
        self.keep_up(listener.review(generation, self.drain_time));
    }

    fn remove(&self, name: &Arc<str>) {
        let Some(entry) = self.open.borrow_mut().remove(name) else { return };
        let drain_time = self.drain_time;
        self.keep_up(async move {
            let Entry { listener, sockets, accepting } = entry;
            drop(sockets);
            accepting.finish().await;
            listener.drain_and_close(drain_time).await;
        });
    }

    fn keep_up(&self, task: impl Future<Output = ()> + 'static) {
        let mut upkeep = self.upkeep.borrow_mut();
        while upkeep.try_join_next().is_some() {}
        upkeep.spawn_local(vital("listeners", task));
    }
}
