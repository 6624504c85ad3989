//! Tunnels: what two edges say to each other, unseen by the hubs between them.
//!
//! A tunnel is a [stream](crate::stream) with TLS inside, and in that a [link](crate::link) of its own: each connection of an application is a stream of
//! it, and each [flow](crate::datagram) of datagrams has one. Tunnels are kept per edge and class of traffic, opened when they are first needed, and ended
//! when nobody has used them for some minutes.

mod error;
mod incoming;
mod kept;
mod leaving;
mod opened;
mod silent;

use std::rc::Rc;
use std::time::Duration;

use overlay_wire::call::{Call, Outcome};
use overlay_wire::mux::{Limits, Side};
use rustls::pki_types::ServerName;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use self::error::CallError;
use self::error::TunnelError;
pub use self::incoming::Incoming;
use self::incoming::take_call;
use self::kept::{Attempt, Kept, Key};
use self::leaving::{Leaving, TAKEN_OVER};
use self::opened::Tunnel;
use self::silent::Silent;
use crate::datagram::{Channel, Flow, Seals};
use crate::identity::{Current, IdentityError, TUNNEL_PROTOCOL};
use crate::link::{Driver, Link, LinkStream, Served, Timing, code};
use crate::node::{Node, Peer, Tally, count};
use crate::strangers::{Seldom, quoted};
use crate::stream::OverlayStream;
use crate::uplink::{NOT_USED, REVOKED};

/// Time for the handshake of a tunnel, the way to the other edge included.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for a call to be made.
const CALL: Duration = Duration::from_secs(10);
/// Calls of other edges that nobody has taken yet.
const MOST_WAITING: usize = 256;
/// Calls of one edge that have not said yet what they are for.
const MOST_BEGINNINGS: usize = 512;
/// A tunnel sits on a stream that is given up by itself: it need not ask often.
const TIMING: Timing = Timing {
    ping_every: Duration::from_secs(10),
    busy_ping_every: Duration::from_secs(1),
    suspect_after: Duration::from_secs(3),
    silence: Duration::from_secs(60),
    stuck: Duration::from_secs(90),
};

/// The tunnels of a node.
#[derive(Debug)]
pub struct Tunnels {
    node: Rc<Node>,
    identity: Current,
    kept: Kept,
    silent: Silent,
    leaving: Leaving,
    calls: mpsc::Sender<Incoming>,
    refusals: Seldom,
    /// Streams of other edges that have not said yet what is called.
    beginnings_of: Rc<Tally<Peer>>,
}

impl Tunnels {
    /// Takes the streams that other edges open to a node; calls that come over them are to be taken from the channel. Tunnels are opened and accepted
    /// with the identity of the time. The future takes the streams, and must be run on the thread of the node.
    pub fn new(
        node: Rc<Node>,
        identity: Current,
    ) -> (Rc<Self>, mpsc::Receiver<Incoming>, impl Future<Output = ()> + use<>) {
        let (calls, incoming_calls) = mpsc::channel(MOST_WAITING);
        let incoming = node.incoming();
        let tunnels = Rc::new(Self {
            node,
            identity,
            kept: Kept::default(),
            silent: Silent::default(),
            leaving: Leaving::default(),
            calls,
            refusals: Seldom::default(),
            beginnings_of: Rc::default(),
        });
        let taker = tunnels.clone();
        let run = async move {
            let Some(mut incoming) = incoming else { return std::future::pending().await };
            while let Some(stream) = incoming.recv().await {
                spawn_local(taker.clone().accept(stream));
            }
        };
        (tunnels, incoming_calls, run)
    }

    /// Connects to a service of another edge.
    ///
    /// # Errors
    /// There is no tunnel, or the other edge refuses.
    pub async fn connect(self: &Rc<Self>, edge: &str, class: u8, call: &Call) -> Result<LinkStream, CallError> {
        self.call(edge, class, call).await.map(|(_, stream)| stream)
    }

    /// Opens a flow of datagrams to a service of another edge.
    ///
    /// # Errors
    /// There is no tunnel, or the other edge refuses.
    pub async fn open_flow(self: &Rc<Self>, edge: &str, class: u8, call: &Call) -> Result<Flow, CallError> {
        let (tunnel, stream) = self.call(edge, class, call).await?;
        Ok(tunnel.datagrams.flow(stream))
    }

    /// Returns when calls to an edge have a way there: its tunnel is opened if there is none. However many wait, they wait for one.
    ///
    /// # Errors
    /// There is no tunnel.
    pub async fn reach(self: &Rc<Self>, edge: &str, class: u8) -> Result<(), CallError> {
        let Tunnel { way, .. } = self.tunnel(edge, class).await?;
        if way.is_there().await {
            return Ok(());
        }
        self.silent.add(edge);
        Err(CallError::away(edge))
    }

    /// Asks other edges to make their calls to another process of this edge. Those that are there go on, at most until `deadline`, and each tunnel
    /// that another edge has opened ends with the last of them.
    pub fn leave(&self, deadline: Instant) {
        self.leaving.begin(deadline);
    }

    async fn call(self: &Rc<Self>, edge: &str, class: u8, call: &Call) -> Result<(Tunnel, LinkStream), CallError> {
        let tunnel = self.tunnel(edge, class).await?;
        let answered = tunnel.call(edge, call).await;
        match &answered {
            Err(CallError::Away { .. }) => self.silent.add(edge),
            // Else it is the service that takes long.
            Err(CallError::Timeout(_)) if tunnel.link.is_suspect() => self.silent.add(edge),
            _ => {}
        }
        Ok((tunnel, answered?))
    }

    /// The tunnel to an edge, which is opened if there is none, or none with room, or a way without a hub has come up: calls stay in the tunnel that they began in. Where others have just waited in vain nobody waits: the one attempt that goes on meanwhile,
    /// or the tunnel's own ping, finds out when the edge answers again.
    async fn tunnel(self: &Rc<Self>, edge: &str, class: u8) -> Result<Tunnel, CallError> {
        let key = (edge.to_owned(), class);
        let has_direct = self.node.has_direct(edge);
        let known = self.kept.choose(&key, |tunnel| !has_direct || self.node.is_direct(tunnel.way.link()));
        let mut attempt = known.unwrap_or_else(|| self.begin(key));
        if self.silent.contains(edge) && is_in_doubt(&attempt) {
            self.silent.add(edge);
            count(&self.node.counters().calls_to_silent);
            return Err(CallError::Silent { edge: edge.into() });
        }
        let opened = attempt.wait_for(Option::is_some).await.map(|result| result.clone());
        let no_tunnel = |reason: &str| CallError::Tunnel { edge: edge.into(), reason: reason.into() };
        opened.map_err(|_| no_tunnel("given up"))?.ok_or_else(|| no_tunnel("given up"))?
    }

    fn begin(self: &Rc<Self>, key: Key) -> Attempt {
        let (outcome, attempt) = watch::channel(None);
        self.kept.add(key.clone(), attempt.clone());
        let (tunnels, kept) = (self.clone(), attempt.clone());
        spawn_local(async move {
            let opened =
                timeout(HANDSHAKE, tunnels.open(&key.0, key.1)).await.unwrap_or(Err(CallError::Timeout(HANDSHAKE)));
            let tunnel = opened.clone().ok();
            match &opened {
                Err(CallError::Away { .. } | CallError::Timeout(_)) => tunnels.silent.add(&key.0),
                _ => tunnels.silent.heard(&key.0),
            }
            outcome.send_replace(Some(opened));
            if let Some(Tunnel { link, .. }) = &tunnel {
                kept::is_unused(link).await;
            }
            tunnels.kept.remove(&key, &kept);
            // Nobody can find it any more, and nobody has a stream of it.
            if let Some(Tunnel { link, .. }) = tunnel {
                link.close(code::DONE, NOT_USED);
            }
        });
        attempt
    }

    async fn open(self: &Rc<Self>, edge: &str, class: u8) -> Result<Tunnel, CallError> {
        let no_tunnel = |reason: String| CallError::Tunnel { edge: edge.into(), reason };
        let identity = self.identity.borrow().clone();
        let Peer::Edge { tenant, .. } = identity.peer().clone() else {
            return Err(no_tunnel("a hub has none".into()));
        };
        let config = identity.client(TUNNEL_PROTOCOL).map_err(|error| no_tunnel(error.to_string()))?;
        // The name is not what is verified: it is in the certificate, and looked at below.
        let name = ServerName::try_from("edge").map_err(|error| no_tunnel(error.to_string()))?;
        let stream = self.node.open(edge, &tenant, class);
        let (way, beside) = (stream.way(), stream.datagrams());
        let tls = tokio::select! {
            tls = TlsConnector::from(config).connect(name, stream) => tls.map_err(|error| no_tunnel(error.to_string()))?,
            () = way.lost() => return Err(CallError::away(edge)),
        };
        let peer =
            identity.peer_of(tls.get_ref().1.peer_certificates()).map_err(|error| no_tunnel(error.to_string()))?;
        if peer != (Peer::Edge { name: edge.into(), tenant }) {
            return Err(no_tunnel(format!("{peer} answered")));
        }
        let seals = Seals::of(tls.get_ref().1, Side::Dialled).map_err(|error| no_tunnel(error.to_string()))?;
        let datagrams = Channel::new(beside, way.clone(), seals, self.node.counters().clone());
        let (link, driver) = Driver::new(tls, Side::Dialled, Limits::default(), Vec::new(), TIMING);
        spawn_local(driver.run());
        spawn_local(self.clone().serve(peer, link.clone(), datagrams.clone()));
        Ok(Tunnel { link, way, datagrams })
    }

    async fn accept(self: Rc<Self>, stream: OverlayStream) {
        let from = stream.route().to;
        let secured = timeout(HANDSHAKE, self.secure(stream)).await;
        let problem = match secured {
            Ok(Ok((peer, link, datagrams))) => {
                self.silent.heard(peer.name());
                count(&self.node.counters().tunnels_accepted);
                tokio::join!(self.clone().serve(peer, link.clone(), datagrams), self.leaving.see_off(&link));
                return count(&self.node.counters().tunnels_ended);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no handshake in {HANDSHAKE:?}"),
        };
        count(&self.node.counters().tunnels_refused);
        if let Some(left_out) = self.refusals.happened() {
            tracing::warn!(edge = from, left_out, "a tunnel is refused: {}", quoted(&problem));
        }
    }

    async fn secure(&self, stream: OverlayStream) -> Result<(Peer, Link, Rc<Channel>), TunnelError> {
        let claimed = stream.route();
        let (way, beside) = (stream.way(), stream.datagrams());
        let identity = self.identity.borrow().clone();
        let config = identity.server(TUNNEL_PROTOCOL)?;
        let tls = TlsAcceptor::from(config).accept(stream).await?;
        let peer = identity.peer_of(tls.get_ref().1.peer_certificates())?;
        match (&peer, identity.peer()) {
            (Peer::Edge { name, tenant }, Peer::Edge { tenant: ours, .. }) if *name == claimed.to && tenant == ours => {
            }
            _ => return Err(TunnelError::Other(peer)),
        }
        let seals = Seals::of(tls.get_ref().1, Side::Accepted).map_err(IdentityError::Tls)?;
        let datagrams = Channel::new(beside, way, seals, self.node.counters().clone());
        let (link, driver) = Driver::new(tls, Side::Accepted, Limits::default(), Vec::new(), TIMING);
        spawn_local(driver.run());
        Ok((peer, link, datagrams))
    }

    /// Takes calls from the other edge for as long as the tunnel lives, or until that edge is let in no longer.
    async fn serve(self: Rc<Self>, peer: Peer, link: Link, datagrams: Rc<Channel>) {
        let trust = self.identity.borrow().trust().clone();
        let _served = Served(link.clone());
        tokio::select! {
            () = self.take_calls(&peer, &link, &datagrams) => {}
            () = datagrams.run() => {}
            () = trust.denied(&peer) => link.close(code::FORBIDDEN, REVOKED),
            () = self.leaving.is_over() => link.close(code::GOING_AWAY, TAKEN_OVER),
        }
    }

    async fn take_calls(self: &Rc<Self>, peer: &Peer, link: &Link, datagrams: &Rc<Channel>) {
        while let Some(stream) = link.accept().await {
            self.silent.heard(peer.name());
            let Some(beginning) = self.beginnings_of.take(peer.clone(), MOST_BEGINNINGS) else {
                count(&self.node.counters().calls_refused);
                stream.reset(code::OVERLOADED);
                continue;
            };
            let (tunnels, peer, datagrams) = (self.clone(), peer.clone(), datagrams.clone());
            spawn_local(async move {
                let taken = timeout(CALL, take_call(stream)).await;
                drop(beginning);
                match taken {
                    Ok(Ok((call, stream))) => tunnels.take(Incoming { peer, call, stream, datagrams }).await,
                    Ok(Err(error)) => tracing::debug!(edge = peer.name(), "not a call: {error}"),
                    Err(_) => tracing::debug!(edge = peer.name(), "no call came"),
                }
            });
        }
    }

    async fn take(&self, incoming: Incoming) {
        if let Err(error) = self.calls.try_send(incoming) {
            let (mpsc::error::TrySendError::Full(incoming) | mpsc::error::TrySendError::Closed(incoming)) = error;
            count(&self.node.counters().calls_refused);
            let _ = incoming.answer(Outcome::Overloaded, "too many calls wait").await;
        }
    }
}

/// Whether nothing says that the edge answers.
fn is_in_doubt(attempt: &Attempt) -> bool {
    match &*attempt.borrow() {
        None => true,
        Some(Ok(tunnel)) => tunnel.link.is_suspect(),
        Some(Err(_)) => false,
    }
}
