//! The flow of one client here: an edge that has the service, another one when that is gone, and datagrams both ways.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use overlay::datagram::{Flow, FlowEnd};
use overlay::tunnel::CallError;
use overlay_wire::call::{Call, Outcome, Transport};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::flows::{FlowPlace, Key};
use super::rest::Rest;
use super::sockets::Bound;
use super::tables::DatagramService;
use super::{CLASS, IDLE};
use crate::edge::node::EdgeNode;
use crate::worker::Worker;

/// What all flows of a socket have in common.
pub(super) struct Listener {
    pub(super) worker: Rc<Worker>,
    pub(super) edge: Rc<EdgeNode>,
    pub(super) service: DatagramService,
    pub(super) bound: Bound,
}

/// Why datagrams go to and fro no longer.
enum End {
    /// Nothing was sent for too long, or others need the place.
    Done,
    /// The other edge does not have the service any more, or has ended it although datagrams had come from there.
    Closed,
    /// The other edge has ended it before any datagram came from there: nobody listens, as far as it knows.
    Unanswered,
    /// The other edge cannot be reached.
    Lost,
}

/// Serves a client until it is silent for too long.
pub(super) async fn serve(listener: Rc<Listener>, key: Key, place: FlowPlace) {
    let edge = &listener.edge;
    let counters = edge.counters();
    counters.datagram_flows_total.increment();
    let _active = counters.datagram_flows_active.hold();
    let (mut before, mut rest) = (None::<Arc<str>>, Rest::default());
    // What comes opens a flow of the overlay, and nothing else does.
    while timeout_at(place.inbox.last_used() + IDLE, place.inbox.ready()).await.unwrap_or(false) {
        let Some((provider, flow)) = connect(&listener).await else {
            counters.datagram_flows_failed.increment();
            break;
        };
        let _load = edge.datagrams.choice.hold(&provider);
        if before.as_ref().is_some_and(|before| *before != provider) {
            counters.datagram_flows_moved.increment();
        }
        let began = Instant::now();
        let end = relay(&listener, key, &place, &flow, &provider).await;
        counters.datagram_dropped.add(place.inbox.take_dropped());
        drop(flow);
        match end {
            End::Done => break,
            End::Closed => {}
            End::Unanswered => {
                counters.datagram_flows_failed.increment();
                listener.complain(&format!("{provider} has nobody who answers"));
                edge.datagrams.choice.leave_out(&provider, &listener.service);
            }
            End::Lost => edge.datagrams.choice.leave_out(&provider, &listener.service),
        }
        if !rest.after(began, &place.inbox, &edge.datagrams.flows).await {
            break;
        }
        before = Some(provider);
    }
    counters.datagram_dropped.add(place.inbox.take_dropped());
}

/// A flow to the best edge that takes one.
async fn connect(listener: &Listener) -> Option<(Arc<str>, Flow)> {
    let Listener { edge, service, .. } = listener;
    let (mut tried, mut why) = (Vec::new(), "no edge has it".to_owned());
    loop {
        let providers = edge.tables.borrow().datagrams.providers(service);
        let Some(provider) = edge.datagrams.choice.best(service, &providers, &tried) else {
            listener.complain(&why);
            return None;
        };
        match open(edge, service, &provider).await {
            Ok(flow) => return Some((provider, flow)),
            Err(error) => {
                why = error.to_string();
                if says_that_it_is_away(&error) {
                    edge.datagrams.choice.leave_out(&provider, service);
                }
            }
        }
        tried.push(provider);
    }
}

/// An edge that has enough flows of ours serves those: the next one may find a place.
fn says_that_it_is_away(error: &CallError) -> bool {
    !matches!(error, CallError::Refused { outcome: Outcome::Overloaded, .. })
}

async fn open(edge: &EdgeNode, service: &DatagramService, provider: &str) -> Result<Flow, CallError> {
    let (host, port) = (service.host.to_string(), service.port);
    let call = Call { host, port, caller: edge.workload.to_string(), transport: Transport::Datagrams };
    edge.tunnels.open_flow(provider, CLASS, &call).await
}

async fn relay(listener: &Listener, key: Key, place: &FlowPlace, flow: &Flow, provider: &Arc<str>) -> End {
    let inbox = &place.inbox;
    let mut tables = listener.edge.tables.clone();
    let mut idle = pin!(sleep_until(inbox.last_used() + IDLE));
    let mut is_answered = false;
    loop {
        tokio::select! {
            datagram = inbox.next() => match datagram {
                Some(datagram) => flow.send(&datagram),
                None => return End::Done,
            },
            received = flow.receive() => match received {
                Ok(datagram) => {
                    inbox.use_now();
                    is_answered = true;
                    if let Err(error) = listener.bound.socket.send_to(&datagram, key.client).await {
                        tracing::debug!(client = %key.client, "a datagram is not sent: {error}");
                    }
                }
                Err(FlowEnd::Closed) if is_answered => return End::Closed,
                Err(FlowEnd::Closed) => return End::Unanswered,
                Err(FlowEnd::Lost) => return End::Lost,
            },
            () = &mut idle => {
                let due = inbox.last_used() + IDLE;
                if Instant::now() >= due {
                    return End::Done;
                }
                idle.as_mut().reset(due);
            }
            Ok(()) = tables.changed() => {
                let providers = tables.borrow_and_update().datagrams.providers(&listener.service);
                if providers.iter().all(|other| other.edge != *provider) {
                    return End::Closed;
                }
            }
        }
    }
}

impl Listener {
    /// Says once in a minute why a flow has come to nothing.
    fn complain(&self, why: &str) {
        if let Some(count) = self.edge.datagrams.nowhere.happened(self.worker.io.clock.now()) {
            let DatagramService { host, port, listen } = &self.service;
            tracing::warn!(host = &**host, port, %listen, count, "datagrams find no edge: {why}");
        }
    }

    /// Receives what clients send. Returns why it can do so no longer.
    pub(super) async fn receive(self: &Rc<Self>) -> io::Error {
        /// Then others get their turn.
        const TURN: usize = 64;
        loop {
            if let Err(error) = self.bound.socket.readable().await {
                return error;
            }
            for _ in 0..TURN {
                match self.take() {
                    Ok((datagram, client)) => self.pass_on(datagram, client),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return error,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(&self) -> io::Result<(Vec<u8>, std::net::SocketAddr)> {
        let mut room = self.edge.datagrams.room.borrow_mut();
        let (length, client) = self.bound.socket.try_recv_from(&mut room)?;
        Ok((room[..length].to_vec(), client))
    }

    fn pass_on(self: &Rc<Self>, datagram: Vec<u8>, client: std::net::SocketAddr) {
        let key = Key { listen: self.service.listen, client };
        let datagrams = &self.edge.datagrams;
        if let Some(inbox) = datagrams.flows.find(&key) {
            return inbox.push(datagram);
        }
        if !datagrams.flows.may_begin() {
            return self.edge.counters().datagram_dropped.increment();
        }
        let (place, displaced) = datagrams.flows.begin(key);
        if displaced {
            self.edge.counters().datagram_flows_displaced.increment();
        }
        place.inbox.push(datagram);
        datagrams.tasks.spawn(serve(self.clone(), key, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_has_enough_flows_is_not_left_out_for_all() {
        let refused = |outcome| CallError::Refused { outcome, reason: String::new() };
        assert!(!says_that_it_is_away(&refused(Outcome::Overloaded)));
        assert!(says_that_it_is_away(&refused(Outcome::Unreachable)));
        assert!(says_that_it_is_away(&CallError::Broke("gone".to_owned())));
    }
}
