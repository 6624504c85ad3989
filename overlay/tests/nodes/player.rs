//! Somebody at the other end of a link that a test plays, whether or not as the protocol wants it.

use std::rc::Rc;

use overlay::link::{Driver, Link, LinkStream, Timing};
use overlay::node::{Node, Peer};
use overlay_wire::hello::Hello;
use overlay_wire::leg::{self, LegFrame, Open, Progress, RefuseCode, StreamKey};
use overlay_wire::mux::{self, Side, Urgency};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};
use tokio::task::{spawn_local, yield_now};

use crate::kit::attach;

/// Links to a node, which takes whoever it is for the first shard of `peer`.
pub(crate) fn play(node: &Rc<Node>, peer: Peer) -> Link {
    play_saying(node, peer, Hello { shard: 0 }.to_bytes())
}

/// The same, with other first words.
pub(crate) fn play_saying(node: &Rc<Node>, peer: Peer, hello: Vec<u8>) -> Link {
    let (ours, theirs) = duplex(64 * 1024);
    attach(node, peer, ours, Side::Accepted);
    let (link, driver) = Driver::new(theirs, Side::Dialled, mux::Limits::default(), hello, Timing::default());
    spawn_local(driver.run());
    link
}

/// How a stream of tenant "acme" begins.
pub(crate) fn opening(from: &str, to: &str, number: u64) -> Open {
    Open {
        key: StreamKey { session: [7; 16], number },
        resumes: false,
        progress: Progress { delivered: 0, allowed: 1 << 20 },
        from: from.into(),
        from_shard: 0,
        to: to.into(),
        to_shard: None,
        tenant: "acme".into(),
        class: 0,
    }
}

pub(crate) async fn send(leg: &mut (impl AsyncWrite + Unpin), frame: &LegFrame<'_>) {
    let mut bytes = Vec::new();
    leg::put(&mut bytes, frame);
    leg.write_all(&bytes).await.unwrap();
}

/// Opens a leg.
pub(crate) async fn open(link: &Link, open: Open) -> LinkStream {
    let mut leg = link.open(Urgency::default()).await.unwrap();
    send(&mut leg, &LegFrame::Open(open)).await;
    leg
}

/// What becomes of a leg.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// By this shard.
    Accepted(u16),
    Refused(RefuseCode),
    Reset,
}

/// Waits for what the other side says to a leg.
pub(crate) async fn answer(leg: &mut LinkStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        match leg::take(&bytes).unwrap() {
            Some((LegFrame::Accept { shard, .. }, _)) => return Answer::Accepted(shard),
            Some((LegFrame::Refuse(code, _), _)) => return Answer::Refused(code),
            Some((other, _)) => panic!("{other:?} is no answer"),
            None => {}
        }
        match leg.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => return Answer::Reset,
        }
    }
}

/// The next leg that the other side opens.
pub(crate) async fn taken(link: &Link) -> (Open, LinkStream) {
    let mut leg = link.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        match leg::take(&bytes).unwrap() {
            Some((LegFrame::Open(open), _)) => return (open, leg),
            Some((other, _)) => panic!("a leg begins with {other:?}"),
            None => bytes.push(leg.read_u8().await.unwrap()),
        }
    }
}

/// Waits until a node has so many links.
pub(crate) async fn linked(node: &Node, links: usize) {
    while node.links().len() != links {
        yield_now().await;
    }
}

/// All is in memory and on one thread: after so many turns everybody waits.
pub(crate) async fn everything_is_done() {
    for _ in 0..1000 {
        yield_now().await;
    }
}
