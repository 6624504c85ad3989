//! Edges that reach each other through hubs, on links that break.

use std::rc::Rc;
use std::time::Duration;

use overlay::node::{Limits, Node, Role};
use overlay::stream::OverlayStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::kit::{Wire, echo, edge, hub};

const LONG: Duration = Duration::from_secs(60);

async fn converse(stream: OverlayStream, megabytes: usize) {
    let sent: Vec<u8> = (0..megabytes << 20).map(|at| (at / 5) as u8).collect();
    let (mut reader, mut writer) = split(stream);
    let to_send = sent.clone();
    let writing = spawn_local(async move {
        writer.write_all(&to_send).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(LONG, reader.read_to_end(&mut received)).await.unwrap().unwrap();
    writing.await.unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

struct Lab {
    a: Rc<Node>,
    b: Rc<Node>,
    hubs: [Rc<Node>; 2],
}

impl Lab {
    fn new() -> Self {
        let node = |name, role| Node::new(name, role, 0, Limits::default());
        let lab = Self {
            a: node("a", Role::Edge),
            b: node("b", Role::Edge),
            hubs: [node("h1", Role::Hub), node("h2", Role::Hub)],
        };
        echo(&lab.b);
        lab
    }

    fn wire(&self, edge_node: &Rc<Node>, number: usize) -> Wire {
        let hub_node = &self.hubs[number];
        Wire::new((edge_node, edge(edge_node.name())), (hub_node, hub(hub_node.name())))
    }
}

#[tokio::test]
async fn a_stream_goes_through_a_hub_and_both_directions_end() {
    let test = async {
        let lab = Lab::new();
        let _wires = (lab.wire(&lab.a, 0), lab.wire(&lab.b, 0));
        converse(lab.a.open("b", "acme", 0), 8).await;
        let many: Vec<_> = (0..20).map(|_| spawn_local(converse(lab.a.open("b", "acme", 0), 1))).collect();
        for one in many {
            one.await.unwrap();
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_stream_waits_for_an_edge_that_is_not_there_yet() {
    let test = async {
        let lab = Lab::new();
        let talk = spawn_local(converse(lab.a.open("b", "acme", 0), 1));
        sleep(Duration::from_millis(50)).await;
        let _near = lab.wire(&lab.a, 0);
        sleep(Duration::from_millis(50)).await;
        let _far = lab.wire(&lab.b, 0);
        talk.await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn links_that_are_cut_again_and_again_lose_nothing() {
    let test = async {
        let lab = Lab::new();
        let mut wires: Vec<Wire> =
            [(&lab.a, 0), (&lab.b, 0), (&lab.a, 1), (&lab.b, 1)].map(|(node, hub)| lab.wire(node, hub)).into();
        let talks: Vec<_> = (0..8).map(|_| spawn_local(converse(lab.a.open("b", "acme", 0), 8))).collect();
        let mut round = 0;
        while !talks.iter().all(JoinHandle::is_finished) {
            sleep(Duration::from_millis(15)).await;
            // One way remains, or comes back, all the time.
            let at = round % 4;
            let (node, hub) = [(&lab.a, 0), (&lab.b, 0), (&lab.a, 1), (&lab.b, 1)][at];
            std::mem::replace(&mut wires[at], lab.wire(node, hub)).cut();
            round += 1;
            assert!(round < 2000, "it does not come to an end");
        }
        for talk in talks {
            talk.await.unwrap();
        }
        assert!(round > 3, "nothing was cut");
        let (a, h1) = (lab.a.counters(), lab.hubs[0].counters());
        assert!(a.legs_opened.get() > a.streams_opened.get() && a.stream_bytes_sent_again.get() > 0, "{a:?}");
        assert!(h1.legs_relayed.get() > 0 && h1.link_bytes_received.get() > 1 << 20, "{h1:?}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn links_that_swallow_everything_are_left_for_others() {
    let test = async {
        let lab = Lab::new();
        let wires = [(&lab.a, 0), (&lab.b, 0), (&lab.a, 1), (&lab.b, 1)].map(|(node, hub)| lab.wire(node, hub));
        let talks: Vec<_> = (0..4).map(|_| spawn_local(converse(lab.a.open("b", "acme", 0), 48))).collect();
        sleep(Duration::from_millis(30)).await;
        // One of the two ways is dead at any time, and none says so.
        let mut round = 0;
        while !talks.iter().all(JoinHandle::is_finished) {
            let dead = round % 4;
            wires[dead].swallow(true);
            sleep(Duration::from_millis(700)).await;
            wires[dead].swallow(false);
            round += 1;
            assert!(round < 80, "it does not come to an end");
        }
        for talk in talks {
            talk.await.unwrap();
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_way_that_is_dead_as_well_is_left_although_nothing_else_happens() {
    let test = async {
        let lab = Lab::new();
        let _far = [lab.wire(&lab.b, 0), lab.wire(&lab.b, 1)];
        let mut near = Vec::new();
        for hub in [0, 1, 0, 1] {
            near.push(lab.wire(&lab.a, hub));
            // Idle, they are asked one after the other whether they are alive.
            sleep(Duration::from_millis(250)).await;
        }
        // All but one, so that a dead one is likely to be tried first, and nobody knows yet that it is.
        for alive in [3, 0, 2, 1, 3, 0] {
            let mut stream = lab.a.open("b", "acme", 0);
            for is_dead in [false, true] {
                near.iter().enumerate().for_each(|(at, wire)| wire.swallow(is_dead && at != alive));
                stream.write_all(b"x").await.unwrap();
                let answered = timeout(Duration::from_secs(10), stream.read_u8()).await;
                assert_eq!(answered.unwrap_or_else(|_| panic!("nothing comes by {alive}")).unwrap(), b'x');
            }
            near.iter().for_each(|wire| wire.swallow(false));
            // Until all are known to be alive again.
            sleep(Duration::from_millis(1200)).await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_edge_that_claims_to_be_another_is_refused() {
    let test = async {
        let lab = Lab::new();
        let liar = Node::new("a", Role::Edge, 0, Limits::default());
        let _far = lab.wire(&lab.b, 0);
        // Its certificate says "m".
        let _near = Wire::new((&liar, edge("m")), (&lab.hubs[0], hub("h1")));
        let mut stream = liar.open("b", "acme", 0);
        stream.write_all(b"x").await.unwrap();
        assert!(timeout(Duration::from_millis(300), stream.read_u8()).await.is_err());
    };
    LocalSet::new().run_until(test).await;
}
