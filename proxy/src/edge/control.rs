//! The control side of an edge: from services to what is offered, from what others offer to endpoints.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use overlay::catalogue::Offer;
use overlay::folder::Folder;
use overlay::identity::{Identity, Trust};
use overlay::node::Limits;
use overlay::shards::Shards;
use overlay::uplink::Uplink;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use xds_client::Event;
use xds_client::ca::SpiffeId;

use super::addresses::Addresses;
use super::callers::Callers;
use super::config::EdgeConfig;
use super::datagram::{DatagramTables, Here};
use super::export::{Exports, exports};
use super::import::{Import, KnownEdges, Wanted, destinations, imports};
use super::kubernetes::{self, Availability, Connected, EdgeOfCluster, KubernetesCounters, KubernetesOptions};
use super::labels::IMPORTED_LABEL;
use super::memory::Memory;
use super::node::EdgeShare;
use super::sink_files::FileSink;
use super::tables::Tables;
use super::terminate::Entrances;
use crate::telemetry::counter::Registry;
use crate::worker::vital;

/// The file with what is offered and taken, in the edge's folder.
const CONFIG: &str = "edge.yaml";
/// The file with the addresses that stand for other edges, in the same folder.
const ADDRESSES: &str = "addresses.json";
/// After a file could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// How an edge is to run.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// Its folder, made by `selvedge join`.
    pub state: PathBuf,
    /// Where it is: `region/zone/sub-zone`; may be empty.
    pub locality: String,
    /// Who it is in its mesh, if there is a control plane that says so.
    pub workload: Option<SpiffeId>,
}

/// Services that may be offered.
pub(crate) type Services = Arc<[xds_local::Service]>;

/// An edge, before anything of it runs.
#[derive(Debug)]
pub struct Edge {
    share: EdgeShare,
    offered: watch::Receiver<BTreeSet<String>>,
    control: EdgeControl,
}

#[derive(Debug)]
struct EdgeControl {
    name: String,
    locality: String,
    config: EdgeConfig,
    addresses: Addresses,
    services: watch::Receiver<Services>,
    sink: Sink,
    known: watch::Receiver<KnownEdges>,
    memory: Memory,
    offered: watch::Sender<BTreeSet<String>>,
    offer: watch::Sender<Offer>,
    tables: watch::Sender<Arc<Tables>>,
    entrances: Entrances,
    trust_domain: String,
}

/// Where imports are put.
#[derive(Debug)]
enum Sink {
    Folder(FileSink),
    Cluster(watch::Sender<Option<Vec<Import>>>),
}

/// A member of the overlay, as its folder has it.
struct Member {
    folder: Folder,
    trust: Arc<Trust>,
    identity: Identity,
}

/// What an edge is made of.
struct Inputs {
    config: EdgeConfig,
    member: Member,
    services: watch::Receiver<Services>,
    /// Where resources of its own go to control.
    events: mpsc::Sender<Vec<Event>>,
}

impl Member {
    fn read(state: &Path) -> anyhow::Result<Self> {
        let folder = Folder::open(state)?;
        let trust = folder.trust()?;
        let identity = folder.identity(trust.clone())?;
        Ok(Self { folder, trust, identity })
    }
}

impl Edge {
    /// An edge whose gateway serves a folder, in which imports are put. `services` is what the folder defines.
    ///
    /// # Errors
    /// The edge has not joined, or a file of its own folder is of no use.
    pub(crate) fn of_folder(
        options: &EdgeOptions,
        folder: &Path,
        services: watch::Receiver<Services>,
        events: mpsc::Sender<Vec<Event>>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let config_path = options.state.join(CONFIG);
        let config = EdgeConfig::read(&config_path)?;
        if let Some(field) = config.of_clusters_alone() {
            bail!("{}: {field}: this edge is not part of a cluster", config_path.display());
        }
        let member = Member::read(&options.state)?;
        let inputs = Inputs { config, member, services, events };
        Self::open(options, inputs, Sink::Folder(FileSink::new(folder)), tasks)
    }

    /// An edge whose gateway takes its configuration from istiod; imports are put into the cluster. Returns as well what must be told of what
    /// istiod sends.
    ///
    /// # Errors
    /// The edge has not joined, a file of its folder is of no use, or it is not clear how the API server is reached.
    pub(crate) async fn of_cluster(
        options: &EdgeOptions,
        cluster: &KubernetesOptions,
        registry: &Registry,
        events: mpsc::Sender<Vec<Event>>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<(Self, Availability)> {
        let config = EdgeConfig::read(&options.state.join(CONFIG))?;
        let member = Member::read(&options.state)?;
        let edge = EdgeOfCluster {
            name: member.identity.peer().name(),
            state: &options.state,
            config: &config,
            counters: registry.register(KubernetesCounters::new("kubernetes.")),
        };
        let Connected { services, imports, availability } = kubernetes::connect(cluster, &edge, tasks).await?;
        let inputs = Inputs { config, member, services, events };
        Ok((Self::open(options, inputs, Sink::Cluster(imports), tasks)?, availability))
    }

    fn open(options: &EdgeOptions, inputs: Inputs, sink: Sink, tasks: &mut JoinSet<()>) -> anyhow::Result<Self> {
        let EdgeOptions { state, locality, workload } = options;
        let Inputs { config, member, services, events } = inputs;
        if workload.is_none() && config.terminate.as_ref().is_some_and(|terminate| terminate.files.is_none()) {
            bail!("{}: terminate needs certificate, key and authorities without istiod", state.join(CONFIG).display());
        }
        let trust_domain = workload.as_ref().map_or(&config.trust_domain, |workload| &workload.trust_domain).clone();
        let Member { folder, trust, identity } = member;
        let name = identity.peer().name().to_owned();
        let (identity, current) = watch::channel(Arc::new(identity));
        let path = state.join(ADDRESSES);
        let addresses = Addresses::open(&path, config.import_addresses)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let (offer, offer_receiver) = watch::channel(Offer::default());
        let (tables, tables_receiver) = watch::channel(Arc::default());
        let (known, known_receiver) = watch::channel(KnownEdges::default());
        let (offered, offered_receiver) = watch::channel(BTreeSet::new());
        let share = EdgeShare {
            identity: current,
            uplinks: uplinks(&folder.hubs()?, &config.uplinks),
            epoch: folder.next_epoch()?,
            control_socket: folder.control_socket(),
            tables: tables_receiver,
            offer: offer_receiver,
            workload: workload.as_ref().map_or_else(String::new, SpiffeId::to_string).into(),
            known,
            limits: Limits::default(),
            shards: Shards::new(trust.clone()),
        };
        tasks.spawn(vital("trust", folder.clone().keep_trust(trust)));
        tasks.spawn(vital("renewal of the certificate", overlay::enroll::renew::keep(folder, identity)));
        let memory = Memory::open(state);
        let locality = locality.clone();
        let control = EdgeControl {
            name,
            locality,
            config,
            addresses,
            services,
            sink,
            known: known_receiver,
            memory,
            offered,
            offer,
            tables,
            entrances: Entrances::new(events, &trust_domain),
            trust_domain,
        };
        // Known from the beginning: of the last good configuration only what is needed is kept.
        control.export(&control.services.borrow());
        Ok(Self { share, offered: offered_receiver, control })
    }

    /// What workers need.
    pub fn share(&self) -> EdgeShare {
        self.share.clone()
    }

    /// Names of the clusters that others may call.
    pub fn offered(&self) -> watch::Receiver<BTreeSet<String>> {
        self.offered.clone()
    }

    /// Follows what may be offered, and what other edges offer.
    pub fn run(self, tasks: &mut JoinSet<()>) {
        tasks.spawn(vital("edge", self.control.run()));
    }
}

/// Each hub from each address.
fn uplinks(hubs: &[String], addresses: &[IpAddr]) -> Arc<[Uplink]> {
    let locals: Vec<_> = if addresses.is_empty() { vec![None] } else { addresses.iter().copied().map(Some).collect() };
    hubs.iter().flat_map(|hub| locals.iter().map(|local| Uplink { hub: hub.clone(), local: *local })).collect()
}

impl EdgeControl {
    async fn run(mut self) {
        let mut services = Services::default();
        let mut exported = Exports::default();
        // As far as it is written.
        let mut imported: Option<Vec<Import>> = None;
        loop {
            let current = self.services.borrow_and_update().clone();
            if current != services {
                exported = self.export(&current);
                services = current;
            }
            let heard = self.known.borrow_and_update().clone();
            let edges = self.memory.with(&heard);
            let taken_hosts = self.taken_hosts(&services);
            let wanted = Wanted { own: &self.name, rules: &self.config.import, taken_hosts: &taken_hosts };
            let wanted = imports(&edges, &wanted, &mut self.addresses);
            self.addresses.settle();
            self.publish(&exported, &wanted, &edges);
            self.entrances.serve(&wanted, self.config.terminate.as_ref()).await;
            if imported.as_ref() != Some(&wanted) {
                imported = self.import(&wanted).then_some(wanted);
            }
            tokio::select! {
                changed = self.services.changed() => if changed.is_err() { return },
                Ok(()) = self.known.changed() => {}
                () = self.memory.fades() => {}
                () = tokio::time::sleep(TRY_AGAIN), if imported.is_none() => {}
            }
        }
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

    fn export(&self, services: &[xds_local::Service]) -> Exports {
        let exported = exports(services, &self.config.export);
        let clusters = exported.clusters().map(|cluster| cluster.to_string()).collect();
        self.offered.send_replace(clusters);
        let offer = Offer { locality: self.locality.clone(), services: exported.services.clone() };
        self.offer.send_if_modified(|before| {
            let changed = *before != offer;
            *before = offer;
            changed
        });
        exported
    }

    /// Workers know where an address leads before any endpoint has it.
    fn publish(&self, exported: &Exports, imported: &[Import], edges: &KnownEdges) {
        let here = Here { name: &self.name, locality: &self.locality };
        let tables = Tables {
            imports: destinations(imported).collect(),
            exports: exported.table.clone(),
            datagrams: DatagramTables::new(&here, &self.config.datagrams, edges),
            callers: Callers::new(self.config.callers.as_deref(), &self.trust_domain),
            reserved: self.config.import_addresses,
        };
        self.tables.send_if_modified(|before| {
            let changed = **before != tables;
            *before = Arc::new(tables);
            changed
        });
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
        match &written {
            Ok(()) => tracing::info!(services = imported.len(), "imports are as other edges offer them"),
            Err(error) => tracing::error!("imports are not changed: cannot write {error}"),
        }
        written.is_ok()
    }
}
