//! The targets of routes.

use super::Sources;
use crate::mesh::host;
use crate::object::gateway_api::BackendRef;
use crate::object::gateway_api::reference_grant::allows;
use crate::object::metadata::Metadata;
use crate::object::virtual_service::Destination;

/// Targets with a share, each with its weight; a single one needs none.
pub(super) fn weighted<T>(targets: &[T], weight: impl Fn(&T) -> u32) -> Vec<(&T, u32)> {
    let mut weighted: Vec<_> =
        targets.iter().map(|target| (target, weight(target))).filter(|(_, weight)| *weight > 0).collect();
    if let [(_, weight)] = weighted.as_mut_slice() {
        *weight = 0;
    }
    weighted
}

/// The service that a route of `kind` means. A target that must not be used, or is not of a known kind, has no host: requests to it
/// fail. A service that does not exist has a name but no cluster, with the same effect. `None` if the target makes no sense.
pub(super) fn destination(
    kind: &str,
    route: &Metadata,
    target: &BackendRef,
    sources: &Sources<'_>,
) -> Option<Destination> {
    let Sources { objects, services, problems } = sources;
    let none = Destination { host: String::new(), subset: String::new(), port: None, place: target.place.clone() };
    let namespace = if target.namespace.is_empty() { &route.namespace } else { &target.namespace };
    if !allows(&objects.reference_grants, kind, &route.namespace, &target.kind, namespace, &target.name) {
        let message = format!(
            "no ReferenceGrant in {namespace} lets an {kind} of {} use the {} {}",
            route.namespace, target.kind, target.name
        );
        problems.warning(&target.place, message);
        return Some(none);
    }
    let host = match (target.group.as_str(), target.kind.as_str()) {
        ("" | "core", "Service") => {
            if !services.contains(&(namespace.as_str(), target.name.as_str())) {
                problems.warning(&target.place, format!("there is no Service {namespace}/{}", target.name));
            }
            host::full_name(&target.name, namespace)
        }
        ("networking.istio.io", "Hostname") => {
            if !objects.service_entries.iter().any(|entry| entry.hosts.contains(&target.name)) {
                problems.warning(&target.place, format!("no ServiceEntry has the host {}", target.name));
            }
            target.name.clone()
        }
        (group, kind) => {
            problems.warning(&target.place, format!("a backend of the kind {kind} of {group:?} is not known"));
            return Some(none);
        }
    };
    if target.port.is_none() {
        problems.error(&target.place, format!("the backend {} needs a port", target.name));
        return None;
    }
    Some(Destination { host, port: target.port, ..none })
}
