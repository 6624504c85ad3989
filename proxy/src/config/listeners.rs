//! Listeners: model to snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashSet;
use route::{FilterChainTable, RouteTable};
use xds_model::access_log::{AccessLog, AccessLogSink};
use xds_model::http::{HttpConnectionManager, RouteSource};
use xds_model::listener::{FilterChain, Listener, TerminalFilter};
use xds_model::tls::SecretReference;

use super::extensions::Extensions;
use super::secrets::SecretStore;
use super::snapshot::{
    Application, ChainSnapshot, ChainTransport, HttpSnapshot, ListenerSnapshot, Routes, TcpSnapshot,
};
use super::status::{ListenerFailure, ListenerState, ListenerStatus};
use crate::listener::socket::SocketTable;
use crate::telemetry::access_log::{AccessLogSinks, AccessLogger};
use crate::tls::{ServerTls, SessionTickets, TlsError, named_secrets};

/// What listeners are built with.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) workers: usize,
    pub(super) sockets: SocketTable,
    pub(super) tickets: SessionTickets,
    pub(super) logs: Arc<AccessLogSinks>,
    pub(super) extensions: Extensions,
}

/// All listeners by name.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    known: BTreeMap<Arc<str>, Entry>,
    /// Attempts to build one that failed.
    failures: u64,
}

#[derive(Debug)]
struct Entry {
    model: Arc<Listener>,
    secrets: HashSet<SecretReference>,
    /// What the workers have; none if it could not be built even once.
    snapshot: Option<Arc<ListenerSnapshot>>,
    state: ListenerState,
}

impl Listeners {
    /// Takes over a new version and returns what the workers get; the last good one stays if this one cannot be built, and nothing
    /// is returned.
    pub(super) fn upsert(
        &mut self,
        model: Arc<Listener>,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Option<Arc<ListenerSnapshot>> {
        let name: Arc<str> = model.name.as_str().into();
        let old = self.known.remove(&name).and_then(|entry| entry.snapshot);
        let mut entry = Entry { secrets: named_by(&model), model, snapshot: old, state: ListenerState::Active };
        let built = entry.rebuild(secrets, tools);
        if built.is_none() {
            self.failures += 1;
            entry.secrets.extend(entry.snapshot.iter().flat_map(|earlier| named_by(&earlier.model)));
        }
        self.known.insert(name, entry);
        built
    }

    /// Builds those anew that name the secret, and returns them.
    pub(super) fn secret_changed(
        &mut self,
        secret: &SecretReference,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Vec<(Arc<str>, Arc<ListenerSnapshot>)> {
        self.refresh_where(|entry| entry.secrets.contains(secret), secrets, tools)
    }

    /// Builds those anew that have a filter whose configuration has this name, and returns them.
    pub(super) fn extension_changed(
        &mut self,
        name: &str,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Vec<(Arc<str>, Arc<ListenerSnapshot>)> {
        let has = |model: &Listener| model.discovered_filters().any(|filter| filter.name == name);
        let named =
            |entry: &Entry| has(&entry.model) || entry.snapshot.as_ref().is_some_and(|earlier| has(&earlier.model));
        self.refresh_where(named, secrets, tools)
    }

    /// As [`Self::rebuild_where`]; where the newest version cannot be served, the one before it, which serves, changes too.
    fn refresh_where(
        &mut self,
        condition: impl Fn(&Entry) -> bool,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Vec<(Arc<str>, Arc<ListenerSnapshot>)> {
        let mut built = self.rebuild_where(&condition, secrets, tools);
        for (name, entry) in self.known.iter_mut().filter(|(_, entry)| condition(entry)) {
            if matches!(entry.state, ListenerState::Failed(_)) {
                built.extend(entry.rebuild_earlier(secrets, tools).map(|snapshot| (name.clone(), snapshot)));
            }
        }
        built
    }

    /// Builds those again that failed, and returns those that no longer do.
    pub(super) fn retry_failed(
        &mut self,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Vec<(Arc<str>, Arc<ListenerSnapshot>)> {
        self.rebuild_where(|entry| matches!(entry.state, ListenerState::Failed(_)), secrets, tools)
    }

    fn rebuild_where(
        &mut self,
        condition: impl Fn(&Entry) -> bool,
        secrets: &SecretStore,
        tools: &mut Tools,
    ) -> Vec<(Arc<str>, Arc<ListenerSnapshot>)> {
        let mut built = Vec::new();
        for (name, entry) in self.known.iter_mut().filter(|(_, entry)| condition(entry)) {
            match entry.rebuild(secrets, tools) {
                Some(snapshot) => built.push((name.clone(), snapshot)),
                None => self.failures += 1,
            }
        }
        built
    }

    /// Forgets a listener; its sockets close when the workers have let go of them.
    pub(super) fn remove(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// The secrets that anything names.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretReference> {
        self.known.values().flat_map(|entry| &entry.secrets)
    }

    /// Attempts to serve one that failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// For people. Some workers do not serve those yet that are `behind`.
    pub(super) fn status(&self, behind: &HashSet<Arc<str>>) -> Vec<ListenerStatus> {
        let status = |(name, entry): (&Arc<str>, &Entry)| ListenerStatus {
            name: name.to_string(),
            address: entry.snapshot.as_ref().map_or(entry.model.address, |snapshot| snapshot.sockets.address()),
            state: entry.state.clone(),
            is_everywhere: !behind.contains(name),
        };
        self.known.iter().map(status).collect()
    }
}

impl Entry {
    /// Returns nothing if it failed: the last good version stays in force.
    fn rebuild(&mut self, secrets: &SecretStore, tools: &mut Tools) -> Option<Arc<ListenerSnapshot>> {
        match build(&self.model, secrets, tools) {
            Ok(built) => Some(self.serve(built)),
            Err(reason) => {
                self.fail(reason);
                None
            }
        }
    }

    /// The version before the newest one, which serves because that one cannot be served.
    fn rebuild_earlier(&mut self, secrets: &SecretStore, tools: &mut Tools) -> Option<Arc<ListenerSnapshot>> {
        let (snapshot, _) = build(&self.snapshot.as_ref()?.model, secrets, tools).ok()?;
        let snapshot = Arc::new(snapshot);
        self.snapshot = Some(snapshot.clone());
        Some(snapshot)
    }

    fn serve(&mut self, (snapshot, waiting): (ListenerSnapshot, Vec<String>)) -> Arc<ListenerSnapshot> {
        self.state = match waiting.is_empty() {
            true => ListenerState::Active,
            false => ListenerState::WaitingForSecrets(waiting),
        };
        let snapshot = Arc::new(snapshot);
        self.snapshot = Some(snapshot.clone());
        snapshot
    }

    fn fail(&mut self, reason: String) {
        if !matches!(&self.state, ListenerState::Failed(before) if before.reason == reason) {
            tracing::error!(listener = self.model.name, "cannot serve: {reason}");
        }
        self.state = ListenerState::Failed(ListenerFailure {
            reason,
            last_attempt: SystemTime::now(),
            earlier_version_serves: self.snapshot.is_some(),
        });
    }
}

/// The secrets that its chains name.
fn named_by(model: &Listener) -> HashSet<SecretReference> {
    let tls = all_chains(model).filter_map(|chain| chain.tls.as_ref());
    tls.flat_map(|tls| named_secrets(&tls.certificates, tls.validation.as_ref())).cloned().collect()
}

fn all_chains(model: &Listener) -> impl Iterator<Item = &FilterChain> {
    model.filter_chains.iter().chain(&model.default_filter_chain)
}

/// Returns the names of the secrets that chains wait for beside the snapshot.
fn build(
    model: &Arc<Listener>,
    secrets: &SecretStore,
    tools: &mut Tools,
) -> Result<(ListenerSnapshot, Vec<String>), String> {
    let matcher = FilterChainTable::compile(model.filter_chains.iter().map(|chain| &chain.matches));
    let mut waiting = Vec::new();
    let mut chains = Vec::new();
    for chain in all_chains(model) {
        let transport = transport(chain, secrets, &tools.tickets)?;
        if let ChainTransport::Waiting(secret) = &transport {
            waiting.push(secret.to_string());
        }
        chains.push(Arc::new(ChainSnapshot { transport, application: application(chain, tools)? }));
    }
    let access_log = loggers(&model.access_log, &tools.logs)?;
    let sockets = tools
        .sockets
        .get(model.address, tools.workers)
        .map_err(|error| format!("cannot listen on {}: {error}", model.address))?;
    let (matcher, chains) = (Arc::new(matcher), chains.into());
    Ok((ListenerSnapshot { model: model.clone(), sockets, matcher, chains, access_log }, waiting))
}

fn transport(chain: &FilterChain, secrets: &SecretStore, tickets: &SessionTickets) -> Result<ChainTransport, String> {
    let Some(tls) = &chain.tls else { return Ok(ChainTransport::Raw) };
    match ServerTls::build(tls, secrets, tickets) {
        Ok(server) => Ok(ChainTransport::Tls(Arc::new(server))),
        Err(TlsError::Waiting(secret)) => Ok(ChainTransport::Waiting(secret.into())),
        // A bad certificate is its owner's trouble: the other chains of the port serve.
        Err(invalid @ TlsError::Invalid { .. }) => {
            tracing::error!("a filter chain cannot serve TLS: {invalid}");
            Ok(ChainTransport::Waiting(invalid.to_string().into()))
        }
    }
}

fn application(chain: &FilterChain, tools: &Tools) -> Result<Application, String> {
    Ok(match &chain.terminal {
        TerminalFilter::Http(manager) => Application::Http(Arc::new(http(chain, manager, tools)?)),
        TerminalFilter::Tcp(proxy) => Application::Tcp(Arc::new(TcpSnapshot {
            chain: chain.name.as_str().into(),
            model: (**proxy).clone(),
            access_log: loggers(&proxy.access_log, &tools.logs)?,
        })),
    })
}

fn http(chain: &FilterChain, manager: &HttpConnectionManager, tools: &Tools) -> Result<HttpSnapshot, String> {
    let routes = match &manager.routes {
        RouteSource::Rds(name) => Routes::Named(name.as_str().into()),
        RouteSource::Inline(table) => {
            Routes::Inline(Arc::new(RouteTable::compile(table).map_err(|error| error.to_string())?))
        }
    };
    let filters = tools.extensions.resolve(&manager.filters);
    let access_log = loggers(&manager.access_log, &tools.logs)?;
    Ok(HttpSnapshot { chain: chain.name.as_str().into(), model: manager.clone(), filters, routes, access_log })
}

fn loggers(logs: &[AccessLog], sinks: &AccessLogSinks) -> Result<Arc<[AccessLogger]>, String> {
    let logger = |log: &AccessLog| {
        let AccessLogSink::File { path, .. } = &log.sink;
        AccessLogger::new(log, sinks).map_err(|error| format!("access log {path}: {error}"))
    };
    logs.iter().map(logger).collect()
}
