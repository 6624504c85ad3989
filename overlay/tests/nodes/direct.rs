//! Edges that can be dialled by others: links without a hub between.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use overlay::catalogue::pass_statements;
use overlay::control::{Question, Reply};
use overlay::node::{Limits, Node, Peer, Role};
use overlay::uplink::{self, DirectEdge, MayDial, Uplink};
use overlay_wire::call::{Call, Outcome, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::kit::{Signer, edge};
use crate::site::{JoinedEdge, LONG, Site, eventually};

/// A hub, and two edges that are linked to it.
struct Pair {
    site: Site,
    near: JoinedEdge,
    far: JoinedEdge,
}

impl Pair {
    async fn new() -> Self {
        let site = Site::found().await;
        let near = JoinedEdge::new(&site.token(edge("near")).await, site.hub.address()).await;
        let far = JoinedEdge::new(&site.token(edge("far")).await, site.hub.address()).await;
        eventually("both know each other", async || near.knows().len() == 2 && far.knows().len() == 2).await;
        Self { site, near, far }
    }

    /// Legs that the hub has passed on.
    fn relayed(&self) -> u64 {
        self.site.hub.shards().counters().remove(0).legs_relayed.get()
    }
}

/// Lets others dial an edge.
async fn listen(at: &JoinedEdge) -> (SocketAddr, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listening = uplink::listen(at.node.clone(), at.identity.subscribe(), None, listener);
    (address, spawn_local(async move { listening.await.unwrap() }).abort_handle())
}

/// An edge on this machine, where it is said to be.
fn wanted(edge: &str, addresses: impl Into<Arc<[String]>>) -> DirectEdge {
    let may_dial = Arc::new(MayDial::Within(vec!["127.0.0.0/8".parse().unwrap()]));
    DirectEdge { edge: edge.into(), addresses: addresses.into(), local: None, may_dial }
}

/// Has an edge dial another one, as long as that is wanted.
fn dial(from: &JoinedEdge, edge: &str, address: SocketAddr) -> watch::Sender<Arc<[DirectEdge]>> {
    let (sender, receiver) = watch::channel(Arc::from([wanted(edge, [address.to_string()])]));
    spawn_local(uplink::keep_direct(from.node.clone(), from.identity.subscribe(), receiver));
    sender
}

fn is_linked(node: &Node, other: &str) -> bool {
    node.links().iter().any(|(peer, link)| peer.name() == other && link.end().is_none())
}

fn call() -> Call {
    Call { host: "a.global".into(), port: 80, caller: "spiffe://a/b".into(), transport: Transport::Bytes }
}

/// Sends every call back what it says.
fn serve(edge: &mut JoinedEdge) {
    let mut calls = edge.calls.take().unwrap();
    spawn_local(async move {
        while let Some(incoming) = calls.recv().await {
            spawn_local(async move {
                let mut stream = incoming.answer(Outcome::Connected, "").await.unwrap();
                let mut piece = [0; 5];
                while stream.read_exact(&mut piece).await.is_ok() {
                    stream.write_all(&piece).await.unwrap();
                }
            });
        }
    });
}

async fn talk(from: &JoinedEdge, to: &str) -> overlay::link::LinkStream {
    let mut stream = timeout(LONG, from.tunnels.connect(to, 0, &call())).await.unwrap().unwrap();
    say(&mut stream).await;
    stream
}

async fn say(stream: &mut overlay::link::LinkStream) {
    let mut answer = [0; 5];
    stream.write_all(b"hello").await.unwrap();
    timeout(LONG, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn streams_go_without_a_hub_where_one_side_can_be_dialled() {
    let test = async {
        let mut pair = Pair::new().await;
        serve(&mut pair.near);
        serve(&mut pair.far);
        let mut by_hub = talk(&pair.near, "far").await;
        assert_eq!(pair.relayed(), 1);

        let (address, _listening) = listen(&pair.far).await;
        let wanted = dial(&pair.near, "far", address);
        let (near, far) = (pair.near.node.clone(), pair.far.node.clone());
        eventually("a link", async || is_linked(&near, "far") && is_linked(&far, "near")).await;
        // In both directions, whoever has dialled.
        let mut there = talk(&pair.near, "far").await;
        let mut back = talk(&pair.far, "near").await;
        assert_eq!(pair.relayed(), 1, "the hub has nothing to do with them");
        say(&mut by_hub).await;

        // The link goes, and nothing of what it carried.
        wanted.send_replace(Arc::from([]));
        eventually("no link", async || !is_linked(&near, "far")).await;
        for stream in [&mut by_hub, &mut there, &mut back] {
            say(stream).await;
        }
        assert!(pair.relayed() > 1, "they go over the hub");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn without_any_hub_edges_that_are_linked_go_on() {
    let test = async {
        let mut pair = Pair::new().await;
        serve(&mut pair.far);
        let (address, _listening) = listen(&pair.far).await;
        let _wanted = dial(&pair.near, "far", address);
        let near = pair.near.node.clone();
        eventually("a link", async || is_linked(&near, "far")).await;
        let Pair { site, near, far: _far } = pair;
        site.hub.run(std::future::ready(())).await.unwrap();
        eventually("no hub", async || !is_linked(&near.node, "h")).await;
        talk(&near, "far").await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_answers_must_be_the_edge_that_is_wanted() {
    let test = async {
        let pair = Pair::new().await;
        let (address, _listening) = listen(&pair.far).await;
        let _wanted = dial(&pair.near, "another", address);
        let counters = pair.near.node.counters().clone();
        eventually("attempts", async || counters.direct_dials_failed.get() > 1).await;
        assert!(!is_linked(&pair.near.node, "far"));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_edge_takes_no_edge_of_another_tenant_and_gives_no_certificates() {
    let test = async {
        let pair = Pair::new().await;
        let (address, _listening) = listen(&pair.far).await;
        let stranger = Peer::Edge { name: "stranger".into(), tenant: "other".into() };
        let token = pair.site.token(stranger).await;
        let stranger = JoinedEdge::new(&token, pair.site.hub.address()).await;
        // It would not dial one of another tenant; what it does all the same, another edge must not believe.
        let current = stranger.identity.borrow().clone();
        let dialled = overlay::transport::dial(&current, address, None, stranger.node.hello(), |_| true).await;
        let (_, link, driver) = dialled.unwrap();
        spawn_local(driver.run());
        let end = timeout(LONG, link.ended()).await.unwrap();
        assert!(end.to_string().contains("an edge takes edges of its own tenant only"), "{end}");
        assert!(!is_linked(&pair.far.node, "stranger"));

        let mut token = pair.site.token(edge("third")).await;
        token.hubs = vec![address.to_string()];
        let directory = tempfile::tempdir().unwrap();
        let folder = overlay::folder::Folder::open(directory.path().join("state")).unwrap();
        let joined = timeout(Duration::from_secs(30), overlay::enroll::join(&token, &folder.key().unwrap())).await;
        assert!(joined.unwrap().is_err());
    };
    LocalSet::new().run_until(test).await;
}

/// Whether an edge that is linked to edges alone, at one of its workers, cuts one of them that is revoked.
async fn hears_of_revocation_at(worker: u16) {
    let Pair { site, near, far } = Pair::new().await;
    let revoked = JoinedEdge::new(&site.token(edge("revoked")).await, site.hub.address()).await;
    // Only one worker has a directory.
    let other_worker = Node::new("far", Role::Edge, 1, Limits::default());
    spawn_local(pass_statements(&other_worker, far.identity.subscribe()));
    let node = if worker == 0 { far.node.clone() } else { other_worker };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(uplink::listen(node.clone(), far.identity.subscribe(), None, listener));
    let _wanted = (dial(&near, "far", address), dial(&revoked, "far", address));
    eventually("links", async || is_linked(&node, "near") && is_linked(&node, "revoked")).await;
    for edge in [&far, &revoked] {
        edge.leave_hub();
        eventually("no hub", async || !is_linked(&edge.node, "h")).await;
    }

    let answer = site.hub.answer(Question::Revoke { peer: edge("revoked") }).await;
    assert!(!matches!(answer, Reply::Refused(_)), "{answer:?}");
    eventually("the link is cut", async || !is_linked(&node, "revoked")).await;
    assert!(is_linked(&node, "near"));
    // However often it dials.
    let refused = node.counters().handshakes_refused.get();
    eventually("another attempt", async || node.counters().handshakes_refused.get() > refused).await;
    assert!(!is_linked(&node, "revoked"));
}

#[tokio::test]
async fn an_edge_without_hubs_hears_of_revocation_from_those_that_are_linked_to_it() {
    LocalSet::new().run_until(hears_of_revocation_at(0)).await;
}

#[tokio::test]
async fn every_worker_hears_of_revocation_from_other_edges() {
    LocalSet::new().run_until(hears_of_revocation_at(1)).await;
}

/// An edge that dials what it is told, without any hub, and how often attempts of it have failed.
fn alone(edges: impl Into<Arc<[DirectEdge]>>) -> (watch::Sender<Arc<[DirectEdge]>>, impl Fn() -> u64) {
    let node = Node::new("near", Role::Edge, 0, Limits::default());
    let (sender, receiver) = watch::channel(edges.into());
    let counters = node.counters().clone();
    spawn_local(uplink::keep_direct(node, Signer::new().identity(&edge("near")), receiver));
    (sender, move || counters.direct_dials_failed.get())
}

/// Takes connections, and closes them; how many came.
async fn count_connections() -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    spawn_local(async move {
        while listener.accept().await.is_ok() {
            counted.set(counted.get() + 1);
        }
    });
    (address, count)
}

#[tokio::test(start_paused = true)]
async fn who_changes_where_it_is_said_to_be_is_dialled_no_more_often() {
    let test = async {
        let (address, connections) = count_connections().await;
        let (edges, failed) = alone([]);
        for change in 0..6_000 {
            // Gone, now and then.
            let now =
                (change % 7 != 0).then(|| wanted("far", [address.to_string(), format!("127.0.0.1:{}", change + 1)]));
            edges.send_replace(now.into_iter().collect());
            sleep(Duration::from_millis(10)).await;
        }
        // In a minute there are 9 pauses, each twice as long as the one before.
        assert!((1..=10).contains(&connections.get()), "{} connections", connections.get());
        assert!(failed() <= 10, "{} attempts", failed());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_there_often_is_dialled_once() {
    let test = async {
        let (address, connections) = count_connections().await;
        let addresses: Vec<String> = (0..8).map(|_| address.to_string()).collect();
        let (_edges, failed) = alone([wanted("far", addresses)]);
        eventually("an attempt", async || failed() > 0).await;
        assert_eq!(connections.get() as u64, failed());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_a_name_stands_for_is_dialled_only_if_it_may_be() {
    let test = async {
        let (address, connections) = count_connections().await;
        let may_dial = Arc::new(MayDial::OtherMachines { hubs: Vec::new(), own: BTreeSet::new() });
        let names = ["localhost", "127.0.0.1", "127.0.0.2"].map(|host| format!("{host}:{}", address.port()));
        let (_edges, failed) = alone([DirectEdge { may_dial, ..wanted("far", names) }]);
        eventually("attempts", async || failed() > 1).await;
        assert_eq!(connections.get(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn who_swallows_what_it_is_sent_is_dialled_less_and_less_often() {
    let test = async {
        // The kernel takes connections; nobody says anything on them.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let (_edges, failed) = alone([wanted("far", [address.clone()])]);
        let node = Node::new("near", Role::Edge, 0, Limits::default());
        let uplink = Uplink { hub: address, local: None };
        spawn_local(uplink::keep(node.clone(), Signer::new().identity(&edge("near")), uplink));
        sleep(Duration::from_mins(20)).await;
        // An attempt takes 10 s: 120 of them without pauses.
        let to_hub = node.counters().dials_failed.get();
        assert!((5..=30).contains(&failed()), "{} attempts to reach an edge", failed());
        assert!((5..=75).contains(&to_hub), "{to_hub} attempts to reach a hub");
    };
    LocalSet::new().run_until(test).await;
}
