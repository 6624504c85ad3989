//! An edge in a cluster of Kubernetes: what it may offer, and where it puts what it takes.
//!
//! ```text
//! Services, ServiceEntries --objects--> services --export--> offer
//! istiod --clusters and endpoints--> availability --^
//! imports --plan--> sink --> ServiceEntries, DestinationRules --> istiod --> endpoints that are edges
//! ```

mod availability;
mod counters;
mod objects;
mod plan;
mod services;
mod sink;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service as KubernetesApiService;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::availability::Availability;
pub use self::counters::KubernetesCounters;
use self::objects::{entry, rule, service};
use self::services::{Remembered, Sources};
use self::sink::ClusterSink;
use self::write::{Gateway, Identity};
use super::config::EdgeConfig;
use super::control::Services;
use super::import::Import;
use crate::kubernetes::{Objects, follow, istio_kind};
use crate::worker::endless;

/// Where the edge's gateway is, and how its API server is reached.
#[derive(Clone, Debug)]
pub struct KubernetesOptions {
    /// A kubeconfig; `None` for what Kubernetes gives every pod.
    pub kubeconfig: Option<PathBuf>,
    /// The gateway's namespace.
    pub namespace: String,
    /// The gateway's service account.
    pub service_account: String,
    /// The trust domain of the mesh.
    pub trust_domain: String,
    /// The end of names of Services: `cluster.local`.
    pub domain: String,
}

/// What an edge and its cluster tell each other.
#[derive(Debug)]
pub(super) struct Connected {
    /// What may be offered.
    pub(super) services: watch::Receiver<Services>,
    /// Told what should be in the cluster.
    pub(super) imports: watch::Sender<Option<Vec<Import>>>,
    /// To be told what the control plane sends.
    pub(super) availability: Availability,
}

/// Begins to follow a cluster, and to write what is to be written there.
///
/// # Errors
/// It is not clear how the API server is reached.
pub(super) async fn connect(
    options: &KubernetesOptions,
    edge: EdgeOfCluster<'_>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<Connected> {
    let KubernetesOptions { kubeconfig, namespace, service_account, trust_domain, domain } = options;
    let EdgeOfCluster { name, state, config, counters } = edge;
    let client = crate::kubernetes::client(kubeconfig.as_deref()).await?;
    let (availability, available) = Availability::new(config.borrow().import_addresses);
    let services: Objects<_> = {
        let (sender, seen) = watch::channel(None);
        let api: Api<KubernetesApiService> = Api::all(client.clone());
        tasks.spawn(endless("services of Kubernetes", follow(api, "services", service, sender)));
        seen
    };
    let entries = follow_istio(&client, "ServiceEntry", "serviceentries", entry, tasks);
    let rules = follow_istio(&client, "DestinationRule", "destinationrules", rule, tasks);

    let remembered = Remembered::open(state);
    let (services_seen, domain) = (services.clone(), domain.clone());
    let mut sources = Sources {
        services: services_seen,
        entries: entries.clone(),
        available,
        domain: domain.clone(),
        config: config.clone(),
    };
    let (offered, may_be_offered) = watch::channel(sources.now(&remembered));
    tasks.spawn(endless("services of the mesh", sources.follow(remembered, offered)));

    let (imports, wanted) = watch::channel(None);
    let gateway = Gateway {
        owner: name.to_owned(),
        namespace: namespace.clone(),
        identity: Identity { trust_domain: trust_domain.clone(), service_account: service_account.clone() },
    };
    let sink = ClusterSink { client, gateway, config, domain, services, entries, rules, imports: wanted, counters };
    tasks.spawn(endless("objects of the mesh", sink.run()));
    Ok(Connected { services: may_be_offered, imports, availability })
}

/// The edge that is connected.
#[derive(Debug)]
pub(super) struct EdgeOfCluster<'a> {
    pub(super) name: &'a str,
    /// Its folder.
    pub(super) state: &'a std::path::Path,
    /// What is in force of `edge.yaml`.
    pub(super) config: watch::Receiver<Arc<EdgeConfig>>,
    pub(super) counters: Arc<KubernetesCounters>,
}

fn follow_istio<V: PartialEq + Send + Sync + 'static>(
    client: &Client,
    kind: &str,
    plural: &'static str,
    keep: fn(kube::api::DynamicObject) -> Option<V>,
    tasks: &mut JoinSet<()>,
) -> Objects<V> {
    let (sender, seen) = watch::channel(None);
    let api = Api::all_with(client.clone(), &istio_kind(kind));
    tasks.spawn(endless("objects of Istio", follow(api, plural, keep, sender)));
    seen
}
