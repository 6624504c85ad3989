//! What streams leave behind on links that live on.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use overlay_wire::budget::Budget;
use overlay_wire::leg::{self, LegFrame, Open, Progress, StreamKey};
use overlay_wire::mux::{Limits as LinkLimits, Side, Urgency};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::timeout;

use super::*;
use crate::link::{Driver, Link, LinkStream, Timing};
use crate::node::{Limits, Links, Peer};

const LONG: Duration = Duration::from_secs(60);

/// What wakers lead to: as many lead to it as there are references.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Runs a stream until it is over and nobody has it; how many wakers are left of it.
async fn wakers_left(stream: OverlayStream, carry: Carry) -> usize {
    let task = Arc::new(Task);
    let waker = Waker::from(task.clone());
    let mut run = Box::pin(carry.run());
    while run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        yield_now().await;
    }
    drop((run, stream, waker));
    Arc::strong_count(&task) - 1
}

/// Both ends of a link.
fn linked() -> (Link, Link) {
    let (ours, theirs) = duplex(64 * 1024);
    let [near, far] = [(ours, Side::Dialled), (theirs, Side::Accepted)].map(|(end, side)| {
        let (link, driver) = Driver::new(end, side, LinkLimits::default(), Vec::new(), Timing::default());
        spawn_local(driver.run());
        link
    });
    (near, far)
}

fn opening() -> Open {
    Open {
        key: StreamKey { session: [7; 16], number: 1 },
        resumes: false,
        progress: Progress { delivered: 0, allowed: 1 << 20 },
        from: "m".into(),
        from_shard: 0,
        to: "a".into(),
        to_shard: None,
        tenant: "acme".into(),
        class: 0,
    }
}

async fn send(leg: &mut LinkStream, frame: &LegFrame<'_>) {
    let mut bytes = Vec::new();
    leg::put(&mut bytes, frame);
    leg.write_all(&bytes).await.unwrap();
}

/// Waits for a first word, and gives the stream up.
async fn reset(mut leg: LinkStream, answer: Option<LegFrame<'_>>) {
    leg.read_u8().await.unwrap();
    if let Some(answer) = answer {
        send(&mut leg, &answer).await;
        everything_is_done().await;
    }
    send(&mut leg, &LegFrame::Reset(1)).await;
    // It is for the other side to end it.
    let _ = leg.read_to_end(&mut Vec::new()).await;
}

async fn everything_is_done() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn streams_that_have_ended_leave_nothing_on_a_link_that_goes_on() {
    let test = async {
        let (near, far) = linked();
        let links = Rc::new(Links::new(Arc::default()));
        let added = links.add(Peer::Hub { name: "h".into() }, 0, near.clone());
        let limits = Limits::default();
        let budget = || Budget::new(1 << 20);

        // One that the other side has opened.
        let mut leg = far.open(Urgency::default()).await.unwrap();
        leg.write_all(b"x").await.unwrap();
        let mut taken = near.accept().await.unwrap();
        taken.read_u8().await.unwrap();
        let first = Opened { open: opening(), stream: taken, link: added.id, rest: Vec::new() };
        let (_legs, opened) = mpsc::channel(1);
        let (stream, carry) = Carry::accept(first, 0, &limits, budget(), links.clone(), opened);
        spawn_local(reset(leg, None));
        assert_eq!(wakers_left(stream, carry).await, 0);

        // One that is opened here.
        let (_legs, opened) = mpsc::channel(1);
        let Open { key, from, to, tenant, .. } = opening();
        let route = Route { from: to, from_shard: 0, to: from, to_shard: None, tenant, class: 0 };
        let (stream, carry) = Carry::open(key, route, &limits, budget(), links.clone(), opened);
        let accepting = far.clone();
        spawn_local(async move {
            let accepted = LegFrame::Accept { shard: 0, progress: opening().progress };
            reset(accepting.accept().await.unwrap(), Some(accepted)).await;
        });
        assert_eq!(wakers_left(stream, carry).await, 0);
        assert!(near.end().is_none() && far.end().is_none(), "the link has ended");
    };
    timeout(LONG, LocalSet::new().run_until(test)).await.unwrap();
}
