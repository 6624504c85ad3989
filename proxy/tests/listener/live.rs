//! What a change of configuration does to connections that are open.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use xds_model::listener::{FilterChain, Listener};
use xds_model::tls::{DownstreamTls, TlsVersion};

use selvedge::drain::Phase;

use crate::kit::{
    Authority, Backend, Behaviour, ClientOptions, Edge, ONLY_TLS12, Options, TlsClient, certificate_secret, closes,
    cluster, connect, connect_tls, eventually, listener, passthrough, says, secret, server_tls, tcp_chain, trust, uri,
};

const HOST: &str = "shop.example.com";

/// A connection that was greeted by a backend.
async fn open(address: std::net::SocketAddr, greeting: &str) -> TcpStream {
    let mut client = connect(address).await;
    says(&mut client, greeting.as_bytes()).await;
    client
}

async fn open_tls(address: std::net::SocketAddr, options: &ClientOptions<'_>) -> TlsClient {
    let mut client = connect_tls(address, HOST, options).await.unwrap();
    says(&mut client, b"b\n").await;
    client
}

async fn still_works(client: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) {
    client.write_all(b"still there?").await.unwrap();
    client.flush().await.unwrap();
    says(client, b"still there?").await;
}

/// Waits until every worker uses what was sent last: new connections reach the backend that greets like this.
async fn in_force(address: std::net::SocketAddr, greeting: &str) {
    let mut in_a_row = 0;
    eventually("the change is in force", async || {
        let mut client = connect(address).await;
        let mut received = vec![0; greeting.len()];
        let new = client.read_exact(&mut received).await.is_ok() && received == greeting.as_bytes();
        in_a_row = if new { in_a_row + 1 } else { 0 };
        in_a_row == 20
    })
    .await;
}

fn terminating(tls: DownstreamTls) -> FilterChain {
    let mut chain = passthrough(&[HOST], "b");
    chain.tls = Some(tls);
    chain
}

#[tokio::test]
async fn a_stream_outlives_changes_of_its_chain_cluster_and_endpoints() {
    let edge = Edge::start(2);
    let (old, new) =
        (Backend::start("old", Behaviour::GreetAndEcho).await, Backend::start("new", Behaviour::GreetAndEcho).await);
    edge.cluster(cluster("old", &[old.address])).await;
    edge.cluster(cluster("new", &[new.address])).await;
    let mut model = listener("tcp", vec![tcp_chain("old")]);
    let address = edge.listener(model.clone()).await;
    let mut stream = open(address, "old\n").await;

    model.filter_chains = vec![tcp_chain("new")];
    edge.listener(model.clone()).await;
    in_force(address, "new\n").await;
    still_works(&mut stream).await;

    edge.cluster(cluster("new", &[old.address])).await;
    in_force(address, "old\n").await;
    still_works(&mut stream).await;

    // The chain that admitted it is gone, another of the same kind takes its connections.
    model.filter_chains = vec![passthrough(&["other.example.com"], "old")];
    model.default_filter_chain = Some(tcp_chain("new"));
    model.tls_inspector = false;
    edge.listener(model).await;
    in_force(address, "old\n").await;
    still_works(&mut stream).await;
    assert_eq!(edge.count("downstream_cx_drained"), 0);
    edge.stop().await;
}

/// A TLS listener with live connections: one without a certificate, one with ours, one with one of another authority.
struct Secured {
    edge: Edge,
    _backend: Backend,
    ours: Authority,
    model: Listener,
    address: std::net::SocketAddr,
    anonymous: TlsClient,
    known: TlsClient,
    foreign: TlsClient,
}

impl Secured {
    /// Both authorities are trusted; a certificate is optional.
    async fn start() -> Self {
        let edge = Edge::start(2);
        let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
        edge.cluster(cluster("b", &[backend.address])).await;
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        edge.secret(certificate_secret("server", &ours.server(HOST))).await;
        edge.secret(secret("both", ours.pem() + &theirs.pem())).await;
        edge.secret(secret("ours", ours.pem())).await;
        let model = listener("tls", vec![terminating(Self::tls("both", false))]);
        let address = edge.listener(model.clone()).await;
        let (mine, other) = (ours.issue(vec![uri("spiffe://a/b")]), theirs.issue(vec![uri("spiffe://c/d")]));
        let anonymous = open_tls(address, &ours.client()).await;
        let known = open_tls(address, &ClientOptions { shows: Some(&mine), ..ours.client() }).await;
        let foreign = open_tls(address, &ClientOptions { shows: Some(&other), ..ours.client() }).await;
        Self { edge, _backend: backend, ours, model, address, anonymous, known, foreign }
    }

    fn tls(authority: &str, required: bool) -> DownstreamTls {
        DownstreamTls {
            validation: Some(trust(authority)),
            require_client_certificate: required,
            ..server_tls("server")
        }
    }

    async fn change(&mut self, tls: DownstreamTls) {
        self.model.filter_chains = vec![terminating(tls)];
        self.edge.listener(self.model.clone()).await;
    }

    fn closed(&self) -> u64 {
        self.edge.count("downstream_cx_closed_by_stricter_tls")
    }
}

#[tokio::test]
async fn a_new_certificate_or_looser_tls_closes_nothing() {
    let mut secured = Secured::start().await;
    let renewed = secured.ours.server(HOST);
    secured.edge.secret(certificate_secret("server", &renewed)).await;
    secured.change(DownstreamTls { alpn: vec!["http/1.1".to_owned()], ..Secured::tls("both", false) }).await;
    secured.change(server_tls("server")).await;
    // Nobody is asked for a certificate any more once the change is in force.
    let anonymous_before = secured.edge.count("ssl.no_certificate");
    let shown = secured.ours.issue(vec![uri("spiffe://a/b")]);
    let mut asked = ClientOptions { shows: Some(&shown), ..secured.ours.client() };
    asked.offers = &["http/1.1"];
    eventually("the change is in force", async || {
        drop(open_tls(secured.address, &asked).await);
        secured.edge.count("ssl.no_certificate") >= anonymous_before + 10
    })
    .await;
    for client in [&mut secured.anonymous, &mut secured.known, &mut secured.foreign] {
        still_works(client).await;
    }
    assert_eq!((secured.closed(), secured.edge.count("downstream_cx_drained")), (0, 0));
    secured.edge.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_required_now_closes_those_without_one() {
    let mut secured = Secured::start().await;
    secured.change(Secured::tls("both", true)).await;
    closes(&mut secured.anonymous).await;
    still_works(&mut secured.known).await;
    still_works(&mut secured.foreign).await;
    assert_eq!((secured.closed(), secured.edge.count("downstream_cx_drained")), (1, 0));
    secured.edge.stop().await;
}

#[tokio::test]
async fn a_handshake_that_spans_the_change_does_not_slip_through() {
    let mut secured = Secured::start().await;
    let mut session = rustls::ClientConnection::new(secured.ours.client().config(), HOST.try_into().unwrap()).unwrap();
    let mut socket = connect(secured.address).await.into_std().unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    session.write_tls(&mut socket).unwrap();
    eventually("its chain is chosen", async || secured.edge.count("downstream_cx_active") == 4).await;
    secured.change(Secured::tls("both", true)).await;
    closes(&mut secured.anonymous).await;
    still_works(&mut secured.known).await;
    eventually("every worker has heard of it", async || {
        let mut late = connect_tls(secured.address, HOST, &secured.ours.client()).await.unwrap();
        closes(&mut late).await.is_empty() && secured.edge.count("ssl.fail_verify_no_cert") >= 20
    })
    .await;
    tokio::task::spawn_blocking(move || {
        // The server may have closed before all was said.
        drop(session.complete_io(&mut socket));
        drop(std::io::Read::read_to_end(&mut rustls::Stream::new(&mut session, &mut socket), &mut Vec::new()));
    })
    .await
    .unwrap();
    assert_eq!(secured.closed(), 2);
    secured.edge.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_any_more_closes_its_clients() {
    let mut secured = Secured::start().await;
    secured.change(Secured::tls("ours", false)).await;
    closes(&mut secured.foreign).await;
    still_works(&mut secured.known).await;
    still_works(&mut secured.anonymous).await;
    assert_eq!(secured.closed(), 1);
    // The same by a change of the secret alone.
    secured.edge.secret(secret("ours", Authority::new("new").pem())).await;
    closes(&mut secured.known).await;
    still_works(&mut secured.anonymous).await;
    assert_eq!(secured.closed(), 2);
    secured.edge.stop().await;
}

#[tokio::test]
async fn a_higher_minimum_version_closes_older_connections() {
    let mut secured = Secured::start().await;
    let options = ClientOptions { versions: ONLY_TLS12, ..secured.ours.client() };
    let mut old = open_tls(secured.address, &options).await;
    let mut tls = Secured::tls("both", false);
    tls.parameters.minimum = Some(TlsVersion::V1_3);
    secured.change(tls).await;
    closes(&mut old).await;
    for client in [&mut secured.anonymous, &mut secured.known, &mut secured.foreign] {
        still_works(client).await;
    }
    secured.edge.stop().await;
}

#[tokio::test]
async fn a_chain_that_is_gone_drains_its_connections_alone() {
    let edge = Edge::with(Options { drain: Duration::from_millis(200), ..Options::default() });
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let authority = Authority::new("ours");
    edge.secret(certificate_secret("server", &authority.server(HOST))).await;
    let mut clear = tcp_chain("b");
    clear.matches.transport_protocol = Some(xds_model::listener::TransportProtocol::RawBuffer);
    let mut model = listener("both", vec![terminating(server_tls("server")), clear]);
    let address = edge.listener(model.clone()).await;
    let mut secure = open_tls(address, &authority.client()).await;
    let mut plain = connect(address).await;
    plain.write_all(b"hello").await.unwrap();
    says(&mut plain, b"b\nhello").await;

    model.filter_chains.remove(0);
    edge.listener(model).await;
    closes(&mut secure).await; // at the end of its drain
    still_works(&mut plain).await;
    assert_eq!(edge.count("downstream_cx_drained"), 1);
    edge.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_removed_refuses_at_once_and_closes_at_the_deadline() {
    let edge = Edge::with(Options { drain: Duration::from_millis(500), ..Options::default() });
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let model = listener("tcp", vec![tcp_chain("b")]);
    let address = edge.listener(model.clone()).await;
    let mut stream = open(address, "b\n").await;
    edge.remove_listener("tcp").await;
    eventually("connecting is refused", async || TcpStream::connect(address).await.is_err()).await;
    closes(&mut stream).await;
    eventually("nothing is open", async || edge.workers.active_connections() == 0).await;
    // It may come back.
    let address = edge.listener(model).await;
    drop(open(address, "b\n").await);
    edge.stop().await;
}

#[tokio::test]
async fn a_listener_that_moves_keeps_its_connections() {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let mut model = listener("tcp", vec![tcp_chain("b")]);
    let before = edge.listener(model.clone()).await;
    let mut stream = open(before, "b\n").await;
    model.address = listener("elsewhere", Vec::new()).address;
    let after = edge.listener(model).await;
    drop(open(after, "b\n").await);
    eventually("the old address refuses", async || TcpStream::connect(before).await.is_err()).await;
    still_works(&mut stream).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_draining_process_accepts_until_it_closes() {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("b")])).await;
    let mut stream = open(address, "b\n").await;
    edge.drain.advance(Phase::Draining);
    edge.counts("downstream_cx_drained", 1).await;
    drop(open(address, "b\n").await);
    edge.drain.advance(Phase::Closing);
    eventually("connecting is refused", async || TcpStream::connect(address).await.is_err()).await;
    still_works(&mut stream).await;
    eventually("the other one has closed", async || edge.workers.active_connections() == 1).await;
    still_works(&mut stream).await;
    edge.stop().await;
    closes(&mut stream).await;
}

#[tokio::test]
async fn clients_are_asked_to_leave_however_short_the_drain_is() {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("b")])).await;
    let mut stream = open(address, "b\n").await;
    // Workers seldom see the first of them.
    edge.drain.advance(Phase::Draining);
    edge.drain.advance(Phase::Closing);
    edge.counts("downstream_cx_drained", 1).await;
    still_works(&mut stream).await;
    edge.stop().await;
}
