//! A peer that takes nothing does not keep this side busy, and has no more of it than others.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use overlay::link::{Link, LinkStream};
use overlay::node::{Limits, Node, Role};
use overlay_wire::frame::{self, Frame};
use overlay_wire::hello::Hello;
use overlay_wire::leg::LegFrame;
use overlay_wire::mux::Side;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::kit::{attach, edge};
use crate::player::{everything_is_done, linked, open, opening, play, send};

/// While both sides wait for each other they are woken by what they planned, such as probes. It is far less than this.
const FEW_TURNS: usize = 20;

#[tokio::test]
async fn an_acknowledgement_waits_for_room_without_spinning() {
    let mut nodes = LocalSet::new();
    let stuck = nodes.spawn_local(a_peer_that_sends_and_does_not_read());
    let _kept = nodes.run_until(stuck).await.unwrap();

    let mut turns = 0;
    let watched = poll_fn(|context| {
        turns += 1;
        Pin::new(&mut nodes).poll(context)
    });
    assert!(timeout(Duration::from_millis(300), watched).await.is_err(), "somebody still waits");
    assert!(turns < FEW_TURNS, "{turns} turns");
}

async fn a_peer_that_sends_and_does_not_read() -> (Rc<Node>, Link, LinkStream) {
    let near = Node::new("near", Role::Edge, 0, Limits::default());
    let mut incoming = near.incoming().unwrap();
    let far = play(&near, edge("far"));
    let mut leg = open(&far, opening("far", "near", 0)).await;
    let mut stream = incoming.recv().await.unwrap();
    spawn_local(async move { stream.write_all(&[0; 1 << 20]).await });
    everything_is_done().await;

    send(&mut leg, &LegFrame::Data(0, b"a question")).await;
    send(&mut leg, &LegFrame::Fin(10)).await;
    everything_is_done().await;
    (near, far, leg)
}

/// Legs that an edge opens in each round, and bytes on each of them: less than a window.
const LEGS: u64 = 8;
const BYTES: usize = 60_000;
/// What an edge may have on its way.
const HELD: usize = 512 * 1024;

async fn say(peer: &mut DuplexStream, frame: Frame<'_>) {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, frame);
    peer.write_all(&bytes).await.unwrap();
}

/// A hub with a link to edge "m", and one to edge "b" that reads nothing.
async fn hub_with_a_deaf_edge() -> (Rc<Node>, Link, DuplexStream) {
    let between = Node::new("h", Role::Hub, 0, Limits { held_per_edge: HELD, ..Limits::default() });
    let greedy = play(&between, edge("m"));
    let (ours, mut deaf) = duplex(16 * 1024);
    attach(&between, edge("b"), ours, Side::Accepted);
    say(&mut deaf, Frame::Hello(&Hello { shard: 0 }.to_bytes())).await;
    say(&mut deaf, Frame::MaxStreams(1000)).await;
    linked(&between, 2).await;
    (between, greedy, deaf)
}

/// Opens legs to "b", says all there is to say on them, and lets go of them.
async fn say_and_leave(greedy: &Link, round: u64) {
    for number in 0..LEGS {
        let mut leg = open(greedy, opening("m", "b", round * LEGS + number)).await;
        // A leg that there is no room for is given up.
        let _ = leg.write_all(&[5; BYTES]).await;
        let _ = leg.shutdown().await;
    }
    everything_is_done().await;
}

#[tokio::test]
async fn bytes_of_legs_that_are_over_count_until_they_are_taken() {
    let test = async {
        let (between, greedy, deaf) = hub_with_a_deaf_edge().await;
        for round in 0..4 {
            say_and_leave(&greedy, round).await;
            let held = between.held().used();
            assert!((HELD / 2..=HELD).contains(&held), "{held} bytes after round {round}");
        }
        drop(deaf);
        linked(&between, 1).await;
        everything_is_done().await;
        assert_eq!(between.held().used(), 0);
    };
    timeout(Duration::from_secs(60), LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_takes_nothing_has_no_link_for_long() {
    let test = async {
        let (between, greedy, mut deaf) = hub_with_a_deaf_edge().await;
        say_and_leave(&greedy, 0).await;
        assert!(between.held().used() > 0);
        let mut number = 0;
        while between.links().len() == 2 {
            say(&mut deaf, Frame::Ping(number)).await;
            number += 1;
            sleep(Duration::from_secs(1)).await;
        }
        everything_is_done().await;
        assert_eq!((between.counters().links_stuck.get(), between.held().used()), (1, 0));
        assert!(greedy.end().is_none());
    };
    timeout(Duration::from_secs(60), LocalSet::new().run_until(test)).await.unwrap();
}
