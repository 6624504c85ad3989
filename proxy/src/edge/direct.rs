//! Links to other edges without a hub between: where this one can be dialled, and which others are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::check_address;
use overlay::identity::Current;
use overlay::node::Node;
use overlay::uplink::{self, DirectEdge};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpSocket};

use super::import::KnownEdges;

/// Edges that are dialled, each from every worker and uplink; the others are reached over hubs.
const MOST_DIALLED: usize = 64;
/// Addresses that may be announced (those who hear of them take no more).
const MOST_ADVERTISED: usize = 8;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// After nothing could be bound.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What `edge.yaml` says of an edge that others can dial.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DirectConfig {
    /// Where links are taken.
    pub listen: SocketAddr,
    /// Where other edges find that, as `host:port`; there itself, if it is empty.
    #[serde(default)]
    pub advertise: Vec<String>,
}

impl DirectConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.listen.port() == 0 {
            return Err("direct.listen: the port is 0".to_owned());
        }
        if self.advertise.is_empty() && self.listen.ip().is_unspecified() {
            return Err(format!(
                "direct.advertise: {} is every address of this machine: say by which one other edges reach it",
                self.listen
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
        if self.advertise.is_empty() { vec![self.listen.to_string()] } else { self.advertise.clone() }
    }
}

/// The edges to dial: those that say where they are, from each of our addresses.
pub(super) fn edges_to_dial(own: &str, known: &KnownEdges, locals: &[IpAddr]) -> Arc<[DirectEdge]> {
    let others = known.iter().filter(|(edge, announced)| edge != own && !announced.addresses.is_empty());
    let locals: Vec<_> = if locals.is_empty() { vec![None] } else { locals.iter().copied().map(Some).collect() };
    let dialled = others.take(MOST_DIALLED).flat_map(|(edge, announced)| {
        locals.iter().map(|local| DirectEdge {
            edge: edge.clone(),
            addresses: announced.addresses.clone(),
            local: *local,
        })
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
        let config = DirectConfig { listen: listen.parse().map_err(|_| "no address")?, advertise };
        config.check().map(|()| config)
    }

    #[test]
    fn others_are_told_an_address_that_they_can_dial() {
        assert_eq!(config("192.0.2.1:7444", &[]).map(|config| config.addresses()), Ok(vec!["192.0.2.1:7444".into()]));
        let named = config("0.0.0.0:7444", &["edge-b.example.com:7444"]).map(|config| config.addresses());
        assert_eq!(named, Ok(vec!["edge-b.example.com:7444".to_owned()]));
        for (listen, advertise, problem) in [
            ("0.0.0.0:7444", &[][..], "direct.advertise: 0.0.0.0:7444 is every address of this machine"),
            ("192.0.2.1:0", &[], "direct.listen: the port is 0"),
            ("192.0.2.1:1", &["a:1", "b"], "direct.advertise[1]: \"b\" is not host:port"),
            ("192.0.2.1:1", &["0.0.0.0:1"], "direct.advertise[0]: \"0.0.0.0:1\" is no address"),
            ("192.0.2.1:1", &["a:1"; 9], "direct.advertise: there may be 8"),
        ] {
            let refused = config(listen, advertise).err();
            assert!(refused.as_ref().is_some_and(|refused| refused.starts_with(problem)), "{refused:?}");
        }
    }

    #[test]
    fn edges_are_dialled_that_say_where_they_are() {
        let edge = |name: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
            (name.to_owned(), Arc::new(Announcement { addresses, ..Announcement::default() }))
        };
        let known: KnownEdges = [edge("a", &["a:1"]), edge("b", &[]), edge("c", &["c:1", "c:2"])].into();
        let direct = |local| DirectEdge { edge: "c".into(), addresses: vec!["c:1".into(), "c:2".into()], local };
        assert_eq!(*edges_to_dial("a", &known, &[]), [direct(None)]);
        let locals = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        assert_eq!(*edges_to_dial("a", &known, &locals), locals.map(|local| direct(Some(local))));
        let many: KnownEdges = (0..100).map(|at| edge(&format!("e{at}"), &["x:1"])).collect();
        assert_eq!(edges_to_dial("a", &many, &[]).len(), MOST_DIALLED);
    }
}
