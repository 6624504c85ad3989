//! What each kind of resource refers to.

use std::sync::Arc;

use xds_model::cluster::{Cluster, Discovery, TransportSocket};
use xds_model::http::{DiscoveredFilter, RouteSource};
use xds_model::listener::{FilterChain, Listener, TerminalFilter};
use xds_model::route::{RouteAction, RouteConfiguration, VirtualHost, WeightedCluster};
use xds_model::tls::{AuthoritySource, CertificateSource, SecretReference, SecretServer, Validation};

use super::{Key, Targets};
use crate::ResourceType;

/// Route configurations, extension configurations, clusters and secrets of a listener.
#[must_use]
pub fn of_listener(listener: &Listener) -> Targets {
    let extension = |filter: &DiscoveredFilter| (ResourceType::ExtensionConfig, filter.name.as_str().into());
    let mut targets: Targets = listener.discovered_filters().map(extension).collect();
    for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
        add_chain(chain, &mut targets);
    }
    targets
}

/// Clusters of a route configuration.
#[must_use]
pub fn of_route(routes: &RouteConfiguration) -> Targets {
    // Collected at once: one sort is less than many insertions.
    routes.virtual_hosts.iter().flat_map(|host| clusters(host)).map(key).collect()
}

/// Whether two versions of a table refer to the same clusters, virtual host by virtual host. `false` says nothing.
#[must_use]
pub fn refer_to_the_same(one: &RouteConfiguration, other: &RouteConfiguration) -> bool {
    let same = |(one, other): (&Arc<VirtualHost>, &Arc<VirtualHost>)| {
        Arc::ptr_eq(one, other)
            || clusters(one).map(|cluster| &cluster.name).eq(clusters(other).map(|cluster| &cluster.name))
    };
    one.virtual_hosts.len() == other.virtual_hosts.len() && one.virtual_hosts.iter().zip(&other.virtual_hosts).all(same)
}

/// Endpoints and secrets of a cluster.
#[must_use]
pub fn of_cluster(cluster: &Cluster) -> Targets {
    let mut targets = Targets::new();
    if let Discovery::Eds(name) = &cluster.discovery {
        targets.insert((ResourceType::Endpoints, name.as_str().into()));
    }
    let transport = &cluster.transport;
    for socket in transport.matches.iter().map(|candidate| &candidate.socket).chain([&transport.default]) {
        if let TransportSocket::Tls(tls) = socket {
            add_secrets(&tls.certificates, tls.validation.as_ref(), &mut targets);
        }
    }
    targets
}

fn add_chain(chain: &FilterChain, targets: &mut Targets) {
    if let Some(tls) = &chain.tls {
        add_secrets(&tls.certificates, tls.validation.as_ref(), targets);
    }
    match &chain.terminal {
        TerminalFilter::Tcp(proxy) => targets.extend(proxy.clusters.iter().map(key)),
        TerminalFilter::Http(manager) => match &manager.routes {
            RouteSource::Rds(name) => {
                targets.insert((ResourceType::Route, name.as_str().into()));
            }
            RouteSource::Inline(routes) => targets.extend(of_route(routes)),
        },
    }
}

fn clusters(host: &VirtualHost) -> impl Iterator<Item = &WeightedCluster> {
    host.routes.iter().flat_map(|route| match &route.action {
        RouteAction::Forward(forward) => forward.clusters.as_slice(),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) | RouteAction::Refused(_) => &[],
    })
}

fn key(cluster: &WeightedCluster) -> Key {
    (ResourceType::Cluster, cluster.name.as_str().into())
}

fn add_secrets(certificates: &[CertificateSource], validation: Option<&Validation>, targets: &mut Targets) {
    for certificate in certificates {
        if let CertificateSource::Secret(reference) = certificate {
            add_secret(reference, targets);
        }
    }
    if let Some(AuthoritySource::Secret(reference)) = validation.and_then(|validation| validation.authorities.as_ref())
    {
        add_secret(reference, targets);
    }
}

/// Only what the control plane serves has to be asked for there.
fn add_secret(reference: &SecretReference, targets: &mut Targets) {
    if reference.server == SecretServer::Ads {
        targets.insert((ResourceType::Secret, reference.name.as_str().into()));
    }
}
