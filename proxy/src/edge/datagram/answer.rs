//! A flow that another edge wants to have to a UDP service here: a socket towards one of its endpoints, which are taken in turn.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;

use overlay::datagram::Flow;
use overlay::node::Place;
use overlay::tunnel::Incoming;
use overlay_wire::call::{Call, Outcome};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::IDLE;
use crate::edge::answer::{Refusal, check_caller, not_offered};
use crate::edge::node::EdgeNode;
use crate::edge::shares::share;
use crate::edge::tables::NoCluster;
use crate::worker::Worker;

/// Flows of one edge that a worker serves at a time: each has a socket.
const MOST_OF_EDGE: usize = 1_024;

/// Serves a flow from its beginning to its end.
pub(in crate::edge) async fn answer(worker: Rc<Worker>, edge: Rc<EdgeNode>, incoming: Incoming) {
    let counters = edge.counters();
    counters.datagram_incoming_total.increment();
    let _active = counters.datagram_incoming_active.hold();
    let (from, call) = (incoming.peer.name().to_owned(), incoming.call.clone());
    match connect_to(&worker, &edge, &from, &call).await {
        Ok((_place, upstream)) => match incoming.open_flow().await {
            Ok(flow) => relay(&edge, &flow, upstream, || endpoints(&edge, &from, &call).ok()).await,
            Err(error) => tracing::debug!(edge = from, "is gone before it could be answered: {error}"),
        },
        Err(Refusal { outcome, reason }) => {
            let Call { host, port, .. } = call;
            tracing::debug!(edge = from, host, port, ?reason, "a flow of another edge: {outcome}");
            // Who is gone needs no answer.
            drop(incoming.answer(outcome, &reason).await);
        }
    }
}

/// The endpoint's side of a flow, and the place that the flow has among those of its edge.
async fn connect_to(
    worker: &Worker,
    edge: &EdgeNode,
    from: &str,
    call: &Call,
) -> Result<(Place<String>, Upstream), Refusal> {
    let Some(place) = edge.datagrams.incoming_of.take(from.to_owned(), share(edge.workers, MOST_OF_EDGE)) else {
        edge.counters().incoming_overloaded.increment();
        return Err(Refusal::new(Outcome::Overloaded, "too many flows of this edge"));
    };
    check_caller(worker, edge, from, call)?;
    let endpoints = endpoints(edge, from, call).map_err(|problem| not_offered(edge, problem))?;
    let upstream = Upstream::of_turn(edge, &endpoints).await.map_err(|error| {
        edge.counters().incoming_unreachable.increment();
        Refusal::new(Outcome::Unreachable, error.to_string())
    })?;
    Ok((place, upstream))
}

/// Who answers. What other edges have is theirs to ask for.
fn endpoints(edge: &EdgeNode, from: &str, call: &Call) -> Result<Vec<SocketAddr>, NoCluster> {
    let endpoints = edge.endpoints(from, &call.host, call.port)?;
    Ok(endpoints.iter().copied().filter(|address| edge.way(*address).is_none()).collect())
}

/// A socket, and the endpoint that it is connected to.
struct Upstream {
    socket: UdpSocket,
    endpoint: SocketAddr,
}

impl Upstream {
    /// To the endpoint whose turn it is.
    async fn of_turn(edge: &EdgeNode, endpoints: &[SocketAddr]) -> io::Result<Self> {
        let turn = edge.datagrams.turn.replace(edge.datagrams.turn.get().wrapping_add(1));
        Self::open(endpoints, turn).await
    }

    /// To the endpoint after this one: each of them is tried before this one is again.
    async fn next(&self, edge: &EdgeNode, endpoints: &[SocketAddr]) -> io::Result<Self> {
        match endpoints.iter().position(|endpoint| *endpoint == self.endpoint) {
            Some(at) => Self::open(endpoints, at + 1).await,
            None => Self::of_turn(edge, endpoints).await,
        }
    }

    /// To the endpoint at this place, or the next one that the system knows a way to.
    async fn open(endpoints: &[SocketAddr], turn: usize) -> io::Result<Self> {
        let mut failure = io::Error::other("no endpoint");
        for at in 0..endpoints.len() {
            let endpoint = endpoints[turn.wrapping_add(at) % endpoints.len()];
            match connect(endpoint).await {
                Ok(socket) => return Ok(Self { socket, endpoint }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn connect(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let any = if endpoint.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(endpoint).await?;
    Ok(socket)
}

/// Datagrams both ways, until there were none for too long or the flow ends. An endpoint that is gone, or says that nobody listens, is left for
/// the next one; where all of them say so the flow ends, and whoever has it finds another edge.
async fn relay(edge: &EdgeNode, flow: &Flow, mut upstream: Upstream, endpoints: impl Fn() -> Option<Vec<SocketAddr>>) {
    let mut tables = edge.tables.clone();
    let (mut last_used, mut refused_in_a_row) = (Instant::now(), 0);
    let mut idle = pin!(sleep_until(last_used + IDLE));
    loop {
        let moved = tokio::select! {
            received = flow.receive() => match received {
                Ok(datagram) => {
                    last_used = Instant::now();
                    upstream.socket.send(&datagram).await.map(drop)
                }
                Err(_) => return,
            },
            ready = upstream.socket.readable() => ready.and_then(|()| take(edge, &upstream.socket, flow)).map(|taken| {
                if taken > 0 {
                    (last_used, refused_in_a_row) = (Instant::now(), 0);
                }
            }),
            () = &mut idle => {
                if Instant::now() >= last_used + IDLE {
                    return;
                }
                idle.as_mut().reset(last_used + IDLE);
                Ok(())
            }
            Ok(()) = tables.changed() => match endpoints() {
                Some(known) if known.contains(&upstream.endpoint) => Ok(()),
                Some(_) => Err(io::ErrorKind::NotFound.into()),
                None => return,
            },
        };
        let Err(error) = moved else { continue };
        refused_in_a_row = match error.kind() {
            io::ErrorKind::ConnectionRefused => refused_in_a_row + 1,
            io::ErrorKind::NotFound => 0,
            _ => continue,
        };
        let known = endpoints().unwrap_or_default();
        // Connecting says nothing: a socket for UDP is connected to where nobody listens as well.
        let another = match refused_in_a_row >= known.len() {
            true => None,
            false => upstream.next(edge, &known).await.ok(),
        };
        match another {
            Some(another) => upstream = another,
            None => return edge.counters().incoming_unreachable.increment(),
        }
    }
}

/// Passes on what has come from the endpoint; how many datagrams.
fn take(edge: &EdgeNode, socket: &UdpSocket, flow: &Flow) -> io::Result<usize> {
    /// Then others get their turn.
    const TURN: usize = 64;
    let mut room = edge.datagrams.room.borrow_mut();
    for taken in 0..TURN {
        match socket.try_recv(&mut room) {
            Ok(length) => flow.send(&room[..length]),
            // What goes wrong after that does so again.
            Err(error) if taken > 0 || error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
            Err(error) => return Err(error),
        }
    }
    Ok(TURN)
}
