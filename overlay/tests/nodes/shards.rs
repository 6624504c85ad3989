//! Edges with several nodes, each with links of its own: a stream stays with the two that began it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use overlay::link::{Driver, LinkEnd, Timing, code};
use overlay::node::{Limits, Node, Peer, Role};
use overlay_wire::hello::Hello;
use overlay_wire::leg::{LegFrame, Open, Progress, RefuseCode};
use overlay_wire::mux::{self, Side};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::kit::{Wire, echo, edge, hub};
use crate::player::{Answer, answer, linked, open, opening, play, play_saying, send, taken};

const LONG: Duration = Duration::from_secs(60);
const SHARDS: u16 = 3;
/// Streams that each shard opens.
const STREAMS: usize = 3;
const HUBS: usize = 2;
/// Of all shards of both edges to both hubs.
const LINKS: usize = 2 * SHARDS as usize * HUBS;
/// What passes on each stream between two cuts, bytes.
const PROGRESS: u64 = 256 * 1024;

fn shards(name: &str) -> Vec<Rc<Node>> {
    // They share what is kept.
    let limits = Limits::default();
    (0..SHARDS).map(|shard| Node::new(name, Role::Edge, shard, limits.clone())).collect()
}

/// Two edges of several shards, and two hubs.
struct Lab {
    edges: Vec<Rc<Node>>,
    hubs: [Rc<Node>; HUBS],
}

impl Lab {
    fn new() -> Self {
        let hub_node = |name| Node::new(name, Role::Hub, 0, Limits::default());
        Self { edges: [shards("a"), shards("b")].concat(), hubs: [hub_node("h1"), hub_node("h2")] }
    }

    fn wire(&self, number: usize) -> Wire {
        let (node, hub_node) = (&self.edges[number / HUBS], &self.hubs[number % HUBS]);
        Wire::new((node, edge(node.name())), (hub_node, hub(hub_node.name())))
    }
}

/// A conversation with an echo that goes on until it is told to end.
struct Talk {
    echoed: Rc<Cell<u64>>,
    task: JoinHandle<()>,
}

fn byte(number: usize, at: u64) -> u8 {
    (at.wrapping_mul(31) >> 3) as u8 ^ number as u8
}

impl Talk {
    fn begin(node: &Rc<Node>, number: usize, ends: watch::Receiver<bool>) -> Self {
        let (mut reader, mut writer) = split(node.open("b", "acme", 0));
        let writing = spawn_local(async move {
            let mut written = 0;
            while !*ends.borrow() {
                let piece: Vec<u8> = (written..written + 10_000).map(|at| byte(number, at)).collect();
                writer.write_all(&piece).await.unwrap();
                written += 10_000;
            }
            writer.shutdown().await.unwrap();
            written
        });
        let echoed = Rc::new(Cell::new(0));
        let counter = echoed.clone();
        let task = spawn_local(async move {
            let mut piece = vec![0; 16 * 1024];
            loop {
                let count = reader.read(&mut piece).await.unwrap();
                if count == 0 {
                    break;
                }
                for got in &piece[..count] {
                    assert_eq!(*got, byte(number, counter.get()), "stream {number}, at {}", counter.get());
                    counter.set(counter.get() + 1);
                }
            }
            assert_eq!(counter.get(), writing.await.unwrap(), "stream {number}");
        });
        Self { echoed, task }
    }
}

/// Waits until all conversations have gone on.
async fn have_gone_on(talks: &[Talk]) {
    let goals: Vec<u64> = talks.iter().map(|talk| talk.echoed.get() + PROGRESS).collect();
    let stand_still = || {
        let behind = talks.iter().zip(&goals).enumerate().filter(|(_, (talk, goal))| talk.echoed.get() < **goal);
        behind.map(|(number, _)| number).collect::<Vec<_>>()
    };
    let gone_on = timeout(LONG, async {
        while !stand_still().is_empty() {
            assert!(!talks.iter().any(|talk| talk.task.is_finished()), "a stream has ended");
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(gone_on.await.is_ok(), "streams {:?} stand still", stand_still());
}

#[tokio::test]
async fn streams_of_every_shard_outlive_every_link_and_stay_with_their_shards() {
    let test = async {
        let lab = Lab::new();
        let (near, far) = lab.edges.split_at(SHARDS.into());
        let taken: Vec<_> = far.iter().map(echo).collect();
        let mut wires: Vec<Wire> = (0..LINKS).map(|number| lab.wire(number)).collect();
        let (end, ends) = watch::channel(false);
        let talks: Vec<Talk> = (0..STREAMS * near.len())
            .map(|number| Talk::begin(&near[number % near.len()], number, ends.clone()))
            .collect();
        have_gone_on(&talks).await;
        for number in (0..LINKS).chain(0..LINKS) {
            std::mem::replace(&mut wires[number], lab.wire(number)).cut();
            have_gone_on(&talks).await;
        }
        end.send_replace(true);
        for talk in talks {
            timeout(LONG, talk.task).await.unwrap().unwrap();
        }
        let taken: Vec<usize> = taken.iter().map(|taken| taken.get()).collect();
        assert!(taken.iter().all(|streams| *streams > 0), "streams of the shards: {taken:?}");
        for node in &lab.edges {
            assert_eq!(node.counters().legs_to_other_worker.get(), 0, "a leg came to the wrong shard: {node:?}");
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_stream_that_two_shards_took_stays_with_the_one_that_answered() {
    let test = async {
        let near = Node::new("a", Role::Edge, 0, Limits::default());
        let between = play(&near, hub("h"));
        let mut stream = near.open("b", "acme", 0);
        stream.write_all(b"x").await.unwrap();
        // Shard 1 takes it, but its answer is lost.
        let (first, leg) = taken(&between).await;
        assert_eq!((first.resumes, first.to_shard), (false, None));
        drop(leg);
        let (again, mut leg) = taken(&between).await;
        assert_eq!((again.key, again.resumes, again.to_shard), (first.key, false, None));
        let progress = Progress { delivered: 0, allowed: 1 << 20 };
        send(&mut leg, &LegFrame::Accept { progress, shard: 2 }).await;
        leg.read_u8().await.unwrap();

        let resumed = |shard| {
            let (key, to_shard) = (first.key, Some(0));
            open(&between, Open { key, resumes: true, from_shard: shard, to_shard, ..opening("b", "a", 0) })
        };
        assert_eq!(answer(&mut resumed(1).await).await, Answer::Refused(RefuseCode::UnknownStream));
        assert_eq!(answer(&mut resumed(2).await).await, Answer::Accepted(0));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_leg_for_another_shard_is_refused() {
    let test = async {
        let node = Node::new("b", Role::Edge, 1, Limits::default());
        echo(&node);
        let between = play(&node, hub("h"));
        for (to_shard, expected) in [
            (None, Answer::Accepted(1)),
            (Some(0), Answer::Refused(RefuseCode::NoRoute)),
            (Some(1), Answer::Accepted(1)),
        ] {
            let number = to_shard.map_or(7, u64::from);
            let mut leg = open(&between, Open { to_shard, ..opening("a", "b", number) }).await;
            assert_eq!(answer(&mut leg).await, expected, "for shard {to_shard:?}");
        }
        assert_eq!(node.counters().legs_to_other_worker.get(), 1);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_hub_knows_the_shards_of_an_edge_and_spreads_new_streams_over_them() {
    let test = async {
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let far = [0, 5].map(|shard| play_saying(&between, edge("b"), Hello { shard }.to_bytes()));
        let near = play(&between, edge("a"));
        linked(&between, 3).await;
        let mut kept = Vec::new();
        for number in 0..4 {
            kept.push(open(&near, opening("a", "b", number)).await);
            // It has arrived before the next is on its way.
            let arrived = tokio::select! { arrived = taken(&far[0]) => arrived, arrived = taken(&far[1]) => arrived };
            kept.push(arrived.1);
        }
        assert_eq!(far.each_ref().map(|link| link.stream_count()), [2, 2]);
        kept.push(open(&near, Open { to_shard: Some(5), ..opening("a", "b", 10) }).await);
        assert_eq!(taken(&far[1]).await.0.to_shard, Some(5));
        let mut leg = open(&near, Open { to_shard: Some(4), ..opening("a", "b", 11) }).await;
        assert_eq!(answer(&mut leg).await, Answer::Refused(RefuseCode::NoRoute));
        assert_eq!(between.counters().legs_without_link.get(), 1);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn an_edge_of_another_tenant_gets_no_stream_whatever_its_name() {
    let test = async {
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let near = play(&between, edge("a"));
        let _other = play(&between, Peer::Edge { name: "b".into(), tenant: "other".into() });
        linked(&between, 2).await;
        let mut leg = open(&near, opening("a", "b", 0)).await;
        assert_eq!(answer(&mut leg).await, Answer::Refused(RefuseCode::NoRoute));
        let far = play(&between, edge("b"));
        linked(&between, 3).await;
        let _leg = open(&near, opening("a", "b", 0)).await;
        assert_eq!(taken(&far).await.0.from, "a");
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

/// The far edge is at one of three hubs, and nothing tells the near one at which.
async fn a_stream_finds_its_way_to(right: usize) {
    let [near, far] = ["a", "b"].map(|name| Node::new(name, Role::Edge, 0, Limits::default()));
    let hubs = ["h1", "h2", "h3"].map(|name| Node::new(name, Role::Hub, 0, Limits::default()));
    echo(&far);
    let _near = hubs.each_ref().map(|node| Wire::new((&near, edge("a")), (node, hub(node.name()))));
    let _far = Wire::new((&far, edge("b")), (&hubs[right], hub(hubs[right].name())));
    linked(&near, 3).await;
    linked(&hubs[right], 2).await;
    let mut stream = near.open("b", "acme", 0);
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    let asked = hubs.map(|node| node.counters().legs_without_link.get());
    assert!(asked.iter().all(|times| *times < 2), "a hub was asked again and again: {asked:?}");
}

#[tokio::test]
async fn a_stream_finds_the_hub_that_leads_to_the_other_edge() {
    for right in 0..3 {
        timeout(LONG, LocalSet::new().run_until(a_stream_finds_its_way_to(right))).await.unwrap();
    }
}

#[tokio::test]
async fn who_says_no_proper_hello_is_told_so_and_cut_off() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits::default());
        let link = play_saying(&node, edge("m"), b"\x3fgarbage".to_vec());
        let end = link.ended().await;
        let expected = "its hello is of version 63; 1 is known here";
        assert!(matches!(&end, LinkEnd::Closed { code: code::PROTOCOL, reason } if reason == expected), "{end}");
        assert_eq!((node.counters().hellos_refused.get(), node.links().len()), (1, 0));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_at_first_is_not_waited_for() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits::default());
        let (ours, _theirs) = duplex(64 * 1024);
        let (link, driver) = Driver::new(ours, Side::Accepted, mux::Limits::default(), node.hello(), Timing::default());
        spawn_local(driver.run());
        assert!(matches!(node.clone().serve(edge("m"), link).await, LinkEnd::ClosedHere(_)));
        assert_eq!((node.counters().hellos_refused.get(), node.links().len()), (1, 0));
    };
    LocalSet::new().run_until(test).await;
}
