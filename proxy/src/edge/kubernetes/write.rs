//! What is written into the cluster for a service of other edges.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::config::{EdgeConfig, KubernetesConfig, TrafficDistribution};
use super::super::import::{Import, ImportedEndpoint};
use super::super::istio::{self, EntryPort};
use super::super::labels::{EDGE_LABEL, IMPORTED_LABEL, OWNER_LABEL};
use super::objects::{TRAFFIC_DISTRIBUTION, Written};
use crate::kubernetes::Key;

/// To istiod and ztunnel: the endpoint takes HBONE.
const TUNNEL_LABEL: &str = "networking.istio.io/tunnel";
/// To istiod: the endpoint takes Istio's mutual TLS.
const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";

/// A gateway that is an edge, as it is in its mesh.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// The edge.
    pub(super) owner: String,
    pub(super) namespace: String,
    pub(super) identity: Identity,
}

/// How all of it is written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// The edge that writes.
    pub(super) owner: String,
    /// Where its gateway is.
    pub(super) gateway_namespace: String,
    /// Where it is written.
    pub(super) namespace: String,
    pub(super) traffic_distribution: Option<TrafficDistribution>,
    /// Whom other clients than our own gateway meet at the endpoints; `None` if nobody is there.
    pub(super) presents: Option<Identity>,
}

/// A workload of the mesh.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) trust_domain: String,
    pub(super) service_account: String,
}

/// The kinds that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    ServiceEntry,
    DestinationRule,
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<&'static str, String>,
    pub(super) annotations: BTreeMap<&'static str, String>,
    pub(super) spec: Value,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ServiceEntry => "ServiceEntry",
            Self::DestinationRule => "DestinationRule",
        }
    }
}

impl Style {
    /// As `edge.yaml` has it.
    pub(super) fn of(gateway: &Gateway, config: &EdgeConfig) -> Self {
        let Gateway { owner, namespace, identity } = gateway;
        let KubernetesConfig { namespace: wanted, traffic_distribution } = &config.kubernetes;
        Self {
            owner: owner.clone(),
            gateway_namespace: namespace.clone(),
            namespace: if wanted.is_empty() { namespace } else { wanted }.clone(),
            traffic_distribution: *traffic_distribution,
            presents: config.terminate.as_ref().map(|_| identity.clone()),
        }
    }

    /// The ServiceEntry of a host that is known here by its endpoints at other edges alone.
    pub(super) fn entry(&self, import: &Import) -> Object {
        let ports: Vec<_> = import.ports.iter().map(|(port, target)| EntryPort::of(port, *target)).collect();
        let mut entry = self.entry_of(&import.host, &self.namespace, &ports, import);
        if let Some(TrafficDistribution::PreferClose) = self.traffic_distribution {
            entry.annotations.insert(TRAFFIC_DISTRIBUTION, "PreferClose".to_owned());
        }
        // Others would be sent to addresses that this gateway alone knows.
        if self.presents.is_none() {
            entry.spec["exportTo"] = self.visible_to();
        }
        entry
    }

    /// A ServiceEntry in a namespace, whose endpoints are the edges that have the service.
    pub(super) fn entry_of(&self, host: &str, namespace: &str, ports: &[EntryPort], import: &Import) -> Object {
        let endpoints = import.endpoints.iter().map(|endpoint| self.endpoint(endpoint, namespace)).collect();
        let mut spec = istio::entry(host, ports, endpoints);
        let mut labels = self.labels();
        if let Some(identity) = &self.presents {
            let Identity { trust_domain, service_account } = identity;
            let subject = format!("spiffe://{trust_domain}/ns/{}/sa/{service_account}", self.gateway_namespace);
            // Without any, Istio's clients would accept every certificate of the mesh.
            spec["subjectAltNames"] = json!([subject]);
            // ztunnel reads it here, istiod of endpoints.
            labels.insert(TUNNEL_LABEL, "http".to_owned());
        }
        let (namespace, name) = (namespace.to_owned(), host.to_owned());
        Object { kind: Kind::ServiceEntry, namespace, name, labels, annotations: BTreeMap::new(), spec }
    }

    fn endpoint(&self, endpoint: &ImportedEndpoint, namespace: &str) -> Value {
        let mut value = istio::endpoint(endpoint);
        if let Some(identity) = &self.presents {
            value["labels"][TLS_MODE_LABEL] = json!("istio");
            value["labels"][TUNNEL_LABEL] = json!("http");
            // It is looked for in the namespace of the ServiceEntry.
            if namespace == self.gateway_namespace {
                value["serviceAccount"] = json!(identity.service_account);
            }
        }
        value
    }

    /// The DestinationRule beside it: a subset for each edge, and edges that fail are left out, without which localities would not count.
    pub(super) fn rule(&self, import: &Import) -> Object {
        let subsets: Vec<Value> = import
            .endpoints
            .iter()
            .map(|endpoint| json!({ "name": endpoint.edge, "labels": { EDGE_LABEL: endpoint.edge } }))
            .collect();
        let mut spec = json!({
            "host": import.host,
            "trafficPolicy": { "outlierDetection": {
                "consecutive5xxErrors": 5, "interval": "5s", "baseEjectionTime": "30s", "maxEjectionPercent": 100,
            } },
            "subsets": subsets,
        });
        if self.presents.is_none() {
            spec["exportTo"] = self.visible_to();
        }
        let (namespace, name) = (self.namespace.clone(), import.host.clone());
        let (labels, annotations) = (self.labels(), BTreeMap::new());
        Object { kind: Kind::DestinationRule, namespace, name, labels, annotations, spec }
    }

    fn labels(&self) -> BTreeMap<&'static str, String> {
        [(IMPORTED_LABEL, "true".to_owned()), (OWNER_LABEL, self.owner.clone())].into()
    }

    /// The namespace of the gateway.
    fn visible_to(&self) -> Value {
        match self.namespace == self.gateway_namespace {
            true => json!(["."]),
            false => json!([".", self.gateway_namespace]),
        }
    }
}

impl Object {
    /// What it is found by.
    pub(super) fn key(&self) -> (Kind, Key) {
        (self.kind, (self.namespace.clone(), self.name.clone()))
    }

    /// Whether an object is so already. Labels and annotations of others do not matter.
    pub(super) fn is(&self, written: &Written) -> bool {
        let same = |key: &str, ours: &BTreeMap<&'static str, String>, theirs: &BTreeMap<String, String>| {
            ours.get(key) == theirs.get(key)
        };
        self.spec == written.spec
            && [IMPORTED_LABEL, OWNER_LABEL, TUNNEL_LABEL].iter().all(|key| same(key, &self.labels, &written.labels))
            && same(TRAFFIC_DISTRIBUTION, &self.annotations, &written.annotations)
    }

    /// For server-side apply.
    pub(super) fn manifest(&self) -> Value {
        let Self { kind, namespace, name, labels, annotations, spec } = self;
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": kind.name(),
            "metadata": { "namespace": namespace, "name": name, "labels": labels, "annotations": annotations },
            "spec": spec,
        })
    }
}

/// The merge patch (RFC 7386) that makes `from` to `to`.
pub(super) fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    let changed =
        changed.map(|(key, value)| (key.clone(), from.get(key).map_or(value.clone(), |old| difference(old, value))));
    Value::Object(gone.chain(changed).collect())
}
