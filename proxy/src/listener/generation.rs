//! One version of a listener's configuration, as a worker uses it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use route::FilterChainTable;
use xds_model::listener::{FilterChain, Listener};

use super::effect::Candidate;
use crate::config::snapshot::{Application, ChainSnapshot, ListenerSnapshot};
use crate::http::HttpChain;
use crate::tcp::{TcpChain, TcpCounters};
use crate::telemetry::access_log::AccessLogger;
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
            server_name: facts.server_name.as_deref(),
            transport: facts.transport,
            application_protocols: &facts.offered_protocols,
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
    pub(super) fn served_by(&self, position: usize, worker: &Worker, counters: &TcpCounterTable) -> Option<ServedBy> {
        let chain = self.chains.get(position)?;
        let make = || match &chain.application {
            Application::Http(http) => ServedBy::Http(HttpChain::new(http, worker)),
            Application::Tcp(tcp) => ServedBy::Tcp(TcpChain::new(tcp, counters.get(&tcp.model.stat_prefix, worker))),
        };
        Some(self.served_by.get(position)?.get_or_init(make).clone())
    }
}

/// Counters of TCP chains by `stat_prefix`: they go on counting when the configuration changes.
#[derive(Debug, Default)]
pub(super) struct TcpCounterTable(RefCell<HashMap<String, Arc<TcpCounters>>>);

impl TcpCounterTable {
    fn get(&self, prefix: &str, worker: &Worker) -> Arc<TcpCounters> {
        let mut known = self.0.borrow_mut();
        let register = || worker.process.registry.register(TcpCounters::new(format!("tcp.{prefix}.")));
        known.entry_ref(prefix).or_insert_with(register).clone()
    }

    /// Forgets those that neither a chain nor a connection uses.
    pub(super) fn prune(&self, generation: &Generation) {
        let names_it = |prefix: &str| {
            generation
                .chains
                .iter()
                .any(|chain| matches!(&chain.application, Application::Tcp(tcp) if tcp.model.stat_prefix == prefix))
        };
        self.0.borrow_mut().retain(|prefix, counters| Arc::strong_count(counters) > 1 || names_it(prefix));
    }
}
