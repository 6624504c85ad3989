//! What workers look up: where UDP services are taken, and which edges have them.

use std::net::SocketAddr;
use std::sync::Arc;

use overlay::catalogue::Protocol;

use super::DatagramImport;
use crate::edge::import::{KnownEdges, MOST_WEIGHT};

/// All of it, replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatagramTables {
    pub(super) imports: Vec<Import>,
}

/// A UDP service of other edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) service: DatagramService,
    /// The edges that have it.
    pub(super) providers: Arc<[Provider]>,
}

/// What a socket is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DatagramService {
    pub(super) listen: SocketAddr,
    pub(super) host: Arc<str>,
    pub(super) port: u16,
}

/// An edge that has a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub(super) edge: Arc<str>,
    /// How many parts of its locality are ours, from the first on: more is nearer.
    pub(super) nearness: usize,
    pub(super) weight: u32,
}

/// An edge as it sees others.
pub(in crate::edge) struct Here<'a> {
    pub(in crate::edge) name: &'a str,
    pub(in crate::edge) locality: &'a str,
}

impl DatagramTables {
    /// Of what is configured, and what other edges offer.
    pub(in crate::edge) fn new(here: &Here<'_>, wanted: &[DatagramImport], edges: &KnownEdges) -> Self {
        let imports = wanted.iter().map(|wanted| {
            let DatagramImport { host, port, listen, .. } = wanted;
            let service = DatagramService { listen: *listen, host: host.as_str().into(), port: *port };
            Import { service, providers: providers(here, wanted, edges).collect() }
        });
        Self { imports: imports.collect() }
    }

    /// The edges that have a service.
    pub(super) fn providers(&self, service: &DatagramService) -> Arc<[Provider]> {
        let import = self.imports.iter().find(|import| import.service == *service);
        import.map(|import| import.providers.clone()).unwrap_or_default()
    }

    /// For who asks what is taken: hosts and edges.
    pub(in crate::edge) fn imported(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports
            .iter()
            .flat_map(|import| import.providers.iter().map(|provider| (&*import.service.host, &*provider.edge)))
    }
}

fn providers<'a>(
    here: &'a Here<'_>,
    wanted: &'a DatagramImport,
    edges: &'a KnownEdges,
) -> impl Iterator<Item = Provider> + 'a {
    let others = edges.iter().filter(|(edge, _)| edge != here.name && wanted.takes(&wanted.host, edge));
    others.filter_map(|(edge, announcement)| {
        let has_port = |service: &&overlay::catalogue::OfferedService| {
            service.host == wanted.host
                && service.healthy
                && service.ports.iter().any(|port| port.number == wanted.port && port.protocol == Protocol::Udp)
        };
        let service = announcement.services.iter().find(has_port)?;
        let nearness = nearness(here.locality, &announcement.locality);
        Some(Provider { edge: edge.as_str().into(), nearness, weight: service.weight.clamp(1, MOST_WEIGHT) })
    })
}

/// Region, zone and sub-zone: how many of them are the same, from the first on.
fn nearness(here: &str, there: &str) -> usize {
    let parts = here.split('/').zip(there.split('/'));
    parts.take_while(|(here, there)| here == there && !here.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use overlay::catalogue::{Announcement, OfferedService, Port};

    use super::*;

    fn edge(name: &str, locality: &str, protocol: Protocol, healthy: bool) -> (String, Arc<Announcement>) {
        let service = OfferedService {
            host: "dns.shop.global".to_owned(),
            namespace: "shop".to_owned(),
            ports: vec![Port { number: 53, name: "dns".to_owned(), protocol }],
            labels: BTreeMap::new(),
            weight: 0,
            healthy,
        };
        let locality = locality.to_owned();
        (
            name.to_owned(),
            Arc::new(Announcement {
                epoch: 1,
                sequence: 1,
                locality,
                services: vec![service],
                ..Announcement::default()
            }),
        )
    }

    #[test]
    fn edges_that_have_the_service_are_its_providers_and_near_ones_are_known_as_such() {
        let edges: KnownEdges = [
            edge("a", "eu/one/x", Protocol::Udp, true),
            edge("b", "eu/two", Protocol::Udp, true),
            edge("c", "us", Protocol::Udp, true),
            edge("tcp", "eu/one", Protocol::Tcp, true),
            edge("nobody", "eu/one", Protocol::Udp, false),
            edge("here", "eu/one", Protocol::Udp, true),
        ]
        .into();
        let listen: SocketAddr = ([127, 0, 0, 1], 5353).into();
        let wanted = |edges: &[&str]| {
            let edges = edges.iter().map(|edge| (*edge).to_owned()).collect();
            [DatagramImport { host: "dns.shop.global".to_owned(), port: 53, listen, edges }]
        };
        let here = Here { name: "here", locality: "eu/one/y" };
        let tables = DatagramTables::new(&here, &wanted(&[]), &edges);
        let service = DatagramService { listen, host: "dns.shop.global".into(), port: 53 };
        let found = tables.providers(&service);
        let found: Vec<_> =
            found.iter().map(|provider| (&*provider.edge, provider.nearness, provider.weight)).collect();
        assert_eq!(found, [("a", 2, 1), ("b", 1, 1), ("c", 0, 1)]);
        let some = DatagramTables::new(&here, &wanted(&["c", "tcp"]), &edges).providers(&service);
        assert_eq!(some.iter().map(|provider| &*provider.edge).collect::<Vec<_>>(), ["c"]);
        assert!(tables.providers(&DatagramService { port: 54, ..service }).is_empty());
    }

    #[test]
    fn no_edge_outweighs_the_others_by_more_than_a_bound() {
        let (name, mut announcement) = edge("heavy", "", Protocol::Udp, true);
        Arc::make_mut(&mut announcement).services[0].weight = u32::MAX;
        let listen: SocketAddr = ([127, 0, 0, 1], 5353).into();
        let wanted = [DatagramImport { host: "dns.shop.global".to_owned(), port: 53, listen, edges: Vec::new() }];
        let here = Here { name: "here", locality: "" };
        let tables = DatagramTables::new(&here, &wanted, &[(name, announcement)].into());
        assert_eq!(tables.imports[0].providers[0].weight, MOST_WEIGHT);
    }

    #[test]
    fn localities_that_nobody_has_named_are_not_near() {
        for (here, there, parts) in [("", "", 0), ("eu", "eu/one", 1), ("eu//x", "eu//x", 1), ("eu/one", "us/one", 0)] {
            assert_eq!(nearness(here, there), parts, "{here:?}, {there:?}");
        }
    }
}
