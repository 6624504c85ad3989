//! What one peer may take of a node, and what others have then. Bounds of bytes have tests of their own in `hostile`.

use std::time::Duration;

use overlay::link::{Link, LinkEnd, LinkStream, code};
use overlay::node::{Limits, Node, Peer, Role};
use overlay_wire::leg::{LegFrame, Open, RefuseCode};
use overlay_wire::mux::Urgency;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::kit::{Wire, echo, edge, hub};
use crate::player::{Answer, answer, everything_is_done, linked, open, opening, play, send, taken};

const LONG: Duration = Duration::from_secs(60);
const OVERLOADED: Answer = Answer::Refused(RefuseCode::Overloaded);

fn other_tenant(name: &str) -> Peer {
    Peer::Edge { name: name.into(), tenant: "other".into() }
}

#[tokio::test]
async fn an_edge_has_so_many_streams_and_others_have_theirs() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits { streams_per_edge: 3, ..Limits::default() });
        echo(&node);
        let (greedy, other) = (play(&node, edge("m")), play(&node, edge("a")));
        let mut legs = Vec::new();
        for number in 0..5 {
            let mut leg = open(&greedy, opening("m", "b", number)).await;
            let expected = if number < 3 { Answer::Accepted(0) } else { OVERLOADED };
            assert_eq!(answer(&mut leg).await, expected, "stream {number}");
            legs.push(leg);
        }
        assert_eq!(node.counters().streams_refused.get(), 2);
        let mut leg = open(&other, opening("a", "b", 100)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));

        // One is over: there is room for another.
        send(&mut legs[0], &LegFrame::Reset(1)).await;
        everything_is_done().await;
        let mut leg = open(&greedy, opening("m", "b", 6)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn streams_that_nobody_takes_are_refused() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits { streams_waiting: 2, ..Limits::default() });
        let peer = play(&node, edge("a"));
        let mut leg = open(&peer, opening("a", "b", 0)).await;
        assert_eq!(answer(&mut leg).await, Answer::Refused(RefuseCode::NoRoute));
        let _incoming = node.incoming().unwrap();
        for number in 1..4 {
            let mut leg = open(&peer, opening("a", "b", number)).await;
            let expected = if number < 3 { Answer::Accepted(0) } else { OVERLOADED };
            assert_eq!(answer(&mut leg).await, expected, "stream {number}");
        }
        assert_eq!(node.counters().legs_not_taken.get(), 2);
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn so_many_legs_of_an_edge_and_of_a_tenant_pass_through_a_hub() {
    let test = async {
        let limits = Limits { legs_per_edge: 2, legs_per_tenant: 3, ..Limits::default() };
        let between = Node::new("h", Role::Hub, 0, limits);
        let [greedy, near, far] = ["m", "a", "b"].map(|name| play(&between, edge(name)));
        let [x, y] = ["x", "y"].map(|name| play(&between, other_tenant(name)));
        linked(&between, 5).await;
        let mut legs = Vec::new();
        for (number, link, name, passes) in [
            (0, &greedy, "m", true),
            (1, &greedy, "m", true),
            (2, &greedy, "m", false),
            (3, &near, "a", true),
            (4, &near, "a", false),
        ] {
            let mut leg = open(link, opening(name, "b", number)).await;
            if passes {
                legs.push((leg, taken(&far).await.1));
            } else {
                assert_eq!(answer(&mut leg).await, OVERLOADED, "leg {number}");
            }
        }
        assert_eq!(between.counters().legs_refused.get(), 2);
        let _other = open(&x, Open { tenant: "other".into(), ..opening("x", "y", 5) }).await;
        taken(&y).await;

        legs.swap_remove(0);
        everything_is_done().await;
        let _leg = open(&near, opening("a", "b", 6)).await;
        taken(&far).await;
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

/// Opens legs of an edge to "b" until one is refused. Both ends of those that have passed.
async fn fill(link: &Link, far: &Link, name: &str) -> Vec<(LinkStream, LinkStream)> {
    let mut legs = Vec::new();
    loop {
        let mut leg = open(link, opening(name, "b", legs.len() as u64)).await;
        tokio::select! {
            (_, passed) = taken(far) => legs.push((leg, passed)),
            answer = answer(&mut leg) => {
                assert_eq!(answer, OVERLOADED);
                return legs;
            }
        }
    }
}

#[tokio::test]
async fn edges_that_open_all_the_legs_they_can_to_another_one_leave_room_for_others() {
    let test = async {
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let far = play(&between, edge("b"));
        let names: Vec<_> = (0..8).map(|number| format!("m{number}")).collect();
        let links: Vec<_> = names.iter().map(|name| play(&between, edge(name))).collect();
        let other = play(&between, edge("a"));
        linked(&between, 10).await;
        let mut legs = Vec::new();
        for (name, link) in names.iter().zip(&links) {
            legs.push(fill(link, &far, name).await);
        }
        assert_eq!(between.counters().legs_refused.get(), 8);
        let of_other = fill(&other, &far, "a").await;
        assert!(of_other.len() >= 32, "{} legs", of_other.len());
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn legs_of_an_edge_count_until_the_next_node_has_heard_of_their_end() {
    let test = async {
        let between = Node::new("h", Role::Hub, 0, Limits::default());
        let far = Node::new("b", Role::Edge, 0, Limits { streams_per_edge: 1024, ..Limits::default() });
        echo(&far);
        let wire = Wire::new((&far, edge("b")), (&between, hub("h")));
        let greedy = play(&between, edge("m"));
        linked(&between, 2).await;
        let mut legs = Vec::new();
        loop {
            let mut leg = open(&greedy, opening("m", "b", legs.len() as u64)).await;
            match answer(&mut leg).await {
                Answer::Accepted(0) => legs.push(leg),
                other => break assert_eq!(other, OVERLOADED),
            }
        }
        wire.swallow(true);
        drop(legs);
        everything_is_done().await;
        let mut leg = open(&greedy, opening("m", "b", 1000)).await;
        assert_eq!((answer(&mut leg).await, between.counters().legs_refused.get()), (OVERLOADED, 2));
        wire.swallow(false);
        everything_is_done().await;
        let mut leg = open(&greedy, opening("m", "b", 1001)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test]
async fn a_peer_has_so_many_links() {
    // Of its tenant's an edge may have half.
    let limits = Limits::default;
    for limits in [Limits { links_per_peer: 2, ..limits() }, Limits { links_per_tenant: 4, ..limits() }] {
        let test = async {
            let node = Node::new("b", Role::Edge, 0, limits);
            let [first, second, third] = [(); 3].map(|()| play(&node, edge("m")));
            let end = third.ended().await;
            assert!(
                matches!(&end, LinkEnd::Closed { code: code::OVERLOADED, reason } if reason == "too many links"),
                "{end}"
            );
            let _other = play(&node, edge("a"));
            linked(&node, 3).await;
            first.close(code::DONE, "");
            linked(&node, 2).await;
            let _again = play(&node, edge("m"));
            linked(&node, 3).await;
            assert_eq!((node.counters().links_refused.get(), second.end().is_none()), (1, true));
        };
        timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_links_and_others_have_theirs() {
    let test = async {
        let node = Node::new("h", Role::Hub, 0, Limits { links_per_tenant: 2, ..Limits::default() });
        let [first, second, third] = ["a", "b", "c"].map(|name| play(&node, edge(name)));
        let end = third.ended().await;
        assert!(
            matches!(&end, LinkEnd::Closed { code: code::OVERLOADED, reason } if reason == "too many links of its tenant"),
            "{end}"
        );
        let _others = [other_tenant("x"), hub("h2")].map(|peer| play(&node, peer));
        linked(&node, 4).await;
        first.close(code::DONE, "");
        linked(&node, 3).await;
        let _again = play(&node, edge("c"));
        linked(&node, 4).await;
        assert_eq!((node.counters().links_refused.get(), second.end().is_none()), (1, true));
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_opens_streams_and_does_not_say_what_they_are_is_not_waited_for() {
    let test = async {
        let node = Node::new("b", Role::Edge, 0, Limits { beginnings_per_peer: 4, ..Limits::default() });
        echo(&node);
        let (silent, other) = (play(&node, edge("m")), play(&node, edge("a")));
        let mut begun = Vec::new();
        for _ in 0..6 {
            let mut stream = silent.open(Urgency::default()).await.unwrap();
            stream.write_all(&[1]).await.unwrap();
            begun.push(stream);
        }
        for mut stream in begun.split_off(4) {
            assert!(stream.read_u8().await.is_err());
        }
        assert_eq!((node.counters().beginnings_refused.get(), node.counters().beginnings_failed.get()), (2, 0));
        let mut leg = open(&other, opening("a", "b", 0)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));
        for mut stream in begun {
            assert!(stream.read_u8().await.is_err());
        }
        assert_eq!(node.counters().beginnings_failed.get(), 4);
        let mut leg = open(&silent, opening("m", "b", 1)).await;
        assert_eq!(answer(&mut leg).await, Answer::Accepted(0));
    };
    LocalSet::new().run_until(test).await;
}
