//! Which services are offered to other edges, and what calls to them lead to.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use overlay::catalogue::{AnnouncementError, OfferedService, Port, Protocol};
use overlay::identity::is_label;

use super::config::{Candidate, Selection};
use super::istio::{cluster_name, protocol};
use super::labels::IMPORTED_LABEL;
use super::refusals::Refusals;
use super::tables::{Exported, MayCall};

/// The end of the name under which others know a Service of Kubernetes: its own name may be that of another one elsewhere.
const GLOBAL: &str = "global";

/// What is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exports {
    pub(super) services: Vec<OfferedService>,
    /// By host.
    pub(super) table: HashMap<String, Exported>,
    /// What is not, although a rule selects it.
    pub(super) refused: Refusals,
}

impl Exports {
    /// Names of the clusters that calls lead to.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.table.values().flat_map(|exported| exported.ports.iter().map(|(_, cluster)| cluster))
    }
}

/// Those of the services that any rule selects. What was imported is never offered again.
pub(super) fn exports(known: &[xds_local::Service], rules: &[Selection]) -> Exports {
    let mut exports = Exports::default();
    for service in known {
        let Some(may_call) = may_call(service, rules) else { continue };
        let offered = offer(service);
        if offered.ports.is_empty() {
            continue; // of UDP, and nobody answers
        }
        if let Err(error) = offered.check() {
            exports.refused.offer(&service.host, format!("services are not offered: {}", problem(error)));
            continue;
        }
        if exports.services.iter().any(|other| other.host == offered.host) {
            exports.refused.offer(&service.host, "services are not offered: another one has their name");
            continue;
        }
        let connections = offered.ports.iter().filter(|port| port.protocol != Protocol::Udp);
        let cluster = |port: &Port| (port.number, cluster_name(port.number, &service.host).into());
        let datagrams = service.datagrams.iter().map(|port| (port.number, port.endpoints.as_slice().into()));
        let (ports, datagrams) = (connections.map(cluster).collect(), datagrams.collect());
        exports.table.insert(offered.host.clone(), Exported { ports, datagrams, may_call });
        exports.services.push(offered);
    }
    exports
}

/// The same for all services that have it.
fn problem(error: AnnouncementError) -> String {
    match error {
        AnnouncementError::Field { field, problem, .. } => format!("{field} {problem}"),
        AnnouncementError::Unreadable(reason) => reason,
    }
}

/// Rules that select nothing at all, by their places.
pub(super) fn idle_rules<'a>(
    known: &'a [xds_local::Service],
    rules: &'a [Selection],
) -> impl Iterator<Item = usize> + 'a {
    let is_idle = |rule: &Selection| !known.iter().any(|service| selects(rule, service));
    rules.iter().enumerate().filter(move |(_, rule)| is_idle(rule)).map(|(at, _)| at)
}

/// Whether any rule selects it.
pub(super) fn is_selected(service: &xds_local::Service, rules: &[Selection]) -> bool {
    may_call(service, rules).is_some()
}

/// Who may call it by the rules that select it; `None` if none does.
fn may_call(service: &xds_local::Service, rules: &[Selection]) -> Option<MayCall> {
    let mut edges = BTreeSet::new();
    let mut is_selected = false;
    for rule in rules.iter().filter(|rule| selects(rule, service)) {
        if rule.edges.is_empty() {
            return Some(MayCall::All);
        }
        edges.extend(rule.edges.iter().cloned());
        is_selected = true;
    }
    is_selected.then_some(MayCall::Edges(edges))
}

/// Whether a rule is for a service, by the name that it has here or the one under which it is offered.
fn selects(rule: &Selection, service: &xds_local::Service) -> bool {
    let xds_local::Service { host, namespace, labels, .. } = service;
    if labels.contains_key(IMPORTED_LABEL) {
        return false;
    }
    let is_for = |host: &str| rule.selects_service(&Candidate { host, namespace, labels, edge: "" });
    is_for(host) || service.is_kubernetes && is_for(&offered_host(service))
}

/// The name under which others know it.
fn offered_host(service: &xds_local::Service) -> String {
    match service.is_kubernetes {
        true => format!("{}.{}.{GLOBAL}", service.name, service.namespace),
        false => service.host.clone(),
    }
}

fn offer(service: &xds_local::Service) -> OfferedService {
    let ports = service.ports.iter().map(|port| {
        let name = port_name(&port.name, "port", port.number);
        Port { number: port.number, name, protocol: protocol(&port.protocol) }
    });
    let datagrams = service.datagrams.iter().filter(|port| !port.endpoints.is_empty()).map(|port| {
        let name = port_name(&port.name, "udp", port.number);
        Port { number: port.number, name, protocol: Protocol::Udp }
    });
    OfferedService {
        host: offered_host(service),
        namespace: service.namespace.clone(),
        ports: ports.chain(datagrams).collect(),
        labels: service.labels.clone(),
        weight: 1,
        healthy: service.has_endpoints,
    }
}

/// Istio lets a port be without a name, or with one in capitals; other edges would not believe one with dots.
fn port_name(name: &str, kind: &str, number: u16) -> String {
    let name = name.to_ascii_lowercase();
    if is_label(&name) { name } else { format!("{kind}-{number}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::net::SocketAddr;

    use xds_local::{DatagramPort, ServicePort};

    use super::*;

    fn service(host: &str, is_kubernetes: bool) -> xds_local::Service {
        xds_local::Service {
            host: host.to_owned(),
            name: "ratings".to_owned(),
            namespace: "shop".to_owned(),
            is_kubernetes,
            labels: BTreeMap::new(),
            ports: vec![ServicePort { number: 80, name: String::new(), protocol: "HTTP".into() }],
            datagrams: Vec::new(),
            addresses: [].into(),
            has_endpoints: true,
        }
    }

    fn all() -> Vec<Selection> {
        vec![Selection { hosts: vec!["*".to_owned()], ..Selection::default() }]
    }

    #[test]
    fn a_service_of_kubernetes_is_offered_under_a_global_name() {
        let exports = exports(&[service("ratings.shop.svc.cluster.local", true), service("db.example", false)], &all());
        let hosts: Vec<&str> = exports.services.iter().map(|service| service.host.as_str()).collect();
        assert_eq!(hosts, ["ratings.shop.global", "db.example"]);
        assert_eq!(exports.services[0].ports[0].name, "port-80");
        let exported = &exports.table["ratings.shop.global"];
        assert_eq!(exported.ports, [(80, "outbound|80||ratings.shop.svc.cluster.local".into())]);
        assert_eq!((exports.clusters().count(), &exported.may_call), (2, &MayCall::All));
        assert_eq!(
            [("HTTP", 80), ("a.b", 80)].map(|(name, number)| port_name(name, "port", number)),
            ["http", "port-80"]
        );
    }

    #[test]
    fn a_rule_means_a_service_by_its_own_name_or_the_one_under_which_it_is_offered() {
        let rule = |host: &str| [Selection { hosts: vec![host.to_owned()], ..Selection::default() }];
        let services = [service("ratings.shop.svc.cluster.local", true), service("db.shop.example", false)];
        let offered = |host: &str| {
            let offered = exports(&services, &rule(host)).services;
            offered.into_iter().map(|service| service.host).collect::<Vec<_>>()
        };
        for host in ["*.shop.global", "ratings.shop.global", "*.svc.cluster.local"] {
            assert_eq!(offered(host), ["ratings.shop.global"], "{host}");
        }
        assert_eq!(offered("*.bank.global"), [""; 0]);
        let rules = [rule("*.bank.global"), rule("*.shop.global"), rule("db.shop.global")].concat();
        assert_eq!(idle_rules(&services, &rules).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn who_may_call_says_every_rule_that_selects_it() {
        let rule = |host: &str, edges: &[&str]| Selection {
            hosts: vec![host.to_owned()],
            edges: edges.iter().map(|edge| (*edge).to_owned()).collect(),
            ..Selection::default()
        };
        let service = service("db.example", false);
        let of = |rules: &[Selection]| exports(std::slice::from_ref(&service), rules).table.remove("db.example");
        let may_call = |rules: &[Selection]| of(rules).map(|exported| exported.may_call);
        assert_eq!(may_call(&[rule("other.example", &[])]), None);
        let some = may_call(&[rule("db.example", &["b"]), rule("*", &["c"]), rule("other.example", &[])]);
        assert_eq!(some, Some(MayCall::Edges(["b", "c"].map(str::to_owned).into())));
        assert_eq!(may_call(&[rule("db.example", &["b"]), rule("*", &[])]), Some(MayCall::All));
    }

    #[test]
    fn a_port_of_udp_is_offered_if_somebody_answers_beside_one_of_tcp_with_the_same_number() {
        let endpoint: SocketAddr = ([10, 0, 0, 1], 5353).into();
        let with = |endpoints: &[SocketAddr]| {
            let mut dns = service("dns.example", false);
            let endpoints = endpoints.to_vec();
            dns.datagrams = vec![DatagramPort { number: 80, name: String::new(), endpoints }];
            dns
        };
        let offered = exports(&[with(&[endpoint])], &all());
        let ports: Vec<_> =
            offered.services[0].ports.iter().map(|port| (port.name.as_str(), port.number, port.protocol)).collect();
        assert_eq!(ports, [("port-80", 80, Protocol::Http), ("udp-80", 80, Protocol::Udp)]);
        assert_eq!(offered.clusters().count(), 1, "of TCP alone");
        assert_eq!(offered.table["dns.example"].datagrams, [(80, Arc::from([endpoint]))]);

        let nobody = with(&[]);
        assert_eq!(exports(std::slice::from_ref(&nobody), &all()).services[0].ports.len(), 1);
        let udp_alone = xds_local::Service { ports: Vec::new(), ..nobody };
        assert_eq!(exports(&[udp_alone], &all()), Exports::default());
    }

    #[test]
    fn nothing_is_offered_that_is_not_selected_was_imported_or_cannot_be_named() {
        assert_eq!(exports(&[service("db.example", false)], &[]), Exports::default());
        let mut imported = service("far.example", false);
        imported.labels.insert(IMPORTED_LABEL.to_owned(), "true".to_owned());
        let odd = service("under_score.example", false);
        let twice = service("ratings.shop.global", false);
        let exports = exports(&[imported, odd, service("ratings.shop.svc.cluster.local", true), twice], &all());
        assert_eq!(exports.services.len(), 1);
        assert_eq!(exports.clusters().count(), 1);
        assert_eq!(exports.refused.count(None), [1, 1]);
    }

    #[test]
    fn services_that_cannot_be_offered_for_one_reason_are_told_together() {
        let odd = ["a_b.example", "c_d.example"].map(|host| service(host, false));
        assert_eq!(exports(&odd, &all()).refused.count(None), [2]);
    }
}
