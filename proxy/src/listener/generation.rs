//! One version of a listener's configuration, as a worker uses it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use route::FilterChainTable;
use xds_model::http::HttpConnectionManager;
use xds_model::listener::{FilterChain, Listener, TcpProxy};

use super::effect::Candidate;
use crate::config::snapshot::{Application, ChainSnapshot, ListenerSnapshot};
use crate::http::{HttpChain, HttpCounters};
use crate::tcp::{TcpChain, TcpCounters};
use crate::telemetry::access_log::AccessLogger;
use crate::telemetry::counter::Group;
use crate::worker::Worker;
use crate::worker::connection::ConnectionFacts;

/// A version of a listener. What serves a chain's connections is made when the first one comes: a listener may have thousands of
/// chains, of which most are never used. It does not hold the sockets: they close when their listener is removed, not when its last
/// connection is.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) model: Arc<Listener>,
    pub(super) access_log: Arc<[AccessLogger]>,
    matcher: Arc<FilterChainTable>,
    chains: Arc<[Arc<ChainSnapshot>]>,
    served_by: Vec<OnceCell<ServedBy>>,
}

/// What serves the connections of a chain.
#[derive(Clone, Debug)]
pub(super) enum ServedBy {
    Http(Rc<HttpChain>),
    Tcp(Rc<TcpChain>),
}

impl Generation {
    pub(super) fn new(snapshot: &ListenerSnapshot) -> Rc<Self> {
        Rc::new(Self {
            model: snapshot.model.clone(),
            access_log: snapshot.access_log.clone(),
            matcher: snapshot.matcher.clone(),
            chains: snapshot.chains.clone(),
            served_by: snapshot.chains.iter().map(|_| OnceCell::new()).collect(),
        })
    }

    /// Position of the chain that takes a connection.
    pub(super) fn find(&self, facts: &ConnectionFacts) -> Option<usize> {
        let wanted = route::ConnectionFacts {
            destination: facts.local,
            server_name: facts.server_name(),
            transport: facts.transport,
            application_protocols: facts.offered_protocols(),
            source: facts.remote.ip(),
        };
        let model = &self.model;
        let default = || model.default_filter_chain.is_some().then_some(model.filter_chains.len());
        self.matcher.find(&wanted).or_else(default)
    }

    /// The chain at a position.
    pub(super) fn chain(&self, position: usize) -> Option<Candidate<'_>> {
        let model: &FilterChain = match self.model.filter_chains.get(position) {
            Some(chain) => chain,
            None => self.model.default_filter_chain.as_ref()?,
        };
        Some(Candidate { model, snapshot: self.chains.get(position)? })
    }

    /// What serves the connections of the chain at a position.
    pub(super) fn served_by(&self, position: usize, worker: &Worker, counters: &ChainCounters) -> Option<ServedBy> {
        let chain = self.chains.get(position)?;
        let make = || match &chain.application {
            Application::Http(http) => ServedBy::Http(HttpChain::new(http, counters.http(&http.model, worker))),
            Application::Tcp(tcp) => ServedBy::Tcp(TcpChain::new(tcp, counters.tcp(&tcp.model, worker))),
        };
        Some(self.served_by.get(position)?.get_or_init(make).clone())
    }
}

/// Counters of chains: they go on counting when the configuration changes.
#[derive(Debug, Default)]
pub(super) struct ChainCounters {
    http: CounterTable<HttpCounters>,
    tcp: CounterTable<TcpCounters>,
}

impl ChainCounters {
    fn http(&self, model: &HttpConnectionManager, worker: &Worker) -> Arc<HttpCounters> {
        // istiod ends its prefixes with a semicolon, which is no part of the name.
        let make = || HttpCounters::new(format!("http.{}.", model.stat_prefix.trim_end_matches(';')));
        self.http.get(&model.stat_prefix, worker, make)
    }

    fn tcp(&self, model: &TcpProxy, worker: &Worker) -> Arc<TcpCounters> {
        self.tcp.get(&model.stat_prefix, worker, || TcpCounters::new(format!("tcp.{}.", model.stat_prefix)))
    }

    /// Forgets those that neither a chain nor a connection uses.
    pub(super) fn prune(&self, generation: &Generation) {
        let applications = || generation.chains.iter().map(|chain| &chain.application);
        self.http.retain(|prefix| {
            applications().any(|chain| matches!(chain, Application::Http(http) if http.model.stat_prefix == prefix))
        });
        self.tcp.retain(|prefix| {
            applications().any(|chain| matches!(chain, Application::Tcp(tcp) if tcp.model.stat_prefix == prefix))
        });
    }
}

/// Counters of one kind by `stat_prefix`.
#[derive(Debug)]
struct CounterTable<C>(RefCell<HashMap<String, Arc<C>>>);

impl<C> Default for CounterTable<C> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<C: Group + 'static> CounterTable<C> {
    fn get(&self, prefix: &str, worker: &Worker, make: impl FnOnce() -> C) -> Arc<C> {
        let mut known = self.0.borrow_mut();
        known.entry_ref(prefix).or_insert_with(|| worker.process.registry.register(make())).clone()
    }

    /// Keeps those that are in use, and those that are named.
    fn retain(&self, is_named: impl Fn(&str) -> bool) {
        self.0.borrow_mut().retain(|prefix, counters| Arc::strong_count(counters) > 1 || is_named(prefix));
    }
}
