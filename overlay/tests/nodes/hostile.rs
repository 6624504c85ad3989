//! Peers that do not take, do not acknowledge, or say what is not theirs to say: what they cost is bounded, and others do not notice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use overlay::link::{Link, LinkStream};
use overlay::node::{Limits, Node, Role};
use overlay::stream::OverlayStream;
use overlay_wire::budget::Budget;
use overlay_wire::leg::{self, LegFrame, Open, Progress, RefuseCode};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::announcements::begin;
use crate::catalogue::Member;
use crate::kit::{Signer, Wire, echo, edge, hub};
use crate::player::{Answer, answer, everything_is_done, linked, open, opening, play, send, taken};

const LONG: Duration = Duration::from_secs(60);
const STALLED: usize = 8;
const STILL_HERE: &[u8] = b"still here";
/// What a stream of a link may have unread at first.
const WINDOW: usize = 64 * 1024;

/// Writes for as long as somebody takes it; how much.
fn write_on(mut stream: impl AsyncWrite + Unpin + 'static) -> Rc<Cell<usize>> {
    let written = Rc::new(Cell::new(0));
    let counter = written.clone();
    spawn_local(async move {
        while let Ok(count) = stream.write(&[5; 10_000]).await {
            counter.set(counter.get() + count);
        }
    });
    written
}

fn total(written: &[Rc<Cell<usize>>]) -> usize {
    written.iter().map(|written| written.get()).sum()
}

/// An echo brings back so many bytes.
async fn is_unharmed(stream: OverlayStream, bytes: usize) {
    let (mut reader, mut writer) = split(stream);
    spawn_local(async move {
        writer.write_all(&vec![7; bytes]).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut echoed = Vec::new();
    timeout(LONG, reader.read_to_end(&mut echoed)).await.unwrap().unwrap();
    assert!(echoed == vec![7; bytes], "{} of {bytes} bytes", echoed.len());
}

/// Opens legs of edge `from` through a hub to an edge that reads none of them, and writes on all of them.
async fn stall(near: &Link, from: &str, far: &Link) -> (Vec<Rc<Cell<usize>>>, Vec<LinkStream>) {
    let (mut legs, mut unread) = (Vec::new(), Vec::new());
    for number in 0..STALLED {
        legs.push(open(near, opening(from, "b", number as u64)).await);
        unread.push(far.accept().await.unwrap());
    }
    (legs.into_iter().map(write_on).collect(), unread)
}

// Where the clock is stopped it goes on when nobody has anything to do: who sleeps waits for that.

#[tokio::test(start_paused = true)]
async fn readers_that_stall_stop_their_senders_and_a_hub_holds_nothing_of_theirs() {
    let test = async {
        let limits = Limits::default();
        let [near, far] = ["a", "b"].map(|name| Node::new(name, Role::Edge, 0, limits.clone()));
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let mut incoming = far.incoming().unwrap();
        let _wires = [&near, &far].map(|node| Wire::new((node, edge(node.name())), (&between, hub("h"))));
        let (mut written, mut unread) = (Vec::new(), Vec::new());
        for _ in 0..STALLED {
            written.push(write_on(near.open("b", "acme", 0)));
            unread.push(incoming.recv().await.unwrap());
        }
        sleep(Duration::from_secs(5)).await;
        let before = total(&written);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(total(&written), before, "somebody goes on writing");
        let most = limits.stream.window as usize + limits.stream.unsent;
        assert!(written.iter().all(|written| (WINDOW..=most).contains(&written.get())), "{written:?}");
        assert!(between.held().used() <= STALLED * 1024, "the hub holds {} bytes", between.held().used());

        spawn_local(async move {
            let (mut reader, mut writer) = split(incoming.recv().await.unwrap());
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        is_unharmed(near.open("b", "acme", 0), 8 << 20).await;
        assert_eq!(total(&written), before);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_an_edge_does_not_take_stays_with_its_sender_but_for_a_window_at_the_hub() {
    let test = async {
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let [near, far] = ["m", "b"].map(|name| play(&between, edge(name)));
        linked(&between, 2).await;
        let (written, _unread) = stall(&near, "m", &far).await;
        everything_is_done().await;
        // A window at the far edge, one at the hub that has grown once while it was taken from, and what waits at the sender.
        let each: Vec<usize> = written.iter().map(|written| written.get()).collect();
        assert!(each.iter().all(|written| *written <= 4 * WINDOW), "{each:?}");
        let held = between.held().used();
        assert!((STALLED * WINDOW / 4..=2 * STALLED * WINDOW).contains(&held), "the hub holds {held} bytes");
        assert_eq!(between.held().refusals(), 0);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_so_many_bytes_on_their_way_and_others_have_theirs() {
    let test = async {
        let limits = Limits { held_per_tenant: 8 * WINDOW, ..Limits::default() };
        let between = Node::new("h", Role::Hub, 0, limits);
        let [greedy, stuck] = ["m", "b"].map(|name| play(&between, edge(name)));
        let other = |name: &str| overlay::node::Peer::Edge { name: name.into(), tenant: "other".into() };
        let nodes = ["x", "y"].map(|name| Node::new(name, Role::Edge, 0, Limits::default()));
        echo(&nodes[1]);
        let _wires = nodes.each_ref().map(|node| Wire::new((node, other(node.name())), (&between, hub("h"))));
        linked(&between, 4).await;
        let (_written, _unread) = stall(&greedy, "m", &stuck).await;
        let mut most = 0;
        for _ in 0..100 {
            everything_is_done().await;
            most = most.max(between.held().used());
        }
        assert!((WINDOW..=4 * WINDOW).contains(&most), "the hub held {most} bytes");
        let given_up = between.counters().legs_given_up.get();
        assert!(given_up > 0 && between.held().refusals() >= given_up, "{given_up} legs were given up");
        is_unharmed(nodes[0].open("y", "other", 0), 4 << 20).await;
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn edges_that_stall_leave_room_for_others_of_their_tenant() {
    let test = async {
        // Four edges that stall would take all of it.
        let limits = Limits { held_per_tenant: 4 * STALLED * WINDOW, ..Limits::default() };
        let between = Node::new("h", Role::Hub, 0, limits);
        let greedy = ["j", "k", "l", "m"].map(|name| (name, play(&between, edge(name))));
        let stuck = play(&between, edge("b"));
        let nodes = ["x", "y"].map(|name| Node::new(name, Role::Edge, 0, Limits::default()));
        echo(&nodes[1]);
        let _wires = nodes.each_ref().map(|node| Wire::new((node, edge(node.name())), (&between, hub("h"))));
        linked(&between, 7).await;
        let mut stalled = Vec::new();
        for (name, link) in greedy.iter().chain(&greedy) {
            stalled.push(stall(link, name, &stuck).await);
        }
        everything_is_done().await;
        let given_up = between.counters().legs_given_up.get();
        let held = between.held().used();
        assert!(given_up > 0 && held > 3 * WINDOW, "{held} bytes, {given_up} legs given up");
        is_unharmed(nodes[0].open("y", "acme", 0), 8 << 20).await;
        assert_eq!(between.counters().legs_given_up.get(), given_up, "legs of others were given up");
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

/// Takes a stream that a node opens, reads whatever comes, and acknowledges nothing.
async fn take_and_say_nothing(link: &Link) -> tokio::io::WriteHalf<LinkStream> {
    let (_, mut leg) = taken(link).await;
    let progress = Progress { delivered: 0, allowed: 1 << 40 };
    send(&mut leg, &LegFrame::Accept { progress, shard: 0 }).await;
    let (mut reader, writer) = split(leg);
    spawn_local(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    writer
}

#[tokio::test]
async fn peers_that_never_acknowledge_hold_up_their_own_writers_only() {
    let test = async {
        const KEPT: usize = 1 << 19;
        /// Each stream gets so much in any case.
        const LEAST: usize = 16 * 1024;
        let limits = Limits { kept: Budget::new(2 * KEPT), kept_per_edge: KEPT, ..Limits::default() };
        let near = Node::new("a", Role::Edge, 0, limits);
        let silent = play(&near, edge("m"));
        let other = Node::new("b", Role::Edge, 0, Limits::default());
        echo(&other);
        let _wire = Wire::new((&near, edge("a")), (&other, edge("b")));
        linked(&near, 2).await;
        let (mut written, mut legs) = (Vec::new(), Vec::new());
        for _ in 0..STALLED {
            written.push(write_on(near.open("m", "acme", 0)));
            legs.push(take_and_say_nothing(&silent).await);
        }
        everything_is_done().await;
        let used = near.kept().used();
        assert_eq!((used, near.kept().refusals() > 0), (total(&written), true));
        assert!((KEPT / 2..=KEPT + STALLED * LEAST).contains(&used), "{used} bytes are kept");
        is_unharmed(near.open("b", "acme", 0), 4 << 20).await;
        assert_eq!(total(&written), used);

        // Who acknowledges at last gets more.
        let delivered = written[0].get() as u64;
        send(&mut legs[0], &LegFrame::Ack(Progress { delivered, allowed: 1 << 40 })).await;
        while written[0].get() as u64 == delivered {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(near.kept().used() <= KEPT + STALLED * LEAST);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_finished_and_never_acknowledged_is_given_up_in_the_end() {
    let test = async {
        let near = Node::new("a", Role::Edge, 0, Limits::default());
        let silent = play(&near, edge("m"));
        let mut stream = near.open("m", "acme", 0);
        stream.write_all(b"never acknowledged").await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        let (_, mut leg) = taken(&silent).await;
        let progress = Progress { delivered: 0, allowed: 1 << 40 };
        send(&mut leg, &LegFrame::Accept { progress, shard: 0 }).await;
        let mut received = Vec::new();
        let _ = leg.read_to_end(&mut received).await;
        let (mut rest, mut frames) = (received.as_slice(), Vec::new());
        while let Ok(Some((frame, length))) = leg::take(rest) {
            frames.push(frame);
            rest = &rest[length..];
        }
        assert_eq!(frames, [LegFrame::Data(0, b"never acknowledged"), LegFrame::Fin(18), LegFrame::Reset(1)]);
        everything_is_done().await;
        assert_eq!(near.kept().used(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn nobody_speaks_for_the_streams_of_others() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits::default());
        echo(&node);
        let (victim, hostile) = (play(&node, edge("a")), play(&node, edge("m")));
        let mut leg = open(&victim, opening("a", "b", 1)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));
        for wrong in [
            Open { resumes: true, ..opening("m", "b", 1) },
            opening("m", "b", 1),
            Open { resumes: true, ..opening("a", "b", 1) },
            Open { tenant: "other".into(), ..opening("m", "b", 2) },
        ] {
            let mut wrong = open(&hostile, wrong).await;
            assert_eq!(answer(&mut wrong).await, Answer::Refused(RefuseCode::Forbidden));
        }
        assert_eq!(node.counters().legs_forged.get(), 4);
        send(&mut leg, &LegFrame::Data(0, STILL_HERE)).await;
        let mut received = Vec::new();
        while !received.windows(STILL_HERE.len()).any(|echoed| echoed == STILL_HERE) {
            received.push(leg.read_u8().await.unwrap());
        }
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn who_announces_nonsense_is_heard_no_more_and_others_are() {
    let test = async {
        let signer = Signer::new();
        let [a, b] = ["a", "b"].map(|name| Member::new(&signer, &edge(name), 1));
        let h = Member::new(&signer, &hub("h"), 1);
        let hostile = play(&h.node, edge("m"));
        linked(&h.node, 1).await;
        let mut first = begin(&hostile).await;
        let mut second = begin(&hostile).await;
        assert!(second.read_u8().await.is_err());
        assert_eq!((h.node.counters().announcements_refused.get(), hostile.end().is_none()), (1, true));
        first.write_all(&[0x01, 0x03, 1, 2, 3]).await.unwrap();
        hostile.ended().await;
        assert_eq!(h.node.counters().announcements_refused.get(), 2);
        let _wires = (a.wire(&h), b.wire(&h));
        a.offers(&["a.global"]);
        b.knows(&[("a", &["a.global"])]).await;
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}
