//! What edges tell of themselves, and who hears of it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use overlay::catalogue::{Directory, Offer, OfferedService, Port, Protocol};
use overlay::identity::Current;
use overlay::node::{Limits, Node, Peer, Role};
use overlay_wire::hello::Hello;
use overlay_wire::leg::LegFrame;
use overlay_wire::mux::Urgency;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::kit::{Signer, Wire, echo, edge, hub};
use crate::player::{everything_is_done, linked, open, opening, play, play_saying, send};

const LONG: Duration = Duration::from_secs(60);

/// A node, and what it knows.
pub(crate) struct Member {
    pub(crate) node: Rc<Node>,
    pub(crate) identity: Current,
    pub(crate) directory: Rc<Directory>,
    peer: Peer,
}

impl Member {
    pub(crate) fn new(signer: &Signer, peer: &Peer, epoch: u64) -> Self {
        Self::with(signer, peer, epoch, Limits::default())
    }

    /// With other bounds than usual.
    pub(crate) fn limited(signer: &Signer, peer: &Peer, limits: Limits) -> Self {
        Self::with(signer, peer, 1, limits)
    }

    fn with(signer: &Signer, peer: &Peer, epoch: u64, limits: Limits) -> Self {
        let role = if matches!(peer, Peer::Hub { .. }) { Role::Hub } else { Role::Edge };
        let node = Node::new(peer.name(), role, 0, limits);
        let identity = signer.identity(peer);
        let (directory, exchange) = Directory::new(&node, identity.clone(), epoch);
        spawn_local(exchange);
        Self { directory, node, identity, peer: peer.clone() }
    }

    pub(crate) fn wire(&self, other: &Self) -> Wire {
        Wire::new((&self.node, self.peer.clone()), (&other.node, other.peer.clone()))
    }

    pub(crate) fn offers(&self, hosts: &[&str]) {
        let services = hosts.iter().map(|host| service(host)).collect();
        self.directory.offer(Offer { locality: "r1/z1".into(), services, ..Offer::default() }).unwrap();
    }

    /// The number of the last change of an edge that it knows; 0 for an edge that it does not know.
    pub(crate) fn sequence_of(&self, wanted: &str) -> u64 {
        let edges = self.directory.edges();
        edges.iter().find(|(edge, _)| edge == wanted).map_or(0, |(_, said)| said.sequence)
    }

    /// Waits until it knows of these hosts of these edges.
    pub(crate) async fn knows(&self, wanted: &[(&str, &[&str])]) {
        let mut changes = self.directory.changes();
        let known = async {
            loop {
                let edges = self.directory.edges();
                let known: Vec<(&str, Vec<&str>)> = edges
                    .iter()
                    .map(|(edge, said)| {
                        (edge.as_str(), said.services.iter().map(|service| service.host.as_str()).collect())
                    })
                    .collect();
                if known == wanted.iter().map(|(edge, hosts)| (*edge, hosts.to_vec())).collect::<Vec<_>>() {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        let name = self.peer.name();
        assert!(timeout(LONG, known).await.is_ok(), "{name} knows {:?}, not {wanted:?}", self.directory.edges());
    }
}

pub(crate) fn service(host: &str) -> OfferedService {
    let port = Port { number: 80, name: "http".into(), protocol: Protocol::Http };
    OfferedService {
        host: host.into(),
        namespace: "shop".into(),
        ports: vec![port],
        labels: BTreeMap::new(),
        weight: 1,
        healthy: true,
    }
}

#[tokio::test]
async fn edges_hear_of_each_other_through_hubs_and_of_every_change() {
    let test = async {
        let signer = Signer::new();
        let member = |peer: Peer| Member::new(&signer, &peer, 1);
        let (a, b, c) = (member(edge("a")), member(edge("b")), member(edge("c")));
        let (h1, h2) = (member(hub("h1")), member(hub("h2")));
        a.offers(&["early.global"]);
        let _wires = (a.wire(&h1), b.wire(&h1), c.wire(&h2), h1.wire(&h2));
        c.offers(&["one.global", "two.global"]);
        b.knows(&[("a", &["early.global"]), ("c", &["one.global", "two.global"])]).await;
        a.knows(&[("a", &["early.global"]), ("c", &["one.global", "two.global"])]).await;
        c.offers(&["two.global"]);
        b.knows(&[("a", &["early.global"]), ("c", &["two.global"])]).await;
        // One that comes later hears of everything.
        let d = member(edge("d"));
        let _late = d.wire(&h2);
        d.knows(&[("a", &["early.global"]), ("c", &["two.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn edges_of_different_hubs_reach_each_other_wherever_they_move() {
    let test = async {
        let signer = Signer::new();
        let member = |peer: Peer| Member::new(&signer, &peer, 1);
        let (a, b) = (member(edge("a")), member(edge("b")));
        let [h1, h2, h3] = ["h1", "h2", "h3"].map(|name| member(hub(name)));
        let _wires = (a.wire(&h1), h1.wire(&h2), h2.wire(&h3), h3.wire(&h1));
        a.offers(&["a.global"]);
        b.offers(&["b.global"]);
        echo(&b.node);
        let mut stream = a.node.open("b", "acme", 0);
        let mut home: Option<Wire> = None;
        for (round, hub) in [&h2, &h3, &h1, &h2].into_iter().enumerate() {
            if let Some(wire) = home.replace(b.wire(hub)) {
                wire.cut();
            }
            stream.write_all(&[round as u8]).await.unwrap();
            let answer = timeout(LONG, stream.read_u8()).await;
            assert_eq!(answer.unwrap_or_else(|_| panic!("no answer in round {round}")).unwrap(), round as u8);
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_hub_tells_one_shard_of_each_edge() {
    let test = async {
        let signer = Signer::new();
        let (a, h) = (Member::new(&signer, &edge("a"), 1), Member::new(&signer, &hub("h"), 1));
        let shards = [0, 1].map(|shard| play_saying(&h.node, edge("b"), Hello { shard }.to_bytes()));
        linked(&h.node, 2).await;
        let _wire = a.wire(&h);
        a.offers(&["a.global"]);
        let mut told = shards[0].accept().await.unwrap();
        told.read_exact(&mut [0; 100]).await.unwrap();
        everything_is_done().await;
        assert_eq!(shards[1].stream_count(), 0);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_hub_keeps_of_services_no_more_than_their_hosts() {
    let test = async {
        let signer = Signer::new();
        let [a, b] = ["a", "b"].map(|name| Member::new(&signer, &edge(name), 1));
        let h = Member::new(&signer, &hub("h"), 1);
        let _wires = (a.wire(&h), b.wire(&h));
        let offered = OfferedService { labels: BTreeMap::from([("app".into(), "a".into())]), ..service("a.global") };
        a.directory.offer(Offer { services: vec![offered.clone()], ..Offer::default() }).unwrap();
        b.knows(&[("a", &["a.global"])]).await;
        let of = |member: &Member| member.directory.edges()[0].1.services.clone();
        let kept =
            OfferedService { namespace: String::new(), ports: Vec::new(), labels: BTreeMap::new(), ..offered.clone() };
        assert_eq!((of(&b), of(&h)), (vec![offered], vec![kept]));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_node_without_a_directory_takes_no_announcements() {
    let test = async {
        let node = Node::new("b", Role::Edge, 1, Limits::default());
        let between = play(&node, hub("h"));
        let mut announcing = between.open(Urgency::default()).await.unwrap();
        send(&mut announcing, &LegFrame::Catalogue).await;
        assert!(announcing.read_u8().await.is_err());
        assert_eq!(node.counters().announcements_refused.get(), 0);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn tenants_do_not_hear_of_each_other() {
    let test = async {
        let signer = Signer::new();
        let member = |peer: Peer| Member::new(&signer, &peer, 1);
        let other = |name: &str| Peer::Edge { name: name.into(), tenant: "other".into() };
        let (a, b, x, y, h) =
            (member(edge("a")), member(edge("b")), member(other("x")), member(other("y")), member(hub("h")));
        let _wires = (a.wire(&h), b.wire(&h), x.wire(&h), y.wire(&h));
        a.offers(&["same.global"]);
        x.offers(&["same.global"]);
        b.knows(&[("a", &["same.global"])]).await;
        y.knows(&[("x", &["same.global"])]).await;
        h.knows(&[("a", &["same.global"]), ("x", &["same.global"])]).await;
        b.knows(&[("a", &["same.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_asks_for_an_edge_of_another_tenant_hears_what_is_said_of_one_that_there_is_not() {
    let test = async {
        let signer = Signer::new();
        let (near, far) = (Member::new(&signer, &hub("h1"), 1), Member::new(&signer, &hub("h2"), 1));
        let other = Peer::Edge { name: "secret".into(), tenant: "other".into() };
        let (a, x) = (Member::new(&signer, &edge("a"), 1), Member::new(&signer, &other, 1));
        let _wires = (near.wire(&far), a.wire(&far), x.wire(&far));
        a.offers(&["a.global"]);
        x.offers(&["x.global"]);
        near.knows(&[("a", &["a.global"]), ("secret", &["x.global"])]).await;
        let link = play(&near.node, edge("m"));
        linked(&near.node, 2).await;
        for (number, to) in ["secret", "nobody"].into_iter().enumerate() {
            let mut leg = open(&link, opening("m", to, number as u64)).await;
            let mut answer = Vec::new();
            leg.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer).replace(to, "...");
            assert!(answer.contains("h1: no link to ..."), "{answer}");
        }
        assert_eq!((near.node.counters().legs_relayed.get(), far.node.counters().legs_without_link.get()), (0, 0));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn an_edge_that_starts_again_is_believed_and_one_that_was_rolled_back_is_not() {
    let test = async {
        let signer = Signer::new();
        let (h, b) = (Member::new(&signer, &hub("h"), 1), Member::new(&signer, &edge("b"), 1));
        let _wire = b.wire(&h);
        let first = Member::new(&signer, &edge("a"), 7);
        let wire = first.wire(&h);
        first.offers(&["one.global"]);
        first.offers(&["one.global", "two.global"]);
        b.knows(&[("a", &["one.global", "two.global"])]).await;
        wire.cut();
        let again = Member::new(&signer, &edge("a"), 8);
        let wire = again.wire(&h);
        again.offers(&["three.global"]);
        b.knows(&[("a", &["three.global"])]).await;
        wire.cut();
        let rolled_back = Member::new(&signer, &edge("a"), 7);
        let _wire = rolled_back.wire(&h);
        rolled_back.offers(&["old.global"]);
        // Something else arrives after it would have.
        let c = Member::new(&signer, &edge("c"), 1);
        let _other = c.wire(&h);
        c.offers(&["four.global"]);
        b.knows(&[("a", &["three.global"]), ("c", &["four.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn one_edge_that_is_not_believed_does_not_silence_the_others() {
    let test = async {
        let signer = Signer::new();
        let member = |peer: Peer| Member::new(&signer, &peer, 1);
        let (a, b, c, h) = (member(edge("a")), member(edge("b")), member(edge("c")), member(hub("h")));
        // The hub has not heard of it yet.
        b.identity.borrow().trust().take(&signer.deny(&[edge("a")])).unwrap();
        let _wires = (a.wire(&h), b.wire(&h), c.wire(&h));
        a.offers(&["a.global"]);
        h.knows(&[("a", &["a.global"])]).await;
        c.offers(&["c.global"]);
        b.knows(&[("c", &["c.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_was_revoked_is_forgotten_and_hubs_tell_it_to_everybody() {
    let test = async {
        let signer = Signer::new();
        let member = |peer: Peer| Member::new(&signer, &peer, 1);
        let (a, b, c) = (member(edge("a")), member(edge("b")), member(edge("c")));
        let (h1, h2) = (member(hub("h1")), member(hub("h2")));
        let _wires = (a.wire(&h1), b.wire(&h1), c.wire(&h2), h1.wire(&h2));
        a.offers(&["a.global"]);
        b.offers(&["b.global"]);
        c.knows(&[("a", &["a.global"]), ("b", &["b.global"])]).await;
        h2.identity.borrow().trust().take(&signer.deny(&[edge("a")])).unwrap();
        for member in [&b, &h1, &h2, &c] {
            member.knows(&[("b", &["b.global"])]).await;
        }
        // It says so again, and nobody listens.
        a.offers(&["again.global"]);
        b.offers(&["later.global"]);
        c.knows(&[("b", &["later.global"])]).await;
    };
    LocalSet::new().run_until(test).await;
}
