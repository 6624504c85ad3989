//! TLS 1.3 over TCP, as links use it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use overlay_wire::mux::{Limits, Side};
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

use crate::identity::{Identity, IdentityError, JOIN_PROTOCOL, LINK_PROTOCOL, RENEW_PROTOCOL};
use crate::link::{Driver, Link, Timing};
use crate::node::Peer;

/// Time for connecting, and for the handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for the first words of who has dialled.
const CLIENT_HELLO: Duration = Duration::from_secs(3);
/// Time for what it says to our answer.
const CLIENT_FINISHED: Duration = Duration::from_secs(3);
/// What the kernel may hold that is not under way yet: else a ping, or what is urgent, waits behind it.
const NOT_SENT: u32 = 128 * 1024;
/// Holds its rate on links that lose packets, where cubic falls to a fraction. If the kernel does not allow it, its default stays.
const CONGESTION_CONTROL: &[u8] = b"bbr";
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A link over TLS on TCP, and who is at its other end.
pub type Linked = (Peer, Link, Driver<TlsStream<TcpStream>>);

/// Why there is no link.
#[derive(Debug, Error)]
pub enum TransportError {
    /// Nothing listens there, or it cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The other side is not who it should be, or does not let us in.
    #[error("handshake: {0}")]
    Handshake(io::Error),
    /// Nothing came in time.
    #[error("no answer in {0:?}")]
    Timeout(Duration),
    /// Our own identity is of no use, or theirs cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It is another one than the one that is wanted.
    #[error("{0} answered, which is not what was dialled")]
    Other(Peer),
}

/// Dials a node, from a local address if one is given. Who answers must be one that `expects` accepts. The first words on the link are `hello`.
///
/// # Errors
/// As [`TransportError`] says.
pub async fn dial(
    identity: &Identity,
    address: SocketAddr,
    local: Option<IpAddr>,
    hello: Vec<u8>,
    expects: impl Fn(&Peer) -> bool,
) -> Result<Linked, TransportError> {
    let stream = within(connect(address, local)).await?.map_err(TransportError::Connect)?;
    let connector = TlsConnector::from(identity.client(LINK_PROTOCOL)?);
    // Certificates have URIs, which are looked at below. The name is sent for who stands between.
    let handshake = connector.connect(ServerName::IpAddress(address.ip().into()), stream);
    let tls = within(handshake).await?.map_err(TransportError::Handshake)?;
    let peer = identity.peer_of(tls.get_ref().1.peer_certificates())?;
    if !expects(&peer) {
        return Err(TransportError::Other(peer));
    }
    Ok(linked(peer, TlsStream::Client(tls), Side::Dialled, hello))
}

/// What somebody wants who has dialled.
#[derive(Debug)]
pub enum Accepted {
    /// A link.
    Link(Box<Linked>),
    /// A certificate: an edge that has none yet.
    Join(Box<TlsStream<TcpStream>>),
    /// Another certificate, for the one that it has shown.
    Renew(Peer, Box<TlsStream<TcpStream>>),
}

/// Takes a connection that somebody has dialled, and says when a ClientHello has come. If it becomes a link, the first words on it are `hello`. Unless this
/// node `enrols` others there are no certificates to be had.
///
/// # Errors
/// As [`TransportError`] says.
pub async fn accept(
    identity: &Identity,
    stream: TcpStream,
    hello: Vec<u8>,
    enrols: bool,
    heard: impl FnOnce(),
) -> Result<Accepted, TransportError> {
    prepare(&stream);
    let begun = timeout(CLIENT_HELLO, LazyConfigAcceptor::new(Acceptor::default(), stream));
    let begun = begun.await.map_err(|_| TransportError::Timeout(CLIENT_HELLO))?.map_err(TransportError::Handshake)?;
    heard();
    let offers =
        |protocol: &[u8]| begun.client_hello().alpn().is_some_and(|mut offered| offered.any(|one| one == protocol));
    let (wants_to_join, wants_to_renew) = (enrols && offers(JOIN_PROTOCOL), enrols && offers(RENEW_PROTOCOL));
    let config = match (wants_to_join, wants_to_renew) {
        (true, _) => identity.join_server()?,
        (false, true) => identity.server(RENEW_PROTOCOL)?,
        (false, false) => identity.server(LINK_PROTOCOL)?,
    };
    let finished = timeout(CLIENT_FINISHED, begun.into_stream(config));
    let tls =
        finished.await.map_err(|_| TransportError::Timeout(CLIENT_FINISHED))?.map_err(TransportError::Handshake)?;
    if wants_to_join {
        return Ok(Accepted::Join(Box::new(TlsStream::Server(tls))));
    }
    let peer = identity.peer_of(tls.get_ref().1.peer_certificates())?;
    if wants_to_renew {
        return Ok(Accepted::Renew(peer, Box::new(TlsStream::Server(tls))));
    }
    Ok(Accepted::Link(Box::new(linked(peer, TlsStream::Server(tls), Side::Accepted, hello))))
}

fn linked(peer: Peer, stream: TlsStream<TcpStream>, side: Side, hello: Vec<u8>) -> Linked {
    let (link, driver) = Driver::new(stream, side, Limits::default(), hello, Timing::default());
    (peer, link, driver)
}

async fn within<T>(what: impl Future<Output = T>) -> Result<T, TransportError> {
    timeout(CONNECT, what).await.map_err(|_| TransportError::Timeout(CONNECT))
}

async fn connect(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(address).await?;
    prepare(&stream);
    Ok(stream)
}

/// Where the kernel refuses one of these the link works all the same.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = stream.set_nodelay(true);
    let _ = socket.set_tcp_notsent_lowat(NOT_SENT);
    let _ = socket.set_tcp_congestion(CONGESTION_CONTROL);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE));
}
