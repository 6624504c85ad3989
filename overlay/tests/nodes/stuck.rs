//! A peer that takes nothing does not keep this side busy.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use overlay::link::{Link, LinkStream};
use overlay::node::{Limits, Node, Role};
use overlay_wire::leg::LegFrame;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::kit::edge;
use crate::player::{everything_is_done, open, opening, play, send};

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
