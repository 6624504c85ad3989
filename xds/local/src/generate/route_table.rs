//! Route tables: the virtual hosts of each HTTP port, or of each HTTPS server.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use xds_api::envoy::config::route::v3::virtual_host::TlsRequirementType;
use xds_api::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};

use super::route_match::takes_all;
use super::wire::host_port;
use super::{Resource, route};
use crate::mesh::Mesh;
use crate::mesh::host;
use crate::mesh::ports::BoundServer;
use crate::problem::Problems;

/// Bound on the body of a fixed answer, which istiod's validation has, too.
const MAX_DIRECT_RESPONSE_BYTES: u32 = 1 << 20;

pub(super) fn resources(mesh: &Mesh, problems: &Problems) -> Vec<Resource> {
    let tables = mesh.ports.routes().iter();
    tables.map(|(name, servers)| Resource::new(name, &table(mesh, name, servers, problems))).collect()
}

fn table(mesh: &Mesh, name: &str, servers: &[Arc<BoundServer>], problems: &Problems) -> RouteConfiguration {
    let mut hosts = Hosts::default();
    for bound in servers {
        add_server(mesh, bound, &mut hosts, problems);
    }
    let mut virtual_hosts = hosts.into_virtual_hosts();
    if virtual_hosts.is_empty() {
        let port = servers.first().map_or(0, |bound| bound.server.port);
        // No routes: every request gets 404.
        virtual_hosts.push(VirtualHost {
            name: host_port("blackhole", port),
            domains: vec!["*".into()],
            ..VirtualHost::default()
        });
    }
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        validate_clusters: Some(false),
        ignore_port_in_host_matching: true,
        max_direct_response_body_size_bytes: Some(MAX_DIRECT_RESPONSE_BYTES),
        ..RouteConfiguration::default()
    }
}

fn add_server(mesh: &Mesh, bound: &BoundServer, hosts: &mut Hosts, problems: &Problems) {
    let server = &bound.server;
    for service in mesh.virtual_services.of(&bound.gateway) {
        let allowed = host::for_namespace(&server.hosts, &service.metadata.namespace);
        let shared = host::intersection(&allowed, &service.hosts);
        if shared.is_empty() {
            continue;
        }
        let key = (service.metadata.namespace.clone(), service.metadata.name.clone(), bound.gateway.clone());
        let made = hosts.sources.entry(key).or_insert_with(|| route::routes(mesh, bound, service, problems));
        if made.is_empty() {
            continue;
        }
        let source = made.clone();
        let source_key = format!("{}/{}/{}", bound.gateway, service.metadata.namespace, service.metadata.name);
        for name in shared {
            hosts.add(&name, server.port, &source_key, &source, server.redirects_to_https());
        }
    }
    if server.redirects_to_https() {
        for name in &server.hosts {
            hosts.redirect(name, server.port);
        }
    }
}

/// A virtual host that is being put together.
struct Host {
    virtual_host: VirtualHost,
    /// Where its routes come from: hosts with the same ones become one.
    sources: Vec<String>,
}

#[derive(Default)]
struct Hosts {
    by_name: BTreeMap<String, Host>,
    /// The routes of each virtual service for each gateway: they are made for the first server that needs them.
    sources: BTreeMap<(String, String, String), Vec<Route>>,
}

impl Hosts {
    fn add(&mut self, name: &str, port: u32, source: &str, routes: &[Route], redirects: bool) {
        let host = self.host(name, port);
        host.sources.push(source.to_owned());
        host.virtual_host.routes.extend_from_slice(routes);
        if redirects {
            host.virtual_host.require_tls = TlsRequirementType::All as i32;
        }
    }

    fn redirect(&mut self, name: &str, port: u32) {
        self.host(name, port).virtual_host.require_tls = TlsRequirementType::All as i32;
    }

    fn host(&mut self, name: &str, port: u32) -> &mut Host {
        let name = name.to_ascii_lowercase();
        self.by_name.entry(name.clone()).or_insert_with(|| Host {
            virtual_host: VirtualHost {
                name: host_port(&name, port),
                domains: vec![name],
                include_request_attempt_count: true,
                ..VirtualHost::default()
            },
            sources: Vec::new(),
        })
    }

    /// Sorted by name, hosts with the same routes together, routes that take all requests last.
    fn into_virtual_hosts(self) -> Vec<VirtualHost> {
        let mut hosts: Vec<_> = self.by_name.into_iter().collect();
        hosts.sort_by(|(one, _), (other, _)| host::most_specific_first(one, other));
        let mut merged: BTreeMap<(Vec<String>, i32), VirtualHost> = BTreeMap::new();
        for (_, next) in hosts {
            match merged.entry((next.sources, next.virtual_host.require_tls)) {
                Entry::Occupied(mut known) => known.get_mut().domains.extend(next.virtual_host.domains),
                Entry::Vacant(vacant) => {
                    vacant.insert(next.virtual_host);
                }
            }
        }
        let mut virtual_hosts: Vec<_> = merged.into_values().collect();
        for virtual_host in &mut virtual_hosts {
            virtual_host.routes.sort_by_key(|route| route.r#match.as_ref().is_some_and(takes_all));
        }
        virtual_hosts.sort_by(|one, other| one.name.cmp(&other.name));
        virtual_hosts
    }
}
