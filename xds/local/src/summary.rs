//! What is served, for a person: one screen at start.

use std::collections::BTreeMap;
use std::fmt;

use prost::{Message, Name};
use xds_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use xds_api::envoy::config::listener::v3::{FilterChain, Listener as WireListener, filter};
use xds_api::envoy::config::route::v3::route::Action;
use xds_api::envoy::config::route::v3::route_action::ClusterSpecifier;
use xds_api::envoy::config::route::v3::route_match::PathSpecifier;
use xds_api::envoy::config::route::v3::{Route as WireRoute, RouteConfiguration, VirtualHost};
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use xds_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use xds_api::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds_api::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier as TcpClusters;

use crate::generate::Resource;
use crate::mesh::Mesh;
use crate::problem::Place;
use crate::refusal::virtual_service;

/// What is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// By address and port.
    pub listeners: Vec<Listener>,
}

/// An address and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Name of the resource, `0.0.0.0_8080`.
    pub name: String,
    /// `HTTP`, `HTTPS`, `TLS` or `TCP`, as the Gateway says.
    pub protocol: String,
    /// Where its Gateways are defined.
    pub defined: Vec<Place>,
    /// What is served on it.
    pub hosts: Vec<Host>,
}

/// Host names that are served alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Host names, or server names of TLS; `*` for all.
    pub names: Vec<String>,
    /// In the order in which they are tried.
    pub routes: Vec<Route>,
}

/// A condition and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `/api*` for a prefix, `/api` for a path; empty for connections.
    pub condition: String,
    /// Clusters with their shares and endpoints, or what is answered instead.
    pub target: String,
    /// Where the VirtualService or route is defined.
    pub defined: Option<Place>,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for listener in &self.listeners {
            let defined: Vec<_> = listener.defined.iter().map(Place::to_string).collect();
            let address = listener.name.replacen('_', ":", 1);
            writeln!(formatter, "{address} {} ({})", listener.protocol, defined.join(", "))?;
            for host in &listener.hosts {
                writeln!(formatter, "  {}", host.names.join(", "))?;
                for route in &host.routes {
                    let defined = route.defined.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
                    writeln!(formatter, "    {:<24} -> {}{defined}", route.condition, route.target)?;
                }
            }
        }
        Ok(())
    }
}

impl Summary {
    /// Reads it from the resources themselves.
    pub(crate) fn new(resources: &[Resource], mesh: &Mesh) -> Self {
        let reader = Reader::new(resources, mesh);
        Self {
            listeners: decoded::<WireListener>(resources).iter().map(|listener| reader.listener(listener)).collect(),
        }
    }
}

struct Reader<'a> {
    mesh: &'a Mesh,
    tables: BTreeMap<String, RouteConfiguration>,
    /// Where virtual services are defined, by namespace and name.
    places: BTreeMap<(&'a str, &'a str), &'a Place>,
    /// Number of endpoints by cluster.
    endpoints: BTreeMap<String, usize>,
}

impl<'a> Reader<'a> {
    fn new(resources: &[Resource], mesh: &'a Mesh) -> Self {
        let count = |assignment: &ClusterLoadAssignment| {
            assignment.endpoints.iter().map(|group| group.lb_endpoints.len()).sum()
        };
        let tables = decoded::<RouteConfiguration>(resources);
        let assignments = decoded::<ClusterLoadAssignment>(resources);
        Self {
            mesh,
            places: mesh.virtual_services.places(),
            tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
            endpoints: assignments.into_iter().map(|found| (found.cluster_name.clone(), count(&found))).collect(),
        }
    }

    fn listener(&self, listener: &WireListener) -> Listener {
        let mut protocols = Vec::new();
        let mut defined = Vec::new();
        for port in self.mesh.ports.iter() {
            if port.key.listener_name() == listener.name {
                protocols.push(port.key.protocol.clone());
                defined.extend(port.servers.iter().map(|bound| bound.server.place.clone()));
            }
        }
        protocols.dedup();
        Listener {
            name: listener.name.clone(),
            protocol: protocols.join(", "),
            defined,
            hosts: listener.filter_chains.iter().flat_map(|chain| self.chain(chain)).collect(),
        }
    }

    fn chain(&self, chain: &FilterChain) -> Vec<Host> {
        let Some(filter::ConfigType::TypedConfig(config)) =
            chain.filters.last().and_then(|last| last.config_type.as_ref())
        else {
            return Vec::new();
        };
        if let Ok(manager) = xds_api::decode::<HttpConnectionManager>(config)
            && let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier
            && let Some(table) = self.tables.get(&rds.route_config_name)
        {
            return table.virtual_hosts.iter().map(|host| self.virtual_host(host)).collect();
        }
        let Ok(proxy) = xds_api::decode::<TcpProxy>(config) else { return Vec::new() };
        let names =
            chain.filter_chain_match.as_ref().map_or_else(|| vec!["*".into()], |found| found.server_names.clone());
        let target = match &proxy.cluster_specifier {
            Some(TcpClusters::Cluster(name)) => self.cluster(name),
            Some(TcpClusters::WeightedClusters(clusters)) => {
                let clusters = clusters.clusters.iter();
                self.weighted(clusters.map(|cluster| (cluster.name.as_str(), cluster.weight)))
            }
            None => String::new(),
        };
        vec![Host { names, routes: vec![Route { condition: String::new(), target, defined: None }] }]
    }

    fn virtual_host(&self, host: &VirtualHost) -> Host {
        Host { names: host.domains.clone(), routes: host.routes.iter().map(|route| self.route(route)).collect() }
    }

    fn route(&self, route: &WireRoute) -> Route {
        let matches = route.r#match.clone().unwrap_or_default();
        let mut condition = match &matches.path_specifier {
            Some(PathSpecifier::Prefix(path)) => format!("{path}*"),
            Some(PathSpecifier::PathSeparatedPrefix(path)) => format!("{path}/*"),
            Some(PathSpecifier::Path(path)) => path.clone(),
            Some(PathSpecifier::SafeRegex(pattern)) => format!("~{}", pattern.regex),
            _ => String::new(),
        };
        for header in &matches.headers {
            condition += &format!(" {}", header.name);
        }
        for query in &matches.query_parameters {
            condition += &format!(" ?{}", query.name);
        }
        let target = match &route.action {
            Some(Action::Redirect(redirect)) => format!("redirect {}", redirect.host_redirect),
            Some(Action::DirectResponse(response)) => format!("answer {}", response.status),
            Some(Action::Route(action)) => match &action.cluster_specifier {
                Some(ClusterSpecifier::Cluster(name)) => self.cluster(name),
                Some(ClusterSpecifier::WeightedClusters(clusters)) => {
                    let clusters = clusters.clusters.iter();
                    self.weighted(clusters.map(|cluster| (cluster.name.as_str(), cluster.weight.unwrap_or(0))))
                }
                _ => String::new(),
            },
            _ => String::new(),
        };
        Route { condition, target: target.trim_end().to_owned(), defined: self.defined(route) }
    }

    fn defined(&self, route: &WireRoute) -> Option<Place> {
        let (namespace, name) = virtual_service(route)?;
        self.places.get(&(namespace.as_str(), name.as_str())).map(|place| (*place).clone())
    }

    fn weighted<'b>(&self, clusters: impl Iterator<Item = (&'b str, u32)>) -> String {
        let shares: Vec<_> = clusters.map(|(name, weight)| format!("{weight}x {}", self.cluster(name))).collect();
        shares.join(", ")
    }

    fn cluster(&self, name: &str) -> String {
        match self.endpoints.get(name) {
            Some(1) => format!("{name} (1 endpoint)"),
            Some(count) => format!("{name} ({count} endpoints)"),
            None => name.to_owned(),
        }
    }
}

/// The messages of one type; those that we made decode.
fn decoded<T: Message + Name + Default>(resources: &[Resource]) -> Vec<T> {
    let url = T::type_url();
    let of_type = resources.iter().filter(|resource| resource.type_url == url);
    of_type.filter_map(|resource| T::decode(resource.message.clone()).ok()).collect()
}
