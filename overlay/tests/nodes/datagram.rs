//! Flows of datagrams between edges: what hubs see of them, what is dropped, and how they end.

use std::time::Duration;

use overlay::datagram::{Flow, FlowEnd};
use overlay::tunnel::{CallError, Incoming};
use overlay_wire::call::{Call, Outcome, Transport};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, timeout};

use crate::kit::{Signer, edge};
use crate::tunnel::Lab;

const SECRET: &[u8] = b"nobody but the two edges may see this";
const LONG: Duration = Duration::from_secs(60);

fn call() -> Call {
    Call { host: "dns.shop.global".into(), port: 53, caller: String::new(), transport: Transport::Datagrams }
}

fn lab() -> Lab {
    let authority = Signer::new();
    Lab::new(&authority.identity(&edge("a")), &authority.identity(&edge("b")))
}

/// Sends back what comes.
fn serve(mut calls: mpsc::Receiver<Incoming>) {
    spawn_local(async move {
        while let Some(incoming) = calls.recv().await {
            assert_eq!((&incoming.peer, &incoming.call), (&edge("a"), &call()));
            spawn_local(async move {
                let flow = incoming.open_flow().await.unwrap();
                while let Ok(datagram) = flow.receive().await {
                    flow.send(&datagram);
                }
            });
        }
    });
}

/// What a datagram comes back as. None is lost in these tests, unless there is too much.
async fn asked(flow: &Flow, datagram: &[u8]) -> Vec<u8> {
    flow.send(datagram);
    timeout(LONG, flow.receive()).await.unwrap().unwrap()
}

#[tokio::test]
async fn datagrams_of_all_sizes_pass_and_the_hub_sees_nothing_of_them() {
    let test = async {
        let lab = lab();
        lab.wires.iter().for_each(|wire| *wire.seen.borrow_mut() = Some(Vec::new()));
        serve(lab.calls);
        let flows =
            [lab.near.open_flow("b", 1, &call()).await.unwrap(), lab.near.open_flow("b", 1, &call()).await.unwrap()];
        for flow in &flows {
            assert_eq!(asked(flow, SECRET).await, SECRET);
            for length in [0, 1, 1200, 9000, 65_507] {
                let datagram: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
                assert!(asked(flow, &datagram).await == datagram, "{length} bytes");
            }
        }
        for wire in &lab.wires {
            let seen = wire.seen.take().unwrap();
            let contains = |text: &[u8]| seen.windows(text.len()).any(|window| window == text);
            assert!(contains(b"acme") && seen.len() > 4 * 65_507, "the recording is not what it should be");
            assert!(!contains(SECRET) && !contains(b"dns.shop"));
        }
        let (relayed, refused) =
            (&lab.hub.counters().datagram_packets_relayed, &lab.far.counters().datagram_packets_refused);
        // Each way: one packet for each but the largest, which has five.
        assert_eq!((relayed.get(), refused.get()), (2 * 2 * (5 + 5), 0));
        assert_eq!(lab.far.counters().datagram_packets_dropped.get(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_the_oldest_first_and_connections_go_on() {
    const SENT: u32 = 3000;
    let test = async {
        let mut lab = lab();
        let flow = async { lab.near.open_flow("b", 1, &call()).await.unwrap() };
        let far = async { lab.calls.recv().await.unwrap().open_flow().await.unwrap() };
        let (flow, far) = tokio::join!(flow, far);
        lab.wires[0].swallow(true);
        for number in 0..SENT {
            flow.send(&[&number.to_be_bytes()[..], &[0; 1200]].concat());
            if number % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
        lab.wires[0].swallow(false);
        let mut received = Vec::new();
        while received.last() != Some(&(SENT - 1)) {
            let datagram = timeout(LONG, far.receive()).await.unwrap().unwrap();
            received.push(datagram.first_chunk().map_or(0, |number| u32::from_be_bytes(*number)));
        }
        assert!(received.is_sorted() && received.len() < SENT as usize, "{}", received.len());
        let dropped = lab.near_node.counters().datagram_packets_dropped.get();
        assert_eq!(dropped as usize + received.len(), SENT as usize);
        assert_eq!(lab.near_node.counters().datagram_packets_sent.get(), u64::from(SENT));
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_flow_ends_with_its_other_end_and_one_that_is_refused_says_why() {
    let test = async {
        let mut lab = lab();
        let near = async { lab.near.open_flow("b", 1, &call()).await.unwrap() };
        let far = async { lab.calls.recv().await.unwrap().open_flow().await.unwrap() };
        let (near, far) = tokio::join!(near, far);
        far.send(b"last words");
        drop(far);
        // They may come behind the end.
        let mut end = timeout(LONG, near.receive()).await.unwrap();
        if end.as_deref() == Ok(b"last words") {
            end = timeout(LONG, near.receive()).await.unwrap();
        }
        assert_eq!(end, Err(FlowEnd::Closed));

        spawn_local(async move {
            while let Some(incoming) = lab.calls.recv().await {
                incoming.answer(Outcome::NotExported, "b exports no dns").await.unwrap();
            }
        });
        let refused = lab.near.open_flow("b", 1, &call()).await.unwrap_err();
        assert!(matches!(refused, CallError::Refused { outcome: Outcome::NotExported, .. }), "{refused}");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_flow_to_an_edge_that_is_linked_to_no_hub_ends_soon() {
    let test = async {
        let mut lab = lab();
        serve(lab.calls);
        let flow = lab.near.open_flow("b", 1, &call()).await.unwrap();
        assert_eq!(asked(&flow, b"x").await, b"x");
        lab.wires.pop().unwrap().cut();
        let begun = Instant::now();
        assert_eq!(flow.receive().await, Err(FlowEnd::Lost));
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    };
    LocalSet::new().run_until(test).await;
}
