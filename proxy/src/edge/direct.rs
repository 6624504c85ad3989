//! Links to other edges without a hub between: where this one can be dialled, and which others are.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use overlay::catalogue::check_address;
use overlay::identity::Current;
use overlay::node::{Limits, Node};
use overlay::uplink::{self, DirectEdge, MayDial};
use serde::{Deserialize, Deserializer};
use tokio::net::{TcpListener, TcpSocket};

use super::config::EdgeConfig;
use super::import::KnownEdges;

/// Edges that are dialled, each from every worker and uplink; the others are reached over hubs.
const MOST_DIALLED: usize = 64;
/// Addresses that may be announced (those who hear of them take no more).
const MOST_ADVERTISED: usize = 8;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// After nothing could be bound.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What `edge.yaml` says of links to other edges without a hub between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DirectConfig {
    /// Where links are taken; `None` if others cannot dial this one.
    pub listen: Option<SocketAddr>,
    /// Where other edges find that, as `host:port`; there itself, if it is empty.
    pub advertise: Vec<String>,
    /// The addresses at which other edges are dialled, none if it is empty; `None` for those of other machines that are no hubs.
    #[serde(deserialize_with = "ranges")]
    pub dial: Option<Vec<IpNet>>,
}

impl DirectConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(listen) = self.listen else {
            return match self.advertise.is_empty() {
                true => Ok(()),
                false => Err("direct.advertise: without direct.listen nobody is there".to_owned()),
            };
        };
        if listen.port() == 0 {
            return Err("direct.listen: the port is 0".to_owned());
        }
        if self.advertise.is_empty() && listen.ip().is_unspecified() {
            return Err(format!(
                "direct.advertise: {listen} is every address of this machine: say by which one other edges reach it"
            ));
        }
        if self.advertise.len() > MOST_ADVERTISED {
            return Err(format!("direct.advertise: there may be {MOST_ADVERTISED}"));
        }
        for (at, address) in self.advertise.iter().enumerate() {
            check_address(address).map_err(|problem| format!("direct.advertise[{at}]: {address:?} {problem}"))?;
        }
        Ok(())
    }

    /// What other edges are told.
    pub(super) fn addresses(&self) -> Vec<String> {
        match self.listen {
            Some(listen) if self.advertise.is_empty() => vec![listen.to_string()],
            Some(_) => self.advertise.clone(),
            None => Vec::new(),
        }
    }

    fn may_dial(&self, dialler: &Dialler<'_>) -> MayDial {
        match &self.dial {
            Some(ranges) => MayDial::Within(ranges.clone()),
            None => MayDial::OtherMachines { hubs: dialler.hubs.to_vec(), own: dialler.addresses.clone() },
        }
    }
}

/// A list of `address/length`.
fn ranges<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    let parse = |text: &String| {
        let wrong = || format!("dial: {text:?} is not a range of addresses such as 10.0.0.0/8");
        text.parse().map_err(|_| serde::de::Error::custom(wrong()))
    };
    Vec::<String>::deserialize(value)?.iter().map(parse).collect::<Result<_, _>>().map(Some)
}

/// Who dials other edges.
#[derive(Debug)]
pub(super) struct Dialler<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Those that it is linked to, as `host:port`.
    pub(super) hubs: &'a [String],
    /// Of its machine.
    pub(super) addresses: &'a BTreeSet<IpAddr>,
    /// Bounds of each worker.
    pub(super) limits: &'a Limits,
}

/// The edges to dial: those that say where they are, and with which there may be calls; from each of our addresses, as far as a worker has
/// places for the links.
pub(super) fn edges_to_dial(dialler: &Dialler<'_>, known: &KnownEdges, config: &EdgeConfig) -> Arc<[DirectEdge]> {
    if config.direct.dial.as_ref().is_some_and(Vec::is_empty) {
        return Arc::default();
    }
    let may_dial = Arc::new(config.direct.may_dial(dialler));
    let others = known.iter().filter(|(edge, announced)| {
        edge != dialler.name && !announced.addresses.is_empty() && config.has_calls_with(edge)
    });
    let locals: Vec<_> = match &config.uplinks[..] {
        [] => vec![None],
        locals => locals.iter().take(dialler.limits.links_per_edge()).copied().map(Some).collect(),
    };
    let places = dialler.limits.links_per_tenant / locals.len();
    let dialled = others.take(MOST_DIALLED.min(places)).flat_map(|(edge, announced)| {
        let addresses: Arc<[String]> = announced.addresses.clone().into();
        let of = |local: &Option<IpAddr>| {
            let (addresses, may_dial) = (addresses.clone(), may_dial.clone());
            DirectEdge { edge: edge.clone(), addresses, local: *local, may_dial }
        };
        locals.iter().map(of).collect::<Vec<_>>()
    });
    dialled.collect()
}

/// Takes the links of other edges on one worker, for as long as it runs. Each worker has a socket of its own for that.
pub(super) async fn listen(node: Rc<Node>, identity: Current, at: Option<SocketAddr>) {
    let Some(at) = at else { return std::future::pending().await };
    let mut logged = String::new();
    loop {
        let ended = match bind(at) {
            Ok(listener) => uplink::listen(node.clone(), identity.clone(), None, listener).await,
            Err(error) => Err(error),
        };
        let problem = ended.err().map(|error| error.to_string()).unwrap_or_default();
        if problem != logged {
            tracing::error!("other edges cannot dial this one at {at}: {problem}");
            logged = problem;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use overlay::catalogue::Announcement;

    use super::*;

    fn config(listen: &str, advertise: &[&str]) -> Result<DirectConfig, String> {
        let advertise = advertise.iter().map(|address| (*address).to_owned()).collect();
        let listen = if listen.is_empty() { None } else { Some(listen.parse().map_err(|_| "no address")?) };
        let config = DirectConfig { listen, advertise, dial: None };
        config.check().map(|()| config)
    }

    #[test]
    fn others_are_told_an_address_that_they_can_dial() {
        assert_eq!(config("", &[]).map(|config| config.addresses()), Ok(vec![]));
        assert_eq!(config("192.0.2.1:7444", &[]).map(|config| config.addresses()), Ok(vec!["192.0.2.1:7444".into()]));
        let named = config("0.0.0.0:7444", &["edge-b.example.com:7444"]).map(|config| config.addresses());
        assert_eq!(named, Ok(vec!["edge-b.example.com:7444".to_owned()]));
        for (listen, advertise, problem) in [
            ("", &["a:1"][..], "direct.advertise: without direct.listen"),
            ("0.0.0.0:7444", &[], "direct.advertise: 0.0.0.0:7444 is every address of this machine"),
            ("192.0.2.1:0", &[], "direct.listen: the port is 0"),
            ("192.0.2.1:1", &["a:1", "b"], "direct.advertise[1]: \"b\" is not host:port"),
            ("192.0.2.1:1", &["0.0.0.0:1"], "direct.advertise[0]: \"0.0.0.0:1\" is no address"),
            ("192.0.2.1:1", &["a:1"; 9], "direct.advertise: there may be 8"),
        ] {
            let refused = config(listen, advertise).err();
            assert!(refused.as_ref().is_some_and(|refused| refused.starts_with(problem)), "{refused:?}");
        }
    }

    /// Edges that say where they are.
    fn known(edges: &[(&str, &[&str])]) -> KnownEdges {
        let edge = |(name, addresses): &(&str, &[&str])| {
            let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
            ((*name).to_owned(), Arc::new(Announcement { addresses, ..Announcement::default() }))
        };
        edges.iter().map(edge).collect()
    }

    /// Whom edge `a` dials that has hubs and bounds.
    fn to_dial(known: &KnownEdges, config: &EdgeConfig, hubs: &[String], limits: &Limits) -> Arc<[DirectEdge]> {
        edges_to_dial(&Dialler { name: "a", hubs, addresses: &own_addresses(), limits }, known, config)
    }

    fn own_addresses() -> BTreeSet<IpAddr> {
        [IpAddr::from([10, 0, 0, 1])].into()
    }

    fn dialled(config: &str, known: &KnownEdges) -> Vec<String> {
        let config = EdgeConfig::parse(config).unwrap();
        to_dial(known, &config, &[], &Limits::default()).iter().map(|direct| direct.edge.clone()).collect()
    }

    #[test]
    fn edges_are_dialled_that_say_where_they_are() {
        let edges = known(&[("a", &["a:1"]), ("b", &[]), ("c", &["c:1", "c:2"])]);
        let hubs = ["hub.example:7443".to_owned()];
        let may_dial = Arc::new(MayDial::OtherMachines { hubs: hubs.to_vec(), own: own_addresses() });
        let limits = Limits::default();
        let addresses: Arc<[String]> = ["c:1".to_owned(), "c:2".to_owned()].into();
        let direct =
            |local| DirectEdge { edge: "c".into(), addresses: addresses.clone(), local, may_dial: may_dial.clone() };
        let mut config = EdgeConfig::parse("import: [{hosts: ['*']}]").unwrap();
        assert_eq!(*to_dial(&edges, &config, &hubs, &limits), [direct(None)]);
        config.uplinks = vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let from_both = config.uplinks.iter().map(|local| direct(Some(*local)));
        assert_eq!(*to_dial(&edges, &config, &hubs, &limits), *from_both.collect::<Vec<_>>());
        let names: Vec<String> = (0..100).map(|at| format!("e{at}")).collect();
        let many: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["x:1"][..])).collect();
        assert_eq!(dialled("import: [{hosts: ['*']}]", &known(&many)).len(), MOST_DIALLED);
    }

    #[test]
    fn no_more_links_are_wanted_than_a_worker_has_places_for() {
        let names: Vec<String> = (10..30).map(|at| format!("e{at}")).collect();
        let many: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["x:1"][..])).collect();
        let dialled = |places, uplinks: u8| {
            let mut config = EdgeConfig::parse("import: [{hosts: ['*']}]").unwrap();
            config.uplinks = (0..uplinks).map(|at| IpAddr::from([10, 0, 0, at])).collect();
            let limits = Limits { links_per_tenant: places, links_per_peer: 16, ..Limits::default() };
            to_dial(&known(&many), &config, &[], &limits).len()
        };
        assert_eq!([64, 16, 5, 1].map(|places| dialled(places, 0)), [20, 16, 5, 1]);
        // Links from each of the uplinks, and of those no more than an edge may have.
        assert_eq!([64, 16, 5, 1].map(|places| dialled(places, 2)), [40, 16, 4, 1]);
        assert_eq!([64, 16, 5, 1].map(|places| dialled(places, 8)), [64, 16, 4, 1]);
    }

    #[test]
    fn edges_are_dialled_with_which_there_may_be_calls() {
        let edges = known(&[("b", &["b:1"]), ("c", &["c:1"]), ("d", &["d:1"])]);
        let datagrams = |edges: &str| format!("datagrams: [{{host: dns, port: 53, listen: '127.0.0.1:53'{edges}}}]");
        for (config, expected) in [
            ("", &[][..]),
            ("export: [{hosts: ['*']}]", &["b", "c", "d"]),
            ("export: [{hosts: ['*'], edges: [d]}]\nimport: [{hosts: ['*'], edges: [b]}]", &["b", "d"]),
            ("import: [{hosts: ['*'], edges: [c]}, {edges: [d]}]", &["c", "d"]),
            ("import: [{hosts: ['*'], edges: [c]}, {hosts: [x]}]", &["b", "c", "d"]),
            (&datagrams(", edges: [b]"), &["b"]),
            (&datagrams(""), &["b", "c", "d"]),
            ("import: [{hosts: ['*']}]\ndirect: {dial: [10.0.0.0/8]}", &["b", "c", "d"]),
            ("import: [{hosts: ['*']}]\ndirect: {dial: []}", &[]),
        ] {
            assert_eq!(dialled(config, &edges), expected, "{config}");
        }
    }

    #[test]
    fn the_operator_says_which_addresses_are_dialled() {
        let (hubs, addresses, limits) = (["h:1".to_owned()], own_addresses(), Limits::default());
        let dialler = Dialler { name: "a", hubs: &hubs, addresses: &addresses, limits: &limits };
        let may_dial = |config| EdgeConfig::parse(config).map(|config| config.direct.may_dial(&dialler));
        assert_eq!(may_dial(""), Ok(MayDial::OtherMachines { hubs: hubs.to_vec(), own: addresses.clone() }));
        let ranges = ["10.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap());
        let named = may_dial("direct: {dial: [10.0.0.0/8, '2001:db8::/32']}");
        assert_eq!(named, Ok(MayDial::Within(ranges.to_vec())));
        let wrong = may_dial("direct: {dial: [10.0.0.0]}").unwrap_err();
        assert!(wrong.contains("dial: \"10.0.0.0\" is not a range of addresses such as 10.0.0.0/8"), "{wrong}");
    }
}
