//! Opening connections to endpoints.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use balance::Endpoint;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpSocket;
use xds_model::cluster as model;
use xds_model::endpoint::EndpointAddress;

use crate::config::snapshot::ClientTransport;
use crate::edge::Way;
use crate::io::Stream;
use crate::tls::ClientTls;
use crate::worker::Core;
use crate::worker::timer::Alarm;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The request's authority, for clusters whose TLS depends on it.
    pub host: &'a [u8],
    /// What to offer by ALPN instead of the transport's own list.
    pub protocols: Option<&'a [Vec<u8>]>,
    /// The version of HTTP.
    pub http: Http,
    /// The request switches protocols.
    pub is_upgrade: bool,
    /// The client of another edge's service, as that edge is told; `None` for this gateway.
    pub caller: Option<&'a str>,
}

/// Which version of HTTP a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    Version1,
    /// HTTP/2.
    Version2,
    /// Which of them, ALPN decides.
    Negotiated,
    /// Other protocols.
    None,
}

impl Http {
    /// Whether requests may share a connection.
    pub(super) fn may_be_shared(self) -> bool {
        matches!(self, Self::Version2 | Self::Negotiated)
    }

    /// Whether a connection that carries one request at a time will do.
    pub(super) fn may_be_exclusive(self) -> bool {
        matches!(self, Self::Version1 | Self::Negotiated)
    }

    /// What to offer by ALPN where there is no list at all, as Envoy does.
    fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::Version1 => &[b"http/1.1"],
            Self::Version2 => &[b"h2"],
            Self::Negotiated => &[b"h2", b"http/1.1"],
            Self::None => &[],
        }
    }
}

impl Wanted<'_> {
    /// The host without its port. Asked only where TLS depends on it: most connections are clear.
    pub(super) fn server_name(&self) -> &[u8] {
        let colon = self.host.iter().rposition(|byte| *byte == b':');
        match colon {
            // The colons of an IPv6 address in brackets do not count.
            Some(colon) if !self.host.get(colon..).is_some_and(|rest| rest.contains(&b']')) => {
                self.host.get(..colon).unwrap_or(self.host)
            }
            _ => self.host,
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connected {
    /// The connection, its TLS handshake done.
    pub stream: Stream,
    /// Our side.
    pub local: Option<SocketAddr>,
    /// The other side.
    pub remote: SocketAddr,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Neither side answered in time, for this reason; empty when there is nothing to add, as with Envoy.
    Timeout(String),
    /// The other side, or the network, refused it, for this reason.
    Refused(String),
}

impl ConnectFailure {
    /// The reason in words; empty when there is nothing to add.
    pub fn reason(&self) -> &str {
        match self {
            Self::Timeout(reason) | Self::Refused(reason) => reason,
        }
    }
}

/// Connects within the cluster's `connect_timeout`, TLS handshake included.
pub(super) async fn connect(
    core: &Rc<Core>,
    cluster: &model::Cluster,
    endpoint: &Endpoint,
    transport: &ClientTransport,
    wanted: &Wanted<'_>,
) -> Result<Connected, ConnectFailure> {
    let alarm = Alarm::new(&core.timers);
    alarm.set_after(Some(cluster.connect_timeout));
    let result = alarm.limit(open(core, cluster, endpoint, transport, wanted)).await;
    core.io.clock.invalidate();
    result.unwrap_or_else(|| Err(ConnectFailure::Timeout(overdue(way(core, endpoint), cluster.connect_timeout))))
}

/// Which edge has not answered, if it is one.
fn overdue(way: Option<Way>, limit: Duration) -> String {
    match way {
        Some(Way::Edge(destination)) => format!("edge {}: no answer within {limit:?}", destination.edge),
        Some(Way::Nobody) | None => String::new(),
    }
}

/// Where an endpoint leads that stands for another edge.
fn way(core: &Core, endpoint: &Endpoint) -> Option<Way> {
    let EndpointAddress::Socket(address) = endpoint.address else { return None };
    core.edge.get()?.way(address)
}

async fn open(
    core: &Rc<Core>,
    cluster: &model::Cluster,
    endpoint: &Endpoint,
    transport: &ClientTransport,
    wanted: &Wanted<'_>,
) -> Result<Connected, ConnectFailure> {
    if let Some(connected) = open_overlay(core, endpoint, wanted).await {
        return connected;
    }
    let mut connected = open_any(core, cluster, endpoint).await?;
    match transport {
        ClientTransport::Raw => {}
        ClientTransport::Waiting(secret) => {
            return Err(ConnectFailure::Refused(format!("TLS_error: secret {secret} is not supplied")));
        }
        ClientTransport::Tls(tls) => secure(&mut connected.stream, tls, wanted).await?,
    }
    Ok(connected)
}

/// Over the overlay, if the endpoint stands for another edge. There is TLS with that edge already.
async fn open_overlay(
    core: &Rc<Core>,
    endpoint: &Endpoint,
    wanted: &Wanted<'_>,
) -> Option<Result<Connected, ConnectFailure>> {
    let edge = core.edge.get()?;
    let EndpointAddress::Socket(remote) = endpoint.address else { return None };
    let connected = match edge.way(remote)? {
        Way::Edge(destination) => {
            let connected = edge.connect(&destination, wanted.caller).await;
            connected.map_err(|error| format!("edge {}: {error}", destination.edge))
        }
        Way::Nobody => Err("no edge offers it any more".to_owned()),
    };
    let connected =
        connected.map(|stream| Connected { stream: Stream::overlay(stream, &core.io), local: None, remote });
    Some(connected.map_err(ConnectFailure::Refused))
}

/// Tries the endpoint's addresses in order.
async fn open_any(core: &Rc<Core>, cluster: &model::Cluster, endpoint: &Endpoint) -> Result<Connected, ConnectFailure> {
    let mut failure = ConnectFailure::Refused("the endpoint has no address".to_owned());
    for address in std::iter::once(&endpoint.address).chain(&endpoint.additional_addresses) {
        match address {
            EndpointAddress::Socket(address) => match open_tcp(core, cluster, *address).await {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = ConnectFailure::Refused(describe(&error)),
            },
            EndpointAddress::Name(name, _) => {
                failure = ConnectFailure::Refused(format!("the endpoint name {name} is not resolved"));
            }
            EndpointAddress::Unix(path) => {
                failure = ConnectFailure::Refused(format!("unix socket {path} is not supported"));
            }
        }
    }
    Err(failure)
}

async fn open_tcp(core: &Rc<Core>, cluster: &model::Cluster, address: SocketAddr) -> io::Result<Connected> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if let Some(keepalive) = &cluster.tcp_keepalive {
        SockRef::from(&socket).set_tcp_keepalive(&tcp_keepalive(keepalive))?;
    }
    let socket = socket.connect(address).await?;
    let local = socket.local_addr().ok();
    Ok(Connected { stream: Stream::new(socket, &core.io)?, local, remote: address })
}

fn tcp_keepalive(wanted: &model::TcpKeepalive) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new();
    if let Some(time) = wanted.time {
        keepalive = keepalive.with_time(time);
    }
    if let Some(interval) = wanted.interval {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(probes) = wanted.probes {
        keepalive = keepalive.with_retries(probes);
    }
    keepalive
}

async fn secure(stream: &mut Stream, tls: &ClientTls, wanted: &Wanted<'_>) -> Result<(), ConnectFailure> {
    let failed = |error: &dyn std::fmt::Display| ConnectFailure::Refused(format!("TLS_error: {error}"));
    let protocols = wanted.protocols.unwrap_or_else(|| tls.protocols());
    let mut offered: Vec<Vec<u8>> =
        protocols.iter().filter(|protocol| protocol.as_slice() != b"istio-peer-exchange").cloned().collect();
    if offered.is_empty() {
        offered.extend(wanted.http.protocols().iter().map(|protocol| protocol.to_vec()));
    }
    let session = tls.session(wanted.server_name(), offered).map_err(|error| failed(&error))?;
    stream.secure(session);
    stream.handshake().await.map_err(|error| failed(&error))
}

/// In Envoy's words, which people search logs for.
fn describe(error: &io::Error) -> String {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "Connection reset by peer".to_owned(),
        io::ErrorKind::HostUnreachable => "No route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "Network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "Connection timed out".to_owned(),
        _ => error.to_string(),
    };
    format!("delayed connect error: {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::Destination;

    #[test]
    fn an_edge_that_does_not_answer_in_time_is_named() {
        let destination = Destination { edge: "store-7".into(), host: "x.global".into(), port: 80 };
        let limit = Duration::from_millis(1500);
        assert_eq!(overdue(Some(Way::Edge(destination)), limit), "edge store-7: no answer within 1.5s");
        assert_eq!((overdue(Some(Way::Nobody), limit), overdue(None, limit)), (String::new(), String::new()));
    }
}
