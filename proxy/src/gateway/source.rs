//! Where configuration comes from: starting it, and with it the edge, whose services follow from the configuration.

use std::collections::BTreeSet;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use xds_client::ca::{CaOptions, CertificateClient};
use xds_client::session::{Session, SessionOptions};
use xds_client::{Event, ResourceType};

use crate::admin::{Readiness, Source};
use crate::config::local::{self, EdgeSide, LocalOptions};
use crate::edge::{Availability, Edge, EdgeOptions, EdgeShare, KubernetesOptions, Services, Succession, Surroundings};
use crate::identity::{self, SecretUpdate};
use crate::telemetry::counter::Registry;
use crate::worker::vital;

/// Done when what came at first is in force on all of them.
pub(super) const WORKERS: &str = "workers";
const FOLDER: &str = "the folder";
const CLUSTERS: &str = "clusters of the control plane (CDS)";
const LISTENERS: &str = "listeners of the control plane (LDS)";

/// Where configuration comes from.
#[derive(Debug)]
pub enum SourceOptions {
    /// istiod.
    ControlPlane {
        /// xDS.
        session: Box<SessionOptions>,
        /// Our own certificate; `None` where the control plane is not asked for one.
        certificates: Option<Box<CaOptions>>,
        /// What connects it with other edges.
        edge: Option<Box<(EdgeOptions, KubernetesOptions)>>,
    },
    /// A folder of YAML.
    Local {
        /// The folder.
        folder: LocalOptions,
        /// What connects it with other edges.
        edge: Option<EdgeOptions>,
    },
}

/// Parts of the gateway that a source has to do with.
pub(super) struct Inputs<'a> {
    pub(super) workers: usize,
    pub(super) succession: Succession,
    pub(super) registry: &'a Registry,
    /// To control.
    pub(super) events: mpsc::Sender<Vec<Event>>,
    /// To control, those that this process serves for itself.
    pub(super) secrets: mpsc::Sender<SecretUpdate>,
    pub(super) tasks: &'a mut JoinSet<()>,
    pub(super) edge_tasks: &'a mut JoinSet<()>,
}

/// A source that runs.
pub(super) struct Started {
    pub(super) source: Source,
    pub(super) readiness: Readiness,
    pub(super) certificates: Option<CertificateClient>,
    /// Of the edge, what workers need.
    pub(super) edge: Option<EdgeShare>,
}

impl SourceOptions {
    pub(super) fn edge(&self) -> Option<&EdgeOptions> {
        match self {
            Self::ControlPlane { edge, .. } => edge.as_deref().map(|(edge, _)| edge),
            Self::Local { edge, .. } => edge.as_ref(),
        }
    }

    pub(super) async fn start(self, inputs: Inputs<'_>) -> anyhow::Result<Started> {
        match self {
            Self::ControlPlane { session, certificates, edge } => {
                start_session(*session, certificates.map(|options| *options), edge.as_deref(), inputs).await
            }
            Self::Local { folder, edge } => start_folder(folder, edge.as_ref(), inputs).await,
        }
    }
}

impl Inputs<'_> {
    fn surroundings(&mut self) -> Surroundings<'_> {
        Surroundings {
            workers: self.workers,
            succession: self.succession.clone(),
            registry: self.registry,
            events: self.events.clone(),
            tasks: self.edge_tasks,
        }
    }
}

async fn start_session(
    mut session: SessionOptions,
    certificates: Option<CaOptions>,
    edge: Option<&(EdgeOptions, KubernetesOptions)>,
    mut inputs: Inputs<'_>,
) -> anyhow::Result<Started> {
    let readiness = Readiness::of([CLUSTERS, LISTENERS, WORKERS]);
    let (mut share, mut availability) = (None, None);
    if let Some((options, cluster)) = edge {
        let (edge, observer) = Edge::of_cluster(options, cluster, inputs.surroundings()).await?;
        session.needed_clusters = edge.offered();
        availability = Some(observer);
        share = Some(edge.share());
        edge.run(inputs.edge_tasks);
    }
    let Inputs { events, secrets, tasks, .. } = inputs;
    let (session, batches) = Session::spawn(session);
    tasks.spawn(vital("configuration", forward(batches, events, readiness.clone(), availability)));
    let certificates = certificates.map(|options| {
        let (client, identities) = CertificateClient::spawn(options);
        tasks.spawn(vital("certificates", identity::workload::serve(identities, secrets)));
        client
    });
    Ok(Started { source: Source::ControlPlane(session), readiness, certificates, edge: share })
}

async fn start_folder(
    folder: LocalOptions,
    options: Option<&EdgeOptions>,
    mut inputs: Inputs<'_>,
) -> anyhow::Result<Started> {
    let readiness = Readiness::of([FOLDER, WORKERS]);
    let first = readiness.clone();
    let (services, defined) = watch::channel(Services::default());
    let edge = match options {
        Some(options) => Some(Edge::of_folder(options, &folder.directory, defined, inputs.surroundings()).await?),
        None => None,
    };
    let offered = edge.as_ref().map_or_else(|| watch::channel(BTreeSet::new()).1, Edge::offered);
    let Inputs { events, tasks, edge_tasks, .. } = inputs;
    let side = EdgeSide { services, offered };
    let held = local::start(folder, events, side, move || first.done(FOLDER), tasks).await?;
    let share = edge.as_ref().map(Edge::share);
    if let Some(edge) = edge {
        edge.run(edge_tasks);
    }
    Ok(Started { source: Source::Local(held), readiness, certificates: None, edge: share })
}

/// Hands batches on to control, and marks what has become ready. A restored configuration serves as well as a fresh one.
async fn forward(
    mut batches: mpsc::Receiver<Vec<Event>>,
    events: mpsc::Sender<Vec<Event>>,
    readiness: Readiness,
    mut availability: Option<Availability>,
) {
    while let Some(batch) = batches.recv().await {
        if let Some(availability) = &mut availability {
            availability.observe(&batch);
        }
        let mut ready = Vec::new();
        for event in &batch {
            match event {
                Event::Synced(ResourceType::Cluster) => ready.push(CLUSTERS),
                Event::Synced(ResourceType::Listener) => ready.push(LISTENERS),
                Event::Restored { resources, .. } if *resources > 0 => ready.extend([CLUSTERS, LISTENERS]),
                _ => {}
            }
        }
        if events.send(batch).await.is_err() {
            return;
        }
        for part in ready {
            readiness.done(part);
        }
    }
}
