//! The control side of an edge: from services to what is offered, from what others offer to endpoints.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::Offer;
use overlay::node::Limits;
use overlay::uplink::{DirectEdge, Uplink};
use tokio::sync::watch;
use tokio::time::Instant;
use xds_client::ca::SpiffeId;

use super::addresses::Addresses;
use super::addresses_in_use::in_use;
use super::callers::Callers;
use super::config::{EdgeConfig, Selection};
use super::datagram::{DatagramTables, Here};
use super::direct::{Dialler, edges_to_dial};
use super::export::{Exports, exports, idle_rules};
use super::import::{Import, Imports, KnownEdges, Wanted, destinations, imports};
use super::labels::IMPORTED_LABEL;
use super::memory::Memory;
use super::news::News;
use super::problems::EdgeProblems;
use super::refusals::RefusalLog;
use super::sink_files::FileSink;
use super::succession::Succession;
use super::tables::Tables;
use super::terminate::{Entrances, Settings};

/// The file with the addresses that stand for other edges, in the edge's folder.
pub(super) const ADDRESSES: &str = "addresses.json";
/// After a file could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Services that may be offered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Services {
    pub(crate) known: Arc<[xds_local::Service]>,
    /// Whoever has them has said all.
    pub(crate) are_all: bool,
}

/// What follows everything that concerns an edge, and tells everybody what comes of it.
#[derive(Debug)]
pub(super) struct EdgeControl {
    /// The folder of the edge.
    pub(super) state: PathBuf,
    pub(super) succession: Succession,
    pub(super) name: String,
    pub(super) locality: String,
    /// The end of names of Services: `cluster.local`.
    pub(super) domain: String,
    /// Who it is in its mesh, if a control plane says so.
    pub(super) workload: Option<SpiffeId>,
    /// What is in force of `edge.yaml`.
    pub(super) config: watch::Receiver<Arc<EdgeConfig>>,
    pub(super) addresses: Addresses,
    /// Those of this machine's interfaces, as of the start.
    pub(super) own_addresses: BTreeSet<IpAddr>,
    pub(super) services: watch::Receiver<Services>,
    pub(super) sink: Sink,
    pub(super) news: News,
    pub(super) memory: Memory,
    pub(super) hubs: Vec<String>,
    /// Bounds of each worker.
    pub(super) limits: Limits,
    pub(super) outputs: Outputs,
    pub(super) entrances: Entrances,
    pub(super) problems: EdgeProblems,
    pub(super) refusals: RefusalLog,
}

/// What it tells others.
#[derive(Debug)]
pub(super) struct Outputs {
    /// Names of the clusters that other edges may call.
    pub(super) offered: watch::Sender<BTreeSet<String>>,
    /// What other edges are told.
    pub(super) offer: watch::Sender<Offer>,
    pub(super) tables: watch::Sender<Arc<Tables>>,
    pub(super) uplinks: watch::Sender<Arc<[Uplink]>>,
    pub(super) direct: watch::Sender<Arc<[DirectEdge]>>,
}

/// Where imports are put.
#[derive(Debug)]
pub(super) enum Sink {
    Folder(FileSink),
    Cluster(watch::Sender<Option<Vec<Import>>>),
}

impl Sink {
    /// Returns when somebody else has changed what was put. Objects of a cluster are looked after where they are written.
    async fn spoilt(&mut self) {
        match self {
            Self::Folder(files) => files.spoilt().await,
            Self::Cluster(_) => std::future::pending().await,
        }
    }
}

impl EdgeControl {
    /// Goes on until it is aborted, unless it loses whoever says what is offered.
    pub(super) async fn run(mut self) {
        let mut services = Services::default();
        let mut exported = Exports::default();
        let mut config = Arc::<EdgeConfig>::default();
        // As far as it is written.
        let mut imported: Option<Vec<Import>> = None;
        let mut spoke = self.succession.speaks();
        loop {
            let speaks = self.succession.speaks();
            match (spoke, speaks) {
                (false, true) => self.begin_to_speak(),
                (true, false) => return self.fall_silent().await,
                _ => {}
            }
            spoke = speaks;
            let (current, wanted_config) =
                (self.services.borrow_and_update().clone(), self.config.borrow_and_update().clone());
            if current != services || !Arc::ptr_eq(&wanted_config, &config) {
                (services, config) = (current, wanted_config);
                self.look_for_addresses_in_use(&services.known, &config);
                exported = self.export(&services.known, &config);
                if services.are_all {
                    for at in idle_rules(&services.known, &config.export) {
                        exported.refused.note(format!("export[{at}] of edge.yaml selects no service"));
                    }
                }
            }
            let heard = self.news.heard();
            let edges = if speaks { self.memory.with(&heard, &config) } else { self.memory.remembered() };
            let taken_hosts = self.taken_hosts(&services.known);
            let (own, domain) = (&self.name, &self.domain);
            let wanted = Wanted { own, rules: &config.import, taken_hosts: &taken_hosts, domain };
            let Imports { services: wanted, selected, refused } = imports(&edges, &wanted, &mut self.addresses);
            let say_again = self.refusals.say(&refused.and(&exported.refused));
            self.publish(&exported, &wanted, &selected, &edges, &config);
            let trust_domain = self.trust_domain(&config).to_owned();
            let settings =
                config.terminate.as_ref().map(|terminate| Settings { terminate, trust_domain: &trust_domain });
            self.entrances.serve(&wanted, settings.as_ref()).await;
            if speaks {
                self.dial(&config, &edges);
                if imported.as_ref() != Some(&wanted) {
                    imported = self.import(&wanted).then_some(wanted);
                }
            }
            tokio::select! {
                changed = self.services.changed() => if changed.is_err() { return },
                Ok(()) = self.config.changed() => {}
                () = self.news.changed() => {}
                Ok(()) = self.succession.phase.changed() => {}
                () = self.memory.fades(), if speaks => {}
                () = sleep_until(say_again) => {}
                () = tokio::time::sleep(TRY_AGAIN), if speaks && imported.is_none() => {}
                () = self.sink.spoilt(), if speaks && imported.is_some() => imported = None,
            }
        }
    }

    /// Says what is offered as of now.
    pub(super) fn begin(&self) {
        let (services, config) = (self.services.borrow(), self.config.borrow());
        self.export(&services.known, &config);
    }

    /// An address that stands for an edge and is somebody's leads nobody there.
    fn look_for_addresses_in_use(&self, services: &[xds_local::Service], config: &EdgeConfig) {
        let in_use = in_use(config, services, &self.own_addresses);
        // Services change often, and this does not.
        if self.problems.set("importAddresses", 0, in_use.clone())
            && let Some(in_use) = in_use
        {
            tracing::warn!("importAddresses of edge.yaml: {in_use}");
        }
    }

    /// Goes on with what the process before has left in the folder.
    fn begin_to_speak(&mut self) {
        self.memory.read_again();
        match Addresses::open(&self.state.join(ADDRESSES), self.config.borrow().import_addresses) {
            Ok(addresses) => self.addresses = addresses,
            Err(error) => tracing::error!("{ADDRESSES} stays as it was read at the start: {error}"),
        }
    }

    /// Another process goes on with it. What is served here stays as it is until the end.
    async fn fall_silent(self) {
        self.memory.leave();
        if let Sink::Cluster(imports) = &self.sink {
            imports.send_replace(None);
        }
        std::future::pending().await
    }

    fn trust_domain<'a>(&'a self, config: &'a EdgeConfig) -> &'a str {
        self.workload.as_ref().map_or(&config.trust_domain, |workload| &workload.trust_domain)
    }

    /// Hosts of services here. In a cluster it is decided by the objects that have them (`kubernetes/plan.rs`).
    fn taken_hosts(&self, services: &[xds_local::Service]) -> BTreeSet<String> {
        match self.sink {
            Sink::Folder(_) => {
                let own = services.iter().filter(|service| !service.labels.contains_key(IMPORTED_LABEL));
                own.map(|service| service.host.clone()).collect()
            }
            Sink::Cluster(_) => BTreeSet::new(),
        }
    }

    fn export(&self, services: &[xds_local::Service], config: &EdgeConfig) -> Exports {
        let exported = exports(services, &config.export);
        let clusters = exported.clusters().map(|cluster| cluster.to_string()).collect();
        self.outputs.offered.send_replace(clusters);
        let offer = Offer {
            locality: self.locality.clone(),
            addresses: config.direct.addresses(),
            services: exported.services.clone(),
        };
        replace(&self.outputs.offer, offer);
        exported
    }

    /// Says over which links hubs are reached, and other edges without them.
    fn dial(&self, config: &EdgeConfig, edges: &KnownEdges) {
        replace(&self.outputs.uplinks, uplinks(&self.hubs, &config.uplinks));
        let (name, hubs, addresses, limits) = (&self.name, &self.hubs, &self.own_addresses, &self.limits);
        replace(&self.outputs.direct, edges_to_dial(&Dialler { name, hubs, addresses, limits }, edges, config));
    }

    /// Workers know where an address leads before any endpoint has it.
    fn publish(
        &self,
        exported: &Exports,
        imported: &[Import],
        selected: &[usize],
        edges: &KnownEdges,
        config: &EdgeConfig,
    ) {
        let here = Here { name: &self.name, locality: &self.locality };
        let tables = Tables {
            imports: destinations(imported).collect(),
            exports: exported.table.clone(),
            datagrams: DatagramTables::new(&here, &config.datagrams, edges),
            callers: Callers::new(config.callers.as_deref(), self.trust_domain(config)),
            reserved: config.import_addresses,
            import_entries: config.import.iter().map(Selection::describe).zip(selected.iter().copied()).collect(),
        };
        replace(&self.outputs.tables, Arc::new(tables));
    }

    /// Whether it was done.
    fn import(&mut self, imported: &[Import]) -> bool {
        // An address that is forgotten would stand for another edge after the next start, for which nobody would be asked.
        let saved = self.addresses.save().map_err(|error| format!("{ADDRESSES}: {error}"));
        let written = saved.and_then(|()| match &mut self.sink {
            Sink::Folder(files) => files.put(imported).map_err(|error| format!("{}: {error}", files.path().display())),
            Sink::Cluster(imports) => {
                imports.send_replace(Some(imported.to_vec()));
                Ok(())
            }
        });
        self.problems.set("imports", 0, written.as_ref().err().map(|error| format!("cannot write {error}")));
        match &written {
            Ok(()) => tracing::info!(services = imported.len(), "imports are as other edges offer them"),
            Err(error) => tracing::error!("imports are not changed: cannot write {error}"),
        }
        written.is_ok()
    }
}

/// At a time, if there is one.
pub(super) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whoever follows it hears of it if it is another one.
fn replace<T: PartialEq>(output: &watch::Sender<T>, value: T) {
    output.send_if_modified(|before| {
        let changed = *before != value;
        *before = value;
        changed
    });
}

/// Each hub from each address.
fn uplinks(hubs: &[String], addresses: &[IpAddr]) -> Arc<[Uplink]> {
    let locals: Vec<_> = if addresses.is_empty() { vec![None] } else { addresses.iter().copied().map(Some).collect() };
    hubs.iter().flat_map(|hub| locals.iter().map(|local| Uplink { hub: hub.clone(), local: *local })).collect()
}
