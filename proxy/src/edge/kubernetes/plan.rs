//! What has to be done so that a cluster has what is taken from other edges, and what cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::import::Import;
use super::super::istio::EntryPort;
use super::objects::{Entry, KubernetesService, Rule};
use super::write::{Kind, Object, Style};
use crate::kubernetes::Key;

/// The end of the name under which other edges know a Service.
const GLOBAL: &str = ".global";
/// Where DestinationRules hold for all, unless there are others.
const ROOT_NAMESPACE: &str = "istio-system";

/// The cluster as it is.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) services: &'a BTreeMap<Key, Arc<KubernetesService>>,
    pub(super) entries: &'a BTreeMap<Key, Arc<Entry>>,
    pub(super) rules: &'a BTreeMap<Key, Arc<Rule>>,
    /// The end of names of Services: `cluster.local`.
    pub(super) domain: &'a str,
}

/// What has to be done, and what cannot be.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    /// By host, why it is not taken.
    pub(super) conflicts: BTreeMap<String, String>,
}

/// Something that has to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// It is not there, or not as it should be.
    Apply(Object),
    /// Nobody wants it any more, or it must be made anew.
    Remove(Kind, Key),
}

impl Action {
    /// Of which object.
    pub(super) fn target(&self) -> (Kind, Key) {
        match self {
            Self::Apply(object) => object.key(),
            Self::Remove(kind, key) => (*kind, key.clone()),
        }
    }
}

/// Compares what should be with what is. Objects of others are left alone.
pub(super) fn plan(imports: &[Import], cluster: &Cluster<'_>, style: &Style) -> Plan {
    let mut plan = Plan::default();
    let mut wanted: BTreeMap<(Kind, Key), Object> = BTreeMap::new();
    for import in imports {
        let entry = match import.merges_with_local {
            true => cluster.merged(import, style),
            false => cluster.separate(import, style),
        };
        match entry {
            Ok(entry) => {
                let rule = cluster.wants_rule(import, style).then(|| style.rule(import));
                wanted.extend([Some(entry), rule].into_iter().flatten().map(|object| (object.key(), object)));
            }
            Err(reason) => drop(plan.conflicts.insert(import.host.clone(), reason)),
        }
    }
    let to_come: BTreeSet<(Kind, String)> = wanted
        .keys()
        .filter(|(kind, key)| !cluster.has(*kind, key))
        .map(|(kind, (_, name))| (*kind, name.clone()))
        .collect();
    let entries = cluster.entries.iter().map(|(key, entry)| ((Kind::ServiceEntry, key.clone()), &entry.written));
    let rules = cluster.rules.iter().map(|(key, rule)| ((Kind::DestinationRule, key.clone()), &rule.written));
    for (key, written) in entries.chain(rules) {
        let Some(written) = written.as_ref().filter(|written| written.owner == style.owner) else { continue };
        match wanted.get(&key) {
            Some(object) if !cluster.is_too_old(&key) => {
                if object.is(written) {
                    wanted.remove(&key);
                }
            }
            // In another namespace now, where it is not yet: somebody has to answer until then.
            None if to_come.contains(&(key.0, key.1.1.clone())) => {}
            // What is too old is made anew once it is gone.
            _ => {
                wanted.remove(&key);
                plan.actions.push(Action::Remove(key.0, key.1));
            }
        }
    }
    plan.actions.extend(wanted.into_values().map(Action::Apply));
    plan
}

impl Cluster<'_> {
    fn has(&self, kind: Kind, key: &Key) -> bool {
        match kind {
            Kind::ServiceEntry => self.entries.contains_key(key),
            Kind::DestinationRule => self.rules.contains_key(key),
        }
    }

    /// A host that nobody else has here.
    fn separate(&self, import: &Import, style: &Style) -> Result<Object, String> {
        if let Some((namespace, name)) = self.service_of(&import.host).filter(|key| self.services.contains_key(key)) {
            return Err(format!("it is the name of Service {namespace}/{name}"));
        }
        let entry = style.entry(import);
        self.check_entry(&entry, style)?;
        Ok(entry)
    }

    /// A host that a Service here has as well: endpoints are added to its own.
    fn merged(&self, import: &Import, style: &Style) -> Result<Object, String> {
        let names = import.host.strip_suffix(GLOBAL).and_then(|names| names.split_once('.'));
        let Some((name, namespace)) = names else {
            return Err(format!("it cannot be merged with a Service: its name is not <name>.<namespace>{GLOBAL}"));
        };
        let failed = |reason: &str| Err(format!("it cannot be merged with Service {namespace}/{name}: {reason}"));
        let Some(service) = self.services.get(&(namespace.to_owned(), name.to_owned())) else {
            return failed("there is none");
        };
        let host = format!("{name}.{namespace}.svc.{}", self.domain);
        if service.is_headless {
            return failed("it is headless");
        }
        // Without either, istiod spreads load over pods here and other edges alike.
        if !service.prefers_close && !self.rules_for(&host, namespace).any(|rule| rule.detects_outliers) {
            return failed(
                "nothing says that its own pods come first: it needs a DestinationRule with outlierDetection, or trafficDistribution: PreferClose",
            );
        }
        if style.presents.is_none() {
            return failed(
                "its other clients would be sent to addresses that this gateway alone knows: that needs terminate",
            );
        }
        let target =
            |number: u16| import.ports.iter().find(|(port, _)| port.number == number).map(|(_, target)| *target);
        let ports = service.ports.iter().filter_map(|port| {
            let (name, protocol) = (port.name.clone(), port.protocol.to_string());
            Some(EntryPort { number: port.number, name, protocol, target: target(port.number)? })
        });
        let ports: Vec<EntryPort> = ports.collect();
        if ports.is_empty() {
            return failed("it has none of its ports");
        }
        let entry = style.entry_of(&host, namespace, &ports, import);
        self.check_entry(&entry, style)?;
        Ok(entry)
    }

    /// Whether the host is nobody else's.
    fn check_entry(&self, wanted: &Object, style: &Style) -> Result<(), String> {
        let (_, key) = wanted.key();
        let existing = self.entries.get(&key);
        if let Some(existing) = existing {
            match &existing.written {
                None => return Err(format!("ServiceEntry {}/{} is not ours", key.0, key.1)),
                Some(written) if written.owner != style.owner => {
                    return Err(format!("ServiceEntry {}/{} is that of edge {}", key.0, key.1, written.owner));
                }
                Some(_) => {}
            }
        }
        // Our own goes when this one is there.
        let is_ours = |entry: &Entry| entry.written.as_ref().is_some_and(|written| written.owner == style.owner);
        let same_host = self
            .entries
            .iter()
            .filter(|(other, entry)| **other != key && entry.hosts.contains(&wanted.name) && !is_ours(entry));
        for (other, entry) in same_host {
            // Of two edges the first one stays, or both would give way to each other for ever.
            let is_later = existing.is_none_or(|existing| (&existing.created, &key) > (&entry.created, other));
            if entry.written.is_none() || is_later {
                return Err(format!("it is the host of ServiceEntry {}/{}", other.0, other.1));
            }
        }
        Ok(())
    }

    /// Unless there is one of somebody else.
    fn wants_rule(&self, import: &Import, style: &Style) -> bool {
        !import.merges_with_local && self.rules_for(&import.host, &style.namespace).next().is_none()
    }

    /// DestinationRules of others that hold for a host of a service in a namespace.
    fn rules_for<'a>(&'a self, host: &'a str, namespace: &'a str) -> impl Iterator<Item = &'a Rule> {
        let of_others = self.rules.iter().filter(|(_, rule)| rule.written.is_none());
        of_others
            .filter(move |((own, _), rule)| {
                (own == namespace || own == ROOT_NAMESPACE) && is_host_of(&rule.host, own, host, self.domain)
            })
            .map(|(_, rule)| &**rule)
    }

    /// A ServiceEntry for the host of a Service must be younger than that: otherwise istiod forgets the names that it has for certificates.
    fn is_too_old(&self, (kind, key): &(Kind, Key)) -> bool {
        let service = self.service_of(&key.1).and_then(|key| self.services.get(&key));
        let entry = self.entries.get(key).filter(|_| *kind == Kind::ServiceEntry);
        service.zip(entry).is_some_and(|(service, entry)| entry.created <= service.created)
    }

    fn service_of(&self, host: &str) -> Option<Key> {
        let names = host.strip_suffix(self.domain)?.strip_suffix(".svc.")?;
        let (name, namespace) = names.split_once('.')?;
        Some((namespace.to_owned(), name.to_owned()))
    }
}

/// Whether the host of a DestinationRule in a namespace means a service. A name without dots is that of a Service beside it.
fn is_host_of(named: &str, namespace: &str, host: &str, domain: &str) -> bool {
    match named.strip_prefix('*') {
        Some(end) => host.ends_with(end),
        None if named.contains('.') => named == host,
        None => host == format!("{named}.{namespace}.svc.{domain}"),
    }
}

#[cfg(test)]
mod tests;
