//! What is taken from other edges, and the addresses under which the mesh knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use overlay::catalogue::{Announcement, OfferedService, Port, Protocol};

use super::addresses::{Addresses, Needs};
use super::config::{Candidate, Selection};
use super::forms::{Form, connections};
use super::istio::protocol_name;
use super::refusals::Refusals;
use super::tables::Destination;

/// Ports that are taken of one edge: it cannot use up all numbers.
const MOST_PORTS_OF_EDGE: usize = 4_096;
const OTHERWISE: &str =
    "services are not taken: others have offered them before, in another namespace or with other protocols of ports";
const TOO_MANY_PORTS: &str = "services are not taken: the edge offers more than 4,096 ports";
/// No edge outweighs the others by more.
pub(super) const MOST_WEIGHT: u32 = 1_000;

/// What edges announce, by their names.
pub(super) type KnownEdges = Arc<[(String, Arc<Announcement>)]>;

/// A service of other edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) host: String,
    pub(super) namespace: String,
    /// Its ports, and the port that stands for each on the addresses of edges.
    pub(super) ports: Vec<(Port, u16)>,
    pub(super) endpoints: Vec<ImportedEndpoint>,
    /// With the Service that has the same name and namespace here.
    pub(super) merges_with_local: bool,
}

/// An edge that has the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImportedEndpoint {
    pub(super) edge: String,
    /// Stands for the edge.
    pub(super) address: Ipv4Addr,
    pub(super) locality: String,
    pub(super) weight: u32,
}

/// What is taken, and what is not although a rule selects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// Sorted by host.
    pub(super) services: Vec<Import>,
    /// How many services each rule selects.
    pub(super) selected: Vec<usize>,
    pub(super) refused: Refusals,
}

/// What an edge takes of others.
pub(super) struct Wanted<'a> {
    /// The name of the edge itself.
    pub(super) own: &'a str,
    pub(super) rules: &'a [Selection],
    /// Hosts that are not taken, because they are defined here: whoever may offer anything could otherwise answer for them.
    pub(super) taken_hosts: &'a BTreeSet<String>,
    /// The end of names of Services, which are offered under other names: `cluster.local`.
    pub(super) domain: &'a str,
}

/// A service as an edge offers it.
struct Offer<'a> {
    edge: &'a str,
    locality: &'a str,
    service: &'a OfferedService,
    merges_with_local: bool,
}

/// A service as those have it who agree on it.
struct Agreed<'a> {
    host: &'a str,
    form: Form,
    by: Vec<Offer<'a>>,
}

/// Services that any rule selects, of all edges but our own. Whoever has nobody to answer is left out.
pub(super) fn imports(edges: &KnownEdges, wanted: &Wanted<'_>, addresses: &mut Addresses) -> Imports {
    let mut refused = Refusals::default();
    let offers = offers(edges, wanted, &mut refused);
    let agreed: Vec<_> = offers
        .into_iter()
        .filter_map(|(host, offers)| agree(host, offers, addresses.forms().get(host), &mut refused))
        .collect();
    let mut needs = Needs::default();
    for Agreed { host, by, form } in &agreed {
        for offer in by {
            needs.edge(offer.edge);
            let ports = connections(offer.service).filter(|(number, _)| form.ports.contains_key(number));
            ports.for_each(|(number, _)| needs.service(host, number, offer.edge));
        }
    }
    addresses.give(&needs);
    let services = agreed.iter().filter_map(|agreed| import(agreed, addresses, &mut refused)).collect();
    addresses.set_forms(agreed.into_iter().map(|Agreed { host, form, .. }| (host.to_owned(), form)).collect());
    Imports { services, selected: selected(edges, wanted), refused }
}

/// How many services each rule selects, whether they are taken or not.
fn selected(edges: &KnownEdges, wanted: &Wanted<'_>) -> Vec<usize> {
    let others = || edges.iter().filter(|(edge, _)| edge != wanted.own);
    let of_rule = |rule: &Selection| {
        let selects = |edge: &str, OfferedService { host, namespace, labels, .. }: &OfferedService| {
            rule.selects(&Candidate { host, namespace, labels, edge })
        };
        let hosts: BTreeSet<&str> = others()
            .flat_map(|(edge, announcement)| announcement.services.iter().map(move |service| (edge, service)))
            .filter(|(edge, service)| selects(edge, service))
            .map(|(_, service)| service.host.as_str())
            .collect();
        hosts.len()
    };
    wanted.rules.iter().map(of_rule).collect()
}

/// What is selected, by host.
fn offers<'a>(edges: &'a KnownEdges, wanted: &Wanted<'_>, refused: &mut Refusals) -> BTreeMap<&'a str, Vec<Offer<'a>>> {
    let Wanted { own, rules, taken_hosts, domain } = wanted;
    let is_of_kubernetes = |host: &str| host.strip_suffix(domain).is_some_and(|name| name.ends_with(".svc."));
    let mut offers: BTreeMap<&str, Vec<Offer<'_>>> = BTreeMap::new();
    for (edge, announcement) in edges.iter().filter(|(edge, _)| edge != own) {
        let mut ports_left = MOST_PORTS_OF_EDGE;
        for service in &announcement.services {
            let OfferedService { host, namespace, labels, .. } = service;
            // The first one that selects it says how it is taken.
            let selects = |rule: &&Selection| rule.selects(&Candidate { host, namespace, labels, edge });
            let Some(rule) = rules.iter().find(selects) else { continue };
            if taken_hosts.contains(host) || is_of_kubernetes(host) {
                refused.take(edge, host, "services are not taken: such names are for services here alone");
                continue;
            }
            // Whoever has nobody to answer now uses up nothing.
            let ports = if service.healthy { service.ports.len() } else { 0 };
            let Some(left) = ports_left.checked_sub(ports) else {
                refused.take(edge, host, TOO_MANY_PORTS);
                ports_left = 0;
                continue;
            };
            ports_left = left;
            let (locality, merges_with_local) = (announcement.locality.as_str(), rule.merge_with_local);
            offers.entry(host).or_default().push(Offer { edge, locality, service, merges_with_local });
        }
    }
    offers
}

/// What those who have a service agree on. Whoever says otherwise than what was known first does not have it; whoever has nobody to answer speaks for what
/// is known all the same.
fn agree<'a>(
    host: &'a str,
    offers: Vec<Offer<'a>>,
    before: Option<&Form>,
    refused: &mut Refusals,
) -> Option<Agreed<'a>> {
    let mut form = before.and_then(|form| form.still_said(offers.iter().map(|offer| offer.service)));
    let mut by: Vec<Offer<'_>> = Vec::new();
    for offer in offers.into_iter().filter(|offer| offer.service.healthy) {
        let form = form.get_or_insert_with(|| Form::of(offer.service));
        if by.last().is_some_and(|last| last.edge == offer.edge) {
            continue; // announced twice, which nobody believes any more
        }
        if !form.agrees(offer.service) {
            refused.take(offer.edge, host, OTHERWISE);
            continue;
        }
        if !form.extend(offer.service) {
            refused.take(offer.edge, host, "ports of services are not taken: there are 64 of the service already");
        }
        by.push(offer);
    }
    form.map(|form| Agreed { host, form, by })
}

/// The ports and edges for which there are numbers.
fn import(agreed: &Agreed<'_>, addresses: &Addresses, refused: &mut Refusals) -> Option<Import> {
    let Agreed { host, form, by } = agreed;
    let endpoints = by.iter().filter_map(|offer| {
        let Some(address) = addresses.of_edge(offer.edge) else {
            refused.take(offer.edge, host, "services are not taken: importAddresses has no more addresses");
            return None;
        };
        let weight = offer.service.weight.clamp(1, MOST_WEIGHT);
        Some(ImportedEndpoint { edge: offer.edge.to_owned(), address, locality: offer.locality.to_owned(), weight })
    });
    let endpoints: Vec<_> = endpoints.collect();
    for offer in by {
        let has_none =
            |(number, _): &(u16, _)| form.ports.contains_key(number) && addresses.of_service(host, *number).is_none();
        if connections(offer.service).any(|port| has_none(&port)) {
            refused.take(offer.edge, host, "ports of services are not taken: there are no more numbers for them");
        }
    }
    let ports = form.ports.iter().filter_map(|(number, protocol)| {
        let port = Port { number: *number, name: port_name(*protocol, *number), protocol: *protocol };
        Some((port, addresses.of_service(host, *number)?))
    });
    let ports: Vec<_> = ports.collect();
    let first = by.first()?;
    (!ports.is_empty() && !endpoints.is_empty()).then(|| Import {
        host: (*host).to_owned(),
        namespace: form.namespace.clone(),
        ports,
        endpoints,
        merges_with_local: first.merges_with_local,
    })
}

/// Ours, because edges may give one name to several ports.
fn port_name(protocol: Protocol, number: u16) -> String {
    format!("{}-{number}", protocol_name(protocol).to_ascii_lowercase())
}

/// Where the addresses lead.
pub(super) fn destinations(imports: &[Import]) -> impl Iterator<Item = (SocketAddr, Destination)> {
    imports.iter().flat_map(|import| {
        let host: Arc<str> = import.host.as_str().into();
        import.endpoints.iter().flat_map(move |endpoint| {
            let (host, edge): (_, Arc<str>) = (host.clone(), endpoint.edge.as_str().into());
            import.ports.iter().map(move |(port, target)| {
                let destination = Destination { edge: edge.clone(), host: host.clone(), port: port.number };
                (SocketAddr::new(endpoint.address.into(), *target), destination)
            })
        })
    })
}

#[cfg(test)]
mod tests;
