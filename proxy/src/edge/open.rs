//! An edge from its folder: who it is, what `edge.yaml` says, and everything that follows from it put together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use overlay::catalogue::Offer;
use overlay::folder::Folder;
use overlay::identity::{Identity, Trust};
use overlay::node::Peer;
use overlay::shards::Shards;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use xds_client::Event;
use xds_client::ca::SpiffeId;

use super::addresses::Addresses;
use super::addresses_in_use::own_addresses;
use super::config::Setting;
use super::config_file::ConfigFile;
use super::control::{ADDRESSES, EdgeControl, Outputs, Services, Sink};
use super::counters::ConfigCounters;
use super::datagram::Sockets;
use super::health;
use super::import::KnownEdges;
use super::kubernetes::{self, Availability, Connected, EdgeOfCluster, KubernetesCounters, KubernetesOptions};
use super::memory::Memory;
use super::news::News;
use super::node::EdgeShare;
use super::problems::EdgeProblems;
use super::refusals::RefusalLog;
use super::shares;
use super::sink_files::FileSink;
use super::succession::Succession;
use super::terminate::Entrances;
use crate::telemetry::counter::Registry;
use crate::worker::{endless, vital};

/// The domain that a folder's Services have, Istio's default.
const FOLDER_DOMAIN: &str = "cluster.local";

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

/// Parts of the gateway that an edge has to do with.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) workers: usize,
    pub(crate) succession: Succession,
    pub(crate) registry: &'a Registry,
    /// Where resources of its own go to control.
    pub(crate) events: mpsc::Sender<Vec<Event>>,
    pub(crate) tasks: &'a mut JoinSet<()>,
}

/// An edge, before anything of it runs.
#[derive(Debug)]
pub struct Edge {
    share: EdgeShare,
    offered: watch::Receiver<BTreeSet<String>>,
    config: ConfigFile,
    control: EdgeControl,
}

/// A member of the overlay, as its folder has it.
struct Member {
    folder: Folder,
    trust: Arc<Trust>,
    identity: Identity,
}

/// What an edge is made of.
struct Inputs {
    config: ConfigFile,
    member: Member,
    services: watch::Receiver<Services>,
    /// The end of names of Services.
    domain: String,
}

impl Member {
    fn read(state: &Path) -> anyhow::Result<Self> {
        let folder = Folder::open(state)?;
        let trust = folder.trust()?;
        let identity = folder.identity(trust.clone())?;
        if let Peer::Hub { name } = identity.peer() {
            bail!(
                "{}: is the folder of hub {name}, which `selvedge hub` runs with, and not that of an edge",
                state.display()
            );
        }
        Ok(Self { folder, trust, identity })
    }
}

impl Edge {
    /// An edge whose gateway serves a folder, in which imports are put. `services` is what the folder defines.
    ///
    /// # Errors
    /// The edge has not joined, or a file of its own folder is of no use.
    pub(crate) async fn of_folder(
        options: &EdgeOptions,
        folder: &Path,
        services: watch::Receiver<Services>,
        surroundings: Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let config = read_config(options, &surroundings).await?;
        let member = Member::read(&options.state)?;
        let inputs = Inputs { config, member, services, domain: FOLDER_DOMAIN.to_owned() };
        Self::open(options, inputs, Sink::Folder(FileSink::new(folder)), surroundings)
    }

    /// An edge whose gateway takes its configuration from istiod; imports are put into the cluster. Returns as well what must be told of what
    /// istiod sends.
    ///
    /// # Errors
    /// The edge has not joined, a file of its folder is of no use, or it is not clear how the API server is reached.
    pub(crate) async fn of_cluster(
        options: &EdgeOptions,
        cluster: &KubernetesOptions,
        mut surroundings: Surroundings<'_>,
    ) -> anyhow::Result<(Self, Availability)> {
        let config = read_config(options, &surroundings).await?;
        let Surroundings { registry, tasks, .. } = &mut surroundings;
        let member = Member::read(&options.state)?;
        let edge = EdgeOfCluster {
            name: member.identity.peer().name(),
            state: &options.state,
            config: config.current(),
            counters: registry.register(KubernetesCounters::new("kubernetes.")),
        };
        let Connected { services, imports, availability } = kubernetes::connect(cluster, edge, tasks).await?;
        let inputs = Inputs { config, member, services, domain: cluster.domain.clone() };
        Ok((Self::open(options, inputs, Sink::Cluster(imports), surroundings)?, availability))
    }

    fn open(options: &EdgeOptions, inputs: Inputs, sink: Sink, surroundings: Surroundings<'_>) -> anyhow::Result<Self> {
        let EdgeOptions { state, locality, workload } = options;
        let Inputs { config, member, services, domain } = inputs;
        let Surroundings { workers, succession, events, tasks, .. } = surroundings;
        let Member { folder, trust, identity } = member;
        let name = identity.peer().name().to_owned();
        let (identity, current) = watch::channel(Arc::new(identity));
        let path = state.join(ADDRESSES);
        let import_addresses = config.current().borrow().import_addresses;
        let addresses =
            Addresses::open(&path, import_addresses).with_context(|| format!("cannot read {}", path.display()))?;
        let (offer, offer_receiver) = watch::channel(Offer::default());
        let (tables, tables_receiver) = watch::channel(Arc::default());
        let (known, known_receiver) = watch::channel(KnownEdges::default());
        let (offered, offered_receiver) = watch::channel(BTreeSet::new());
        let (uplinks, uplinks_receiver) = watch::channel(Arc::default());
        let (direct, direct_receiver) = watch::channel(Arc::default());
        let (memory, writer, memory_file) = Memory::open(state, &name);
        tasks.spawn(vital("memory of edges", writer.run()));
        let share = EdgeShare {
            identity: current,
            uplinks: uplinks_receiver,
            direct: direct_receiver,
            listens_at: config.current().borrow().direct.listen,
            epoch: folder.next_epoch()?,
            succession: succession.clone(),
            control_socket: folder.control_socket(),
            folder: folder.clone(),
            sockets: Sockets::default(),
            problems: EdgeProblems::new(config.problem()),
            memory_file,
            tables: tables_receiver,
            offer: offer_receiver,
            workload: workload.as_ref().map_or_else(String::new, SpiffeId::to_string).into(),
            known,
            limits: shares::limits(workers),
            workers,
            shards: Shards::new(trust.clone()),
        };
        let problems = share.problems.clone();
        let health = health::watch(share.identity.clone(), share.shards.clone(), problems.clone());
        tasks.spawn(vital("health", succession.clone().while_it_speaks(health)));
        let hubs = folder.hubs()?;
        tasks.spawn(vital("trust", succession.clone().while_it_speaks(folder.clone().keep_trust(trust))));
        let renewal = succession.clone().while_it_speaks(overlay::enroll::renew::keep(folder, identity));
        tasks.spawn(vital("renewal of the certificate", renewal));
        let control = EdgeControl {
            state: state.clone(),
            succession,
            name,
            locality: locality.clone(),
            domain,
            workload: workload.clone(),
            config: config.current(),
            addresses,
            own_addresses: own_addresses(),
            limits: share.limits.clone(),
            services,
            sink,
            news: News::new(known_receiver),
            memory,
            hubs,
            outputs: Outputs { offered, offer, tables, uplinks, direct },
            problems,
            entrances: Entrances::new(events),
            refusals: RefusalLog::default(),
        };
        // Known from the beginning: of the last good configuration only what is needed is kept.
        control.begin();
        Ok(Self { share, offered: offered_receiver, config, control })
    }

    /// What workers need.
    pub fn share(&self) -> EdgeShare {
        self.share.clone()
    }

    /// Names of the clusters that others may call.
    pub fn offered(&self) -> watch::Receiver<BTreeSet<String>> {
        self.offered.clone()
    }

    /// Follows what may be offered, what other edges offer, and what `edge.yaml` says of both.
    pub fn run(self, tasks: &mut JoinSet<()>) {
        tasks.spawn(endless("edge.yaml", self.config.follow()));
        tasks.spawn(endless("edge", self.control.run()));
    }
}

async fn read_config(options: &EdgeOptions, surroundings: &Surroundings<'_>) -> anyhow::Result<ConfigFile> {
    let counters = surroundings.registry.register(ConfigCounters::new("overlay."));
    let setting = Setting { has_control_plane: options.workload.is_some(), workers: surroundings.workers };
    ConfigFile::open(&options.state, setting, counters).await
}
