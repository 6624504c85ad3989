//! `edge.yaml`: what an edge offers to others, and what it takes from them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::address_range::AddressRange;
use super::callers::{CallerRule, DEFAULT_TRUST_DOMAIN, is_trust_domain};
use super::datagram::{self, DatagramImport};
use super::direct::DirectConfig;
use super::terminate::Terminate;

/// Each is a link to each hub from each worker.
const MOST_UPLINKS: usize = 8;
/// Links of all workers to a hub. It takes twice as many of an edge, whose next process has as many while it takes over.
const MOST_LINKS: usize = 64;

/// Brackets in each other, as far as they can be counted without reading the text. The time to read them grows with the square of their number.
const MOST_NESTED: usize = 64;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EdgeConfig {
    /// What others may call. Nothing, if it is empty.
    pub export: Vec<Selection>,
    /// What is taken from others. Nothing, if it is empty.
    pub import: Vec<Selection>,
    /// The addresses that stand for other edges in endpoints, one each: `address/prefix length`.
    pub import_addresses: AddressRange,
    /// Addresses of this machine at which links begin, one to each hub from each of them. The one that the system chooses, if it is empty.
    pub uplinks: Vec<IpAddr>,
    /// Links to other edges without a hub between.
    pub direct: DirectConfig,
    /// The trust domain of our mesh, unless the mesh itself says so.
    pub trust_domain: String,
    /// For whom other edges may speak; `None` for our own trust domain.
    pub callers: Option<Vec<CallerRule>>,
    /// Lets other clients than this gateway call what is taken.
    pub terminate: Option<Terminate>,
    /// UDP services of others, and where they are served.
    pub datagrams: Vec<DatagramImport>,
    /// For edges that take their configuration from istiod.
    pub kubernetes: KubernetesConfig,
}

/// How what is taken is written into the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct KubernetesConfig {
    /// The namespace of what is written; that of the gateway, if it is empty.
    pub namespace: String,
    /// Near edges come first, whatever DestinationRules say.
    pub traffic_distribution: Option<TrafficDistribution>,
}

/// The value of `networking.istio.io/traffic-distribution`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TrafficDistribution {
    /// The nearest locality that has endpoints.
    PreferClose,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            export: Vec::new(),
            import: Vec::new(),
            import_addresses: AddressRange::default(),
            trust_domain: DEFAULT_TRUST_DOMAIN.to_owned(),
            callers: None,
            terminate: None,
            uplinks: Vec::new(),
            direct: DirectConfig::default(),
            datagrams: Vec::new(),
            kubernetes: KubernetesConfig::default(),
        }
    }
}

/// Services for which all of this holds. What is empty holds for every service, but not everything may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Selection {
    /// Full names; `*` for all, `*.shop.global` for those that end so.
    pub hosts: Vec<String>,
    /// Namespaces on the edge that offers it.
    pub namespaces: Vec<String>,
    /// Labels that it has, all of them.
    pub labels: BTreeMap<String, String>,
    /// Names of edges: of an import those that offer it, of an export those that may call it. All edges of the tenant if there are none.
    pub edges: Vec<String>,
    /// Its endpoints are added to those of the Service that has the same name and namespace here; for imports into a cluster.
    pub merge_with_local: bool,
}

/// What is known of an edge that its file does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) has_control_plane: bool,
    pub(super) workers: usize,
}

/// A service as selections see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) host: &'a str,
    pub(super) namespace: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    /// The edge that offers it.
    pub(super) edge: &'a str,
}

impl EdgeConfig {
    /// Reads its text; without any, nothing is offered or taken.
    ///
    /// # Errors
    /// In words, what is wrong with it, and with which field.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if nesting(text) > MOST_NESTED {
            return Err(format!("lists and maps in brackets are nested deeper than {MOST_NESTED} levels"));
        }
        let config: Self = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
        let names_services = |rule: &Selection| !rule.names_no_services();
        let is_import = |rule: &Selection| names_services(rule) || !rule.edges.is_empty();
        let export = config.export.iter().position(|rule| !names_services(rule)).map(|at| ("export", at));
        let import = config.import.iter().position(|rule| !is_import(rule)).map(|at| ("import", at));
        if let Some((list, at)) = export.or(import) {
            return Err(format!("{list}[{at}] says nothing of services: hosts: [\"*\"] stands for all of them"));
        }
        if let Some(at) = config.export.iter().position(|rule| rule.merge_with_local) {
            return Err(format!("export[{at}].mergeWithLocal: only imports are merged"));
        }
        datagram::check(&config.datagrams)?;
        config.direct.check()?;
        if config.uplinks.len() > MOST_UPLINKS {
            return Err(format!("uplinks: there may be {MOST_UPLINKS}"));
        }
        if let Some(twice) = (1..config.uplinks.len()).find(|at| config.uplinks[..*at].contains(&config.uplinks[*at])) {
            return Err(format!("uplinks[{twice}]: {} is there already", config.uplinks[twice]));
        }
        let named = config.callers.iter().flatten().map(|rule| ("callers[].trustDomain", &rule.trust_domain));
        for (field, name) in named.chain([("trustDomain", &config.trust_domain)]) {
            if !is_trust_domain(name) {
                return Err(format!("{field}: {name:?} is not a trust domain"));
            }
        }
        Ok(config)
    }
}

impl EdgeConfig {
    /// Whether an edge can be so.
    ///
    /// # Errors
    /// Names the field that cannot be.
    pub(super) fn check_for(&self, setting: &Setting) -> Result<(), String> {
        let Setting { has_control_plane, workers } = *setting;
        let uplinks = self.uplinks.len().max(1);
        if workers.saturating_mul(uplinks) > MOST_LINKS {
            return Err(format!(
                "{workers} workers (--concurrency) with {uplinks} addresses each (uplinks) are {} links to every hub: there may be {MOST_LINKS}",
                workers.saturating_mul(uplinks)
            ));
        }
        if has_control_plane {
            return Ok(());
        }
        let of_clusters = [
            ("kubernetes", self.kubernetes != KubernetesConfig::default()),
            ("import[].mergeWithLocal", self.import.iter().any(|rule| rule.merge_with_local)),
        ];
        if let Some((field, _)) = of_clusters.iter().find(|(_, is_there)| *is_there) {
            return Err(format!("{field}: this edge is not part of a cluster"));
        }
        match &self.terminate {
            Some(Terminate { files: None }) => {
                Err("terminate: certificate, key and authorities are needed without istiod".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether there may be calls to an edge, or of it to this one, as far as its name goes.
    pub(super) fn has_calls_with(&self, edge: &str) -> bool {
        let services = self.import.iter().chain(&self.export).map(|rule| &rule.edges);
        services.chain(self.datagrams.iter().map(|rule| &rule.edges)).any(|edges| is_one_of(edges, edge))
    }

    /// Whether it can take the place of another one while the edge runs.
    ///
    /// # Errors
    /// Names the field that cannot change.
    pub(super) fn check_after(&self, before: &Self) -> Result<(), String> {
        let fixed = [
            // All endpoints would move at once, and for a while the addresses of before would be dialled, where nobody is.
            ("importAddresses", self.import_addresses == before.import_addresses),
            ("direct.listen", self.direct.listen == before.direct.listen),
        ];
        match fixed.iter().find(|(_, is_same)| !is_same) {
            None => Ok(()),
            Some((field, _)) => Err(format!("{field}: cannot change while the edge runs: start it again")),
        }
    }
}

impl Selection {
    /// Whether it is for a service, and an edge that offers it or calls it.
    pub(super) fn selects(&self, candidate: &Candidate<'_>) -> bool {
        self.selects_service(candidate) && is_one_of(&self.edges, candidate.edge)
    }

    /// The same of the service alone.
    pub(super) fn selects_service(&self, candidate: &Candidate<'_>) -> bool {
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| is_host(pattern, candidate.host)))
            && is_one_of(&self.namespaces, candidate.namespace)
            && self.labels.iter().all(|(key, value)| candidate.labels.get(key) == Some(value))
    }

    /// What it says, in a line.
    pub(super) fn describe(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let lists =
            [("hosts", &self.hosts), ("namespaces", &self.namespaces), ("labels", &labels), ("edges", &self.edges)];
        let parts = lists.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> = parts.map(|(name, names)| format!("{name} {}", names.join(", "))).collect();
        parts.join(", ")
    }

    fn names_no_services(&self) -> bool {
        self.hosts.is_empty() && self.namespaces.is_empty() && self.labels.is_empty()
    }
}

/// How many brackets are open at a time, at most.
fn nesting(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Whether a name is in a list; every name is in an empty one.
fn is_one_of(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|one| one == name)
}

fn is_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests;
