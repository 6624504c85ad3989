//! Datagrams beside a stream between edges: they go over the leg that the stream is sent on, and are not sent again over another one.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use overlay_wire::datagram::Queue;

use super::Shared;
use super::carrier::Carrier;
use crate::node::Counters;

/// Bytes that wait for the task of the stream, or for whoever takes them; the oldest are dropped for new ones.
const MOST: usize = 128 * 1024;

/// What waits, in either direction.
pub(super) struct Waiting {
    outgoing: Queue,
    /// Without room until somebody has asked for them.
    incoming: Queue,
    taker: Option<Waker>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { outgoing: Queue::new(MOST), incoming: Queue::default(), taker: None }
    }
}

/// Those of one stream, whoever has the stream by then.
pub(crate) struct Datagrams(Rc<Shared>);

impl Datagrams {
    pub(super) fn of(shared: &Rc<Shared>) -> Self {
        shared.datagrams.borrow_mut().incoming.make_room(MOST);
        Self(shared.clone())
    }

    /// Sends one that may be lost. How many were dropped for it.
    pub(crate) fn send(&self, packet: Vec<u8>) -> u64 {
        let dropped = self.0.datagrams.borrow_mut().outgoing.push(packet);
        self.0.wake_task();
        dropped
    }

    /// The next one that comes.
    pub(crate) async fn receive(&self) -> Vec<u8> {
        poll_fn(|context| {
            let mut waiting = self.0.datagrams.borrow_mut();
            match waiting.incoming.pop() {
                Some(packet) => Poll::Ready(packet),
                None => {
                    crate::wait(&mut waiting.taker, context);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Shared {
    /// Takes what has come beside a leg.
    pub(super) fn take_datagrams(&self, leg: &Carrier, counters: &Counters) {
        let mut waiting = self.datagrams.borrow_mut();
        while let Some(packet) = leg.stream.datagram() {
            counters.datagram_packets_dropped.add(waiting.incoming.push(packet));
            crate::wake(&mut waiting.taker);
        }
    }

    /// Sends what waits beside a leg. Without one it is of no use any more when there is one again.
    pub(super) fn send_datagrams(&self, leg: Option<&Carrier>, counters: &Counters) {
        let mut waiting = self.datagrams.borrow_mut();
        let Some(leg) = leg else {
            counters.datagram_packets_dropped.add(waiting.outgoing.clear());
            return;
        };
        while let Some(packet) = waiting.outgoing.pop() {
            leg.stream.send_datagram(packet);
        }
    }
}
