//! Which listeners a route attaches to.

use super::listener::Attachable;
use crate::mesh::host;
use crate::object::gateway_api::ParentRef;
use crate::object::metadata::Metadata;
use crate::problem::Problems;

/// The listeners that a route of `kind` attaches to, sorted by name, each as often as it is named. A parent without any is a warning.
pub(super) fn attached<'a>(
    kind: &str,
    route: &Metadata,
    hostnames: &[String],
    parents: &[ParentRef],
    listeners: &'a [Attachable],
    problems: &Problems,
) -> Vec<&'a Attachable> {
    let mut result = Vec::new();
    for parent in parents {
        if parent.kind != "Gateway" {
            let message = format!("{kind} {} is for sidecars: its parent is a {}", route.name, parent.kind);
            problems.warning(&parent.place, message);
            continue;
        }
        let (mut accepted, mut reason) = (Vec::new(), None);
        for listener in listeners.iter().filter(|listener| is_named(listener, parent)) {
            match check(kind, route, hostnames, listener) {
                Ok(()) => accepted.push(listener),
                Err(refusal) => reason = Some(refusal),
            }
        }
        if accepted.is_empty() {
            let name = format!("{}/{}", parent.namespace, parent.name);
            let reason = reason.unwrap_or_else(|| "it is no Gateway of the Gateway API with such a listener".into());
            problems.warning(&parent.place, format!("{kind} {} is not attached to {name}: {reason}", route.name));
        }
        result.extend(accepted);
    }
    result.sort_by(|one, other| one.name.cmp(&other.name));
    result
}

/// Whether a host of a route belongs to this listener, and not to another one of the same port that fits it better.
pub(super) fn is_own_host(hostname: &str, listener: &Attachable, listeners: &[Attachable]) -> bool {
    if !listener.hostname.is_empty() && !host::is_wildcard(&listener.hostname) {
        return true;
    }
    if !listener.hostname.is_empty() && !host::overlap(hostname, &listener.hostname) {
        return false;
    }
    let is_rival = |other: &&Attachable| {
        other.owner == listener.owner
            && other.port == listener.port
            && other.protocol == listener.protocol
            && other.hostname != listener.hostname
            && other.hostname.len() >= listener.hostname.len()
    };
    !listeners.iter().filter(is_rival).any(|other| host::is_subset(hostname, &other.hostname))
}

fn is_named(listener: &Attachable, parent: &ParentRef) -> bool {
    listener.owner.0 == parent.namespace
        && listener.owner.1 == parent.name
        && parent.port.is_none_or(|port| port == listener.port)
        && (parent.section.is_empty() || parent.section == listener.section)
}

fn check(kind: &str, route: &Metadata, hostnames: &[String], listener: &Attachable) -> Result<(), String> {
    let any = ["*".to_owned()];
    let hostnames = if hostnames.is_empty() { &any } else { hostnames };
    let matching = listener
        .hosts
        .iter()
        .filter_map(|host| host.split_once('/'))
        .filter(|(_, name)| hostnames.iter().any(|hostname| host::overlap(hostname, name)));
    let namespaces: Vec<_> = matching.map(|(namespace, _)| namespace).collect();
    if namespaces.is_empty() {
        return Err(format!("its listener has the hostname {}", listener.hostname));
    }
    if !namespaces.iter().any(|namespace| *namespace == "*" || *namespace == route.namespace) {
        return Err(format!("its listener does not allow routes of the namespace {}", route.namespace));
    }
    if !listener.kinds.iter().any(|allowed| allowed == kind) {
        return Err(format!("its listener {} takes {}", listener.section, listener.kinds.join(", ")));
    }
    Ok(())
}
