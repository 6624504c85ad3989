//! Flows of datagrams between two edges, unseen by the hubs between them.
//!
//! A flow is opened by a call in a [tunnel](crate::tunnel), and lasts for as long as the stream of that call. Its datagrams go beside the stream that
//! the tunnel is in, sealed with keys of the tunnel: what is lost, or finds no room, is not sent again and holds up nobody.

mod replay;
mod seal;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use hashbrown::HashMap;
use overlay_wire::datagram::{Assembly, Packet, Queue, Taken, cut};
use overlay_wire::frame::StreamId;

pub(crate) use self::seal::Seals;
use crate::link::LinkStream;
use crate::node::{Counters, count};
use crate::stream::{Datagrams, Way};

/// Bytes of datagrams of a flow that wait for whoever takes them; the oldest are dropped for new ones.
const MOST_WAITING: usize = 256 * 1024;
/// How often it is looked at whether a way that was lost still is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// The other edge has ended it, or the tunnel has ended.
    Closed,
    /// There is no way to the other edge any more.
    Lost,
}

/// The datagrams of one tunnel.
pub(crate) struct Channel {
    beside: Datagrams,
    way: Way,
    seals: RefCell<Seals>,
    assembly: RefCell<Assembly>,
    next_number: Cell<u64>,
    flows: RefCell<HashMap<StreamId, Rc<Inbox>>>,
    counters: Arc<Counters>,
}

/// What has come for a flow.
struct Inbox {
    waiting: RefCell<Queue>,
    taker: RefCell<Option<Waker>>,
    is_lost: Cell<bool>,
}

/// A flow of datagrams between two edges. It ends when it is dropped.
pub struct Flow {
    channel: Rc<Channel>,
    inbox: Rc<Inbox>,
    /// The call that it was opened by.
    stream: LinkStream,
}

impl Channel {
    pub(crate) fn new(beside: Datagrams, way: Way, seals: Seals, counters: Arc<Counters>) -> Rc<Self> {
        Rc::new(Self {
            beside,
            way,
            seals: RefCell::new(seals),
            assembly: RefCell::default(),
            next_number: Cell::new(0),
            flows: RefCell::default(),
            counters,
        })
    }

    /// Takes what comes for as long as it is run.
    pub(crate) async fn run(&self) {
        tokio::join!(self.take_packets(), self.watch_way());
    }

    /// The flow of a call. What comes for it from now on waits there.
    pub(crate) fn flow(self: &Rc<Self>, stream: LinkStream) -> Flow {
        let inbox = Rc::new(Inbox {
            waiting: RefCell::new(Queue::new(MOST_WAITING)),
            taker: RefCell::default(),
            is_lost: Cell::new(self.way.is_lost()),
        });
        self.flows.borrow_mut().insert(stream.id(), inbox.clone());
        Flow { channel: self.clone(), inbox, stream }
    }

    async fn take_packets(&self) {
        loop {
            let mut sealed = self.beside.receive().await;
            let opened = self.seals.borrow_mut().open(&mut sealed).and_then(|packet| Packet::parse(packet).ok());
            let Some(packet) = opened else {
                count(&self.counters.datagram_packets_refused);
                continue;
            };
            count(&self.counters.datagram_packets_received);
            match self.assembly.borrow_mut().take(&packet) {
                Taken::Whole(flow, datagram) => self.deliver(flow, datagram),
                Taken::Part => {}
                Taken::Orphan => count(&self.counters.datagram_packets_dropped),
            }
        }
    }

    fn deliver(&self, flow: StreamId, datagram: Vec<u8>) {
        let dropped = self.flows.borrow().get(&flow).map_or(1, |inbox| {
            let dropped = inbox.waiting.borrow_mut().push(datagram);
            crate::wake(&mut inbox.taker.borrow_mut());
            dropped
        });
        self.counters.datagram_packets_dropped.add(dropped);
    }

    /// Flows do not wait for a way, as connections do.
    async fn watch_way(&self) {
        loop {
            self.way.lost().await;
            for inbox in self.flows.borrow().values() {
                inbox.is_lost.set(true);
                crate::wake(&mut inbox.taker.borrow_mut());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn send(&self, flow: StreamId, datagram: &[u8]) {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let mut packets = 0;
        for packet in cut(flow, number, datagram) {
            let dropped = match self.seals.borrow_mut().seal(packet.to_bytes()) {
                Some(sealed) => self.beside.send(sealed),
                None => 1,
            };
            self.counters.datagram_packets_dropped.add(dropped);
            packets += 1;
        }
        self.counters.datagram_packets_sent.add(packets);
    }
}

impl Flow {
    /// For the answer of the call.
    pub(crate) fn stream_mut(&mut self) -> &mut LinkStream {
        &mut self.stream
    }

    /// Sends a datagram, which may be lost; one of more than 65,527 bytes is.
    pub fn send(&self, datagram: &[u8]) {
        self.channel.send(self.stream.id(), datagram);
    }

    /// The next datagram that comes.
    ///
    /// # Errors
    /// The flow has ended.
    pub async fn receive(&self) -> Result<Vec<u8>, FlowEnd> {
        poll_fn(|context| {
            if let Some(datagram) = self.inbox.waiting.borrow_mut().pop() {
                return Poll::Ready(Ok(datagram));
            }
            if self.inbox.is_lost.get() {
                return Poll::Ready(Err(FlowEnd::Lost));
            }
            if self.stream.poll_failure(context).is_ready() || self.stream.has_ended() {
                return Poll::Ready(Err(FlowEnd::Closed));
            }
            crate::wait(&mut self.inbox.taker.borrow_mut(), context);
            Poll::Pending
        })
        .await
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.channel.flows.borrow_mut().remove(&self.stream.id());
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flow").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channel").field("flows", &self.flows.borrow().len()).finish_non_exhaustive()
    }
}
