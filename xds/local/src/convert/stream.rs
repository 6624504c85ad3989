//! TLSRoutes and TCPRoutes as VirtualServices.

use super::MADE;
use super::Sources;
use super::backend::{destination, weighted};
use super::listener::Attachable;
use super::parent::attached;
use crate::mesh::host;
use crate::object::gateway_api::BackendRef;
use crate::object::gateway_api::stream_route::StreamRoute as ApiRoute;
use crate::object::metadata::Metadata;
use crate::object::virtual_service::{
    Destination, Origin, StreamMatch, StreamRoute, VirtualService, WeightedDestination,
};

pub(super) fn convert_tls(sources: &Sources<'_>, listeners: &[Attachable]) -> Vec<VirtualService> {
    let mut made = Vec::new();
    for route in &sources.objects.tls_routes {
        let any = vec!["*".to_owned()];
        let hosts = if route.hostnames.is_empty() { &any } else { &route.hostnames };
        let mut count = 0;
        let parents =
            attached("TLSRoute", &route.metadata, &route.hostnames, &route.parents, listeners, sources.problems);
        let targets = if parents.is_empty() { Vec::new() } else { targets("TLSRoute", route, sources) };
        for listener in parents {
            let own = if listener.hostname.is_empty() {
                hosts.clone()
            } else {
                host::intersection(hosts, std::slice::from_ref(&listener.hostname))
            };
            let condition = StreamMatch { sni_hosts: own.clone(), ..StreamMatch::default() };
            let rules =
                targets.iter().map(|targets| StreamRoute { matches: vec![condition.clone()], route: targets.clone() });
            let rules: Vec<_> = rules.collect();
            for host in own {
                let name = format!("{}~tls~{count}~{MADE}", route.metadata.name);
                made.push(VirtualService {
                    tls: rules.clone(),
                    ..empty(&route.metadata, name, host, listener, Origin::TlsRoute)
                });
                count += 1;
            }
        }
    }
    made
}

pub(super) fn convert_tcp(sources: &Sources<'_>, listeners: &[Attachable]) -> Vec<VirtualService> {
    let mut made = Vec::new();
    for route in &sources.objects.tcp_routes {
        let parents = attached("TCPRoute", &route.metadata, &[], &route.parents, listeners, sources.problems);
        let targets = if parents.is_empty() { Vec::new() } else { targets("TCPRoute", route, sources) };
        for (count, listener) in parents.into_iter().enumerate() {
            let name = format!("{}~tcp~{count}~{MADE}", route.metadata.name);
            let rules = targets.iter().map(|targets| StreamRoute { matches: Vec::new(), route: targets.clone() });
            let tcp = rules.collect();
            made.push(VirtualService { tcp, ..empty(&route.metadata, name, "*".into(), listener, Origin::TcpRoute) });
        }
    }
    made
}

fn empty(route: &Metadata, name: String, host: String, listener: &Attachable, origin: Origin) -> VirtualService {
    VirtualService {
        metadata: Metadata { name, ..route.clone() },
        hosts: vec![host],
        gateways: vec![listener.name.clone()],
        export_to: Vec::new(),
        http: Vec::new(),
        tls: Vec::new(),
        tcp: Vec::new(),
        origin,
    }
}

/// The targets of each rule.
fn targets(kind: &str, route: &ApiRoute, sources: &Sources<'_>) -> Vec<Vec<WeightedDestination>> {
    route.rules.iter().map(|backends| rule_targets(kind, route, backends, sources)).collect()
}

fn rule_targets(
    kind: &str,
    route: &ApiRoute,
    backends: &[BackendRef],
    sources: &Sources<'_>,
) -> Vec<WeightedDestination> {
    let weighted = weighted(backends, |backend| backend.weight);
    if weighted.is_empty() {
        // A cluster that does not exist: connections are closed.
        let place = route.metadata.place.clone();
        let nowhere = Destination {
            host: "internal.cluster.local".into(),
            subset: "zero-weight".into(),
            port: Some(65535),
            place,
        };
        return vec![WeightedDestination { destination: nowhere, weight: 0 }];
    }
    let target = |(backend, weight): (&BackendRef, u32)| {
        let destination = destination(kind, &route.metadata, backend, sources)?;
        Some(WeightedDestination { destination, weight })
    };
    weighted.into_iter().filter_map(target).collect()
}
