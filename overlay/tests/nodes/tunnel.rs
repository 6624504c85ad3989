//! Tunnels between edges: what hubs see of them, and who is let in.

use std::rc::Rc;
use std::time::Duration;

use overlay::identity::Current;
use overlay::link::LinkStream;
use overlay::node::{Limits, Node, Peer, Role};
use overlay::tunnel::{CallError, Incoming, Tunnels};
use overlay_wire::call::{Call, Outcome, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::kit::{Signer, Wire, edge, hub};

const SECRET: &[u8] = b"nobody but the two edges may see this";

/// Two edges at one hub.
pub(crate) struct Lab {
    pub(crate) near: Rc<Tunnels>,
    pub(crate) near_node: Rc<Node>,
    pub(crate) calls: mpsc::Receiver<Incoming>,
    pub(crate) far: Rc<Node>,
    pub(crate) far_tunnels: Rc<Tunnels>,
    pub(crate) hub: Rc<Node>,
    pub(crate) wires: Vec<Wire>,
}

impl Lab {
    pub(crate) fn new(near: &Current, far: &Current) -> Self {
        let node = |name, role| Node::new(name, role, 0, Limits::default());
        let (a, b, h) = (node("a", Role::Edge), node("b", Role::Edge), node("h", Role::Hub));
        let wires = vec![Wire::new((&a, edge("a")), (&h, hub("h"))), Wire::new((&b, edge("b")), (&h, hub("h")))];
        let (near, _, near_taking) = Tunnels::new(a.clone(), near.clone());
        let (far_tunnels, calls, far_taking) = Tunnels::new(b.clone(), far.clone());
        spawn_local(near_taking);
        spawn_local(far_taking);
        Self { near, near_node: a, calls, far: b, far_tunnels, hub: h, wires }
    }
}

fn call() -> Call {
    Call {
        host: "ratings.shop.global".into(),
        port: 9080,
        caller: "spiffe://cluster.local/ns/shop/sa/web".into(),
        transport: Transport::Bytes,
    }
}

/// Connects every call, and answers with what comes, backwards.
fn serve(mut calls: mpsc::Receiver<Incoming>) {
    spawn_local(async move {
        while let Some(incoming) = calls.recv().await {
            assert_eq!((&incoming.peer, &incoming.call), (&edge("a"), &call()));
            spawn_local(async move {
                let mut stream = incoming.answer(Outcome::Connected, "").await.unwrap();
                let mut received = Vec::new();
                stream.read_to_end(&mut received).await.unwrap();
                received.reverse();
                stream.write_all(&received).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
}

#[tokio::test]
async fn connections_pass_and_the_hub_sees_nothing_of_them() {
    let test = async {
        let authority = Signer::new();
        let lab = Lab::new(&authority.identity(&edge("a")), &authority.identity(&edge("b")));
        lab.wires.iter().for_each(|wire| *wire.seen.borrow_mut() = Some(Vec::new()));
        serve(lab.calls);
        let talks: Vec<_> = (0..30)
            .map(|_| {
                let near = lab.near.clone();
                spawn_local(async move {
                    let mut stream = near.connect("b", 0, &call()).await.unwrap();
                    stream.write_all(SECRET).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await.unwrap();
                    answer.reverse();
                    assert_eq!(answer, SECRET);
                })
            })
            .collect();
        for talk in talks {
            talk.await.unwrap();
        }
        for wire in &lab.wires {
            let seen = wire.seen.take().unwrap();
            let contains = |text: &[u8]| seen.windows(text.len()).any(|window| window == text);
            assert!(contains(b"acme") && seen.len() > 30 * SECRET.len(), "the recording is not what it should be");
            for hidden in [SECRET, b"ratings", b"cluster.local"] {
                assert!(!contains(hidden), "the hub sees {:?}", String::from_utf8_lossy(hidden));
            }
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_is_refused_hears_why() {
    let test = async {
        let authority = Signer::new();
        let mut lab = Lab::new(&authority.identity(&edge("a")), &authority.identity(&edge("b")));
        spawn_local(async move {
            while let Some(incoming) = lab.calls.recv().await {
                incoming.answer(Outcome::NotExported, "b exports no ratings").await.unwrap();
            }
        });
        let error = lab.near.connect("b", 0, &call()).await.unwrap_err();
        assert_eq!(error.to_string(), "no such service is exported: b exports no ratings");
    };
    LocalSet::new().run_until(test).await;
}

async fn refusal(near: &Current, far: &Current) -> CallError {
    let lab = Lab::new(near, far);
    let calls = spawn_local(async move {
        let mut calls = lab.calls;
        assert!(calls.recv().await.is_none(), "a call came through");
    });
    let refused = timeout(Duration::from_secs(60), lab.near.connect("b", 0, &call())).await.unwrap().unwrap_err();
    calls.abort();
    refused
}

#[tokio::test]
async fn only_the_edge_that_is_meant_gets_a_tunnel() {
    let test = async {
        let (ours, theirs) = (Signer::new(), Signer::new());
        let a = ours.identity(&edge("a"));
        let foreign = Peer::Edge { name: "b".into(), tenant: "other".into() };
        for (far, why) in [
            (theirs.identity(&edge("b")), "UnknownIssuer"),
            (ours.identity(&edge("c")), "answered"),
            (ours.identity(&hub("b")), "answered"),
            (ours.identity(&foreign), "answered"),
        ] {
            let refused = refusal(&a, &far).await.to_string();
            assert!(refused.contains(why), "{refused}");
        }
        let b = ours.identity(&edge("b"));
        for near in [theirs.identity(&edge("a")), ours.identity(&edge("m"))] {
            refusal(&near, &b).await;
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_edge_that_was_started_again_is_called_again() {
    let test = async {
        let authority = Signer::new();
        let identity = authority.identity(&edge("b"));
        let mut lab = Lab::new(&authority.identity(&edge("a")), &identity);
        let hub_node = lab.hub.clone();
        serve(lab.calls);
        lab.near.connect("b", 0, &call()).await.unwrap();
        for away in [20, 1500] {
            lab.wires.pop().unwrap().cut();
            let call = call();
            let kept = lab.near.connect("b", 0, &call);
            let _ = timeout(Duration::from_millis(away), kept).await;
            let again = Node::new("b", Role::Edge, 0, Limits::default());
            lab.wires.push(Wire::new((&again, edge("b")), (&hub_node, hub("h"))));
            let (_, calls, taking) = Tunnels::new(again, identity.clone());
            spawn_local(taking);
            serve(calls);
            let called = async {
                while lab.near.connect("b", 0, &call).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(4), called).await.unwrap_or_else(|_| panic!("not called after {away} ms"));
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn calls_to_an_edge_that_is_linked_to_no_hub_fail_soon_and_then_at_once() {
    let test = async {
        let authority = Signer::new();
        let lab = Lab::new(&authority.identity(&edge("a")), &authority.identity(&edge("b")));
        let Lab { near, near_node, calls, mut wires, far, hub: node, .. } = lab;
        serve(calls);
        near.connect("b", 0, &call()).await.unwrap();
        wires.pop().unwrap().cut();
        let begun = Instant::now();
        let refused = near.connect("b", 0, &call()).await.unwrap_err();
        assert!(refused.to_string().ends_with("it is not linked to any hub"), "{refused}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        // Those that follow do not wait, while one attempt after the other goes on.
        let failed_at_once = || near_node.counters().calls_to_silent.get();
        for made in 1..100 {
            let begun = Instant::now();
            let refused = near.connect("b", 0, &call()).await.unwrap_err();
            assert!(refused.to_string().ends_with("it did not answer a moment ago"), "{refused}");
            assert_eq!((begun.elapsed(), failed_at_once()), (Duration::ZERO, made));
            advance(Duration::from_millis(100)).await;
        }
        let opened = near_node.counters().streams_opened.get();
        assert!((3..10).contains(&opened), "{opened} streams");
        let _far_wire = Wire::new((&far, edge("b")), (&node, hub("h")));
        let called = async {
            while near.connect("b", 0, &call()).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(2), called).await.unwrap_or_else(|_| panic!("not called again"));
        // It is forgotten that it was silent.
        let before = failed_at_once();
        for _ in 0..10 {
            near.connect("b", 0, &call()).await.unwrap();
        }
        assert_eq!(failed_at_once(), before);
    };
    LocalSet::new().run_until(test).await;
}

/// A call in a tunnel of its own, because the other edge wants all that were opened before to be left.
async fn call_apart(lab: &Lab) -> LinkStream {
    let before = lab.far.counters().tunnels_accepted.get();
    let stream = lab.near.connect("b", 0, &call()).await.unwrap();
    assert_eq!(lab.far.counters().tunnels_accepted.get(), before + 1);
    // The clock goes on when nobody has anything to do.
    sleep(Duration::from_millis(1)).await;
    stream
}

async fn is_answered(stream: &mut LinkStream) -> bool {
    stream.write_u8(7).await.is_ok() && stream.read_u8().await.is_ok_and(|answer| answer == 7)
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_in_tunnels_that_are_to_be_left_while_these_are_not_too_many() {
    const MOST_LEFT: usize = 32;
    let test = async {
        let authority = Signer::new();
        let mut lab = Lab::new(&authority.identity(&edge("a")), &authority.identity(&edge("b")));
        let mut incoming = std::mem::replace(&mut lab.calls, mpsc::channel(1).1);
        spawn_local(async move {
            while let Some(incoming) = incoming.recv().await {
                let (mut reader, mut writer) = split(incoming.answer(Outcome::Connected, "").await.unwrap());
                spawn_local(async move { tokio::io::copy(&mut reader, &mut writer).await });
            }
        });
        lab.far_tunnels.leave(Instant::now() + Duration::from_secs(3600));
        let mut calls = Vec::new();
        for _ in 0..=MOST_LEFT {
            calls.push(call_apart(&lab).await);
        }
        // For the next one a tunnel ends in which nobody calls any more.
        drop(calls.remove(20));
        sleep(Duration::from_millis(1)).await;
        calls.push(call_apart(&lab).await);
        for (at, stream) in calls.iter_mut().enumerate() {
            assert!(is_answered(stream).await, "call {at} has ended");
        }
        // And for one more the oldest.
        calls.push(call_apart(&lab).await);
        for (at, stream) in calls.iter_mut().enumerate() {
            assert_eq!(is_answered(stream).await, at > 0, "call {at}");
        }
    };
    LocalSet::new().run_until(test).await;
}
