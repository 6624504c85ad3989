//! VirtualServices that serve nothing, which is most often a slip.

use crate::mesh::Mesh;
use crate::mesh::host;
use crate::mesh::ports::BoundServer;
use crate::object::Objects;
use crate::object::virtual_service::VirtualService;
use crate::problem::Problems;

/// Warns of them; istiod says nothing.
pub(crate) fn check(objects: &Objects, mesh: &Mesh, problems: &Problems) {
    let known: Vec<_> = objects.gateways.iter().map(|gateway| &gateway.metadata).collect();
    for service in objects.virtual_services.iter().filter(|service| !service.is_delegate()) {
        let warn = |message: String| {
            problems.warning(&service.metadata.place, format!("VirtualService {}: {message}", service.metadata.name));
        };
        let named: Vec<_> = service.gateways.iter().filter(|name| *name != "mesh").collect();
        if named.is_empty() {
            warn("it names no gateway, so it is for sidecars alone".into());
            continue;
        }
        let is_known =
            |name: &str| known.iter().any(|metadata| format!("{}/{}", metadata.namespace, metadata.name) == name);
        let missing: Vec<_> = named.iter().filter(|name| !is_known(name)).collect();
        for name in &missing {
            warn(format!("there is no Gateway {name}"));
        }
        let servers = mesh.ports.iter().flat_map(|port| &port.servers).filter(|bound| named.contains(&&bound.gateway));
        let mut servers = servers.peekable();
        if servers.peek().is_some() && !servers.any(|bound| shares_host(bound, service)) {
            warn(format!("its gateways serve none of the hosts {}", service.hosts.join(", ")));
        }
    }
}

/// Whether a server and a virtual service have a host in common.
pub(crate) fn shares_host(bound: &BoundServer, service: &VirtualService) -> bool {
    let hosts = host::for_namespace(&bound.server.hosts, &service.metadata.namespace);
    hosts.iter().any(|own| service.hosts.iter().any(|other| host::overlap(own, other)))
}
