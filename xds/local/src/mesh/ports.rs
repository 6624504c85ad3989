//! What each port of the gateway is for: the servers of all its Gateways, merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::mesh::protocol::Protocol;
use crate::object::gateway::{Gateway, Server};
use crate::problem::Problems;

/// The address and port of a listener, with the protocol of its servers as spelled in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortKey {
    pub(crate) number: u32,
    pub(crate) protocol: String,
    /// Empty for all addresses.
    pub(crate) bind: String,
}

impl PortKey {
    /// The address to bind.
    pub(crate) fn address(&self) -> &str {
        if self.bind.is_empty() { "0.0.0.0" } else { &self.bind }
    }

    /// Name of the listener.
    pub(crate) fn listener_name(&self) -> String {
        format!("{}_{}", self.address(), self.number)
    }
}

/// A server, and what it is known by.
#[derive(Debug)]
pub(crate) struct BoundServer {
    /// `namespace/name`.
    pub(crate) gateway: String,
    /// The hosts are `host` or `namespace/host`.
    pub(crate) server: Server,
    /// Name of its route table; empty if it does not speak HTTP.
    pub(crate) route_name: String,
}

impl BoundServer {
    /// Its hosts without namespaces, sorted, each once: what SNI is compared with.
    pub(crate) fn sni_hosts(&self) -> Vec<String> {
        let names = self.server.hosts.iter().map(|host| host.split_once('/').map_or(host.as_str(), |(_, name)| name));
        names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Servers of one address, port and protocol.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) key: PortKey,
    pub(crate) servers: Vec<Arc<BoundServer>>,
    /// Name of the route table of an HTTP port.
    pub(crate) route_name: String,
}

/// All ports, and the servers of each route table.
#[derive(Debug, Default)]
pub(crate) struct GatewayPorts {
    ports: Vec<Port>,
    routes: BTreeMap<String, Vec<Arc<BoundServer>>>,
    known: BTreeSet<u32>,
    /// The first clear-text address and protocol of each port.
    clear_text: BTreeMap<u32, PortKey>,
    /// Addresses of each TLS host, by port: two chains must not match the same.
    tls_hosts: BTreeMap<u32, BTreeMap<String, String>>,
}

impl GatewayPorts {
    /// Merges `gateways`, the oldest first; a server that cannot be merged is left out with a warning. `resolve` turns the port
    /// number of a server into the one to listen on.
    pub(crate) fn new(gateways: &[Gateway], resolve: impl Fn(u32) -> u32, problems: &Problems) -> Self {
        let mut sorted: Vec<_> = gateways.iter().collect();
        sorted.sort_by(|one, other| one.metadata.age().cmp(&other.metadata.age()));
        let mut ports = Self::default();
        for gateway in sorted {
            for server in &gateway.servers {
                let bound = Arc::new(bind(gateway, server, resolve(server.port)));
                if let Err(reason) = ports.add(&bound, resolve(server.port)) {
                    problems.warning(&server.place, format!("this server is left out: {reason}"));
                }
            }
        }
        ports
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter()
    }

    /// The servers of each route table.
    pub(crate) fn routes(&self) -> &BTreeMap<String, Vec<Arc<BoundServer>>> {
        &self.routes
    }

    fn add(&mut self, bound: &Arc<BoundServer>, number: u32) -> Result<(), String> {
        let server = &bound.server;
        if server.tls.is_some() {
            self.claim_tls_hosts(server, number)?;
        }
        let key = PortKey { number, protocol: server.protocol_text.clone(), bind: server.bind.clone() };
        if self.known.insert(number) {
            self.open(bound, key);
            return Ok(());
        }
        match self.clear_text.get(&number).cloned() {
            Some(first) => self.add_beside_clear_text(bound, key, &first),
            None => self.add_beside_tls(bound, key),
        }
    }

    fn claim_tls_hosts(&mut self, server: &Server, number: u32) -> Result<(), String> {
        let claimed = self.tls_hosts.entry(number).or_default();
        if let Some(host) = server.hosts.iter().find(|host| claimed.get(*host) == Some(&server.bind)) {
            return Err(format!("another server of port {number} with TLS has the host {host}"));
        }
        claimed.extend(server.hosts.iter().map(|host| (host.clone(), server.bind.clone())));
        Ok(())
    }

    fn add_beside_clear_text(&mut self, bound: &Arc<BoundServer>, key: PortKey, first: &PortKey) -> Result<(), String> {
        if key.bind != first.bind {
            if self.find(&key).is_some() {
                self.join(bound, &key);
            } else {
                self.open(bound, key);
            }
            return Ok(());
        }
        let mergeable = bound.server.protocol.is_http() && Protocol::parse(&first.protocol).is_http();
        if !mergeable {
            return Err(format!("port {} already speaks {}", key.number, first.protocol));
        }
        self.join(bound, first);
        Ok(())
    }

    fn add_beside_tls(&mut self, bound: &Arc<BoundServer>, key: PortKey) -> Result<(), String> {
        let server = &bound.server;
        if !server.is_tls() {
            self.open(bound, key);
            return Ok(());
        }
        if server.is_http() {
            if self.routes.contains_key(&bound.route_name) {
                return Err(format!("another server of port {} has the port name {}", key.number, server.port_name));
            }
            self.routes.insert(bound.route_name.clone(), vec![bound.clone()]);
        }
        match self.find(&key) {
            Some(port) => port.servers.push(bound.clone()),
            None => self.ports.push(Port { key, servers: vec![bound.clone()], route_name: String::new() }),
        }
        Ok(())
    }

    /// A listener of its own.
    fn open(&mut self, bound: &Arc<BoundServer>, key: PortKey) {
        if !bound.server.is_tls() {
            self.clear_text.insert(key.number, key.clone());
        }
        if bound.server.is_http() {
            self.routes.insert(bound.route_name.clone(), vec![bound.clone()]);
        }
        self.ports.push(Port { key, servers: vec![bound.clone()], route_name: bound.route_name.clone() });
    }

    /// The listener of other servers.
    fn join(&mut self, bound: &Arc<BoundServer>, key: &PortKey) {
        self.routes.entry(bound.route_name.clone()).or_default().push(bound.clone());
        if let Some(port) = self.find(key) {
            port.servers.push(bound.clone());
        }
    }

    fn find(&mut self, key: &PortKey) -> Option<&mut Port> {
        self.ports.iter_mut().find(|port| port.key == *key)
    }
}

fn bind(gateway: &Gateway, server: &Server, number: u32) -> BoundServer {
    let metadata = &gateway.metadata;
    let mut server = server.clone();
    if server.hosts.iter().any(|host| host == "*/*") {
        server.hosts = vec!["*".into()];
    }
    for host in &mut server.hosts {
        match host.split_once('/') {
            Some((".", name)) => *host = format!("{}/{name}", metadata.namespace),
            Some(("*", name)) => *host = name.to_owned(),
            _ => {}
        }
    }
    let suffix = if server.bind.is_empty() { String::new() } else { format!(".{}", server.bind) };
    let route_name = if server.protocol.is_http() {
        format!("http.{number}{suffix}")
    } else if server.is_terminated_https() {
        format!("https.{}.{}.{}.{}{suffix}", server.port, server.port_name, metadata.name, metadata.namespace)
    } else {
        String::new()
    };
    BoundServer { gateway: format!("{}/{}", metadata.namespace, metadata.name), server, route_name }
}
