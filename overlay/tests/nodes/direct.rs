//! Edges that can be dialled by others: links without a hub between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use overlay::node::{Node, Peer};
use overlay::uplink::{self, DirectEdge};
use overlay_wire::call::{Call, Outcome, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::timeout;

use crate::kit::edge;
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

/// Has an edge dial another one, as long as that is wanted.
fn dial(from: &JoinedEdge, edge: &str, address: SocketAddr) -> watch::Sender<Arc<[DirectEdge]>> {
    let wanted = DirectEdge { edge: edge.into(), addresses: vec![address.to_string()], local: None };
    let (sender, receiver) = watch::channel(Arc::from([wanted]));
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
