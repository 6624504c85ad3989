//! Endpoints behind TLS: ALPN decides their protocol, and their connections may be for one host alone.

use std::sync::Arc;

use http2_oracle::server;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use xds_model::cluster::{CircuitBreaker, TransportSocket, UpstreamProtocol};
use xds_model::tls::{TlsParameters, UpstreamTls};

use crate::kit::{Asked, Backend, Http2Upstream, Plan, Site, get, within};

const REQUESTS: usize = 50;
/// More than there may be idle connections for other hosts.
const HOSTS: usize = 80;
/// So many there may be.
const MOST: usize = 64;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn negotiated(plan: &mut Plan) {
    secure(plan, UpstreamProtocol::Auto, false);
}

fn secure(plan: &mut Plan, protocol: UpstreamProtocol, auto_sni: bool) {
    plan.cluster.protocol = protocol;
    plan.cluster.transport.default = TransportSocket::Tls(Box::new(UpstreamTls {
        sni: None,
        auto_sni,
        auto_san_validation: false,
        certificates: Vec::new(),
        validation: None,
        parameters: TlsParameters::default(),
        alpn: Vec::new(),
    }));
}

/// The server's side of TLS, which agrees on this protocol alone.
fn speaking(protocol: &str) -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(vec!["b".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The next connection, of which nothing was read.
async fn connected(backend: &Backend) -> TcpStream {
    backend.accept().await.stream
}

async fn secured(acceptor: &TlsAcceptor, stream: TcpStream) -> TlsStream<TcpStream> {
    within("a handshake", acceptor.accept(stream)).await.unwrap()
}

/// Serves one request over HTTP/1.
async fn serves(stream: &mut TlsStream<TcpStream>) {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        assert!(within("a head", stream.read_buf(&mut received)).await.unwrap() > 0);
    }
    assert!(received.starts_with(b"GET / HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&received));
    stream.write_all(OK).await.unwrap();
}

async fn is_answered(asked: Asked) {
    assert_eq!(asked.message().await.text(), "ok");
}

#[tokio::test]
async fn requests_do_not_wait_for_each_others_handshakes_once_http1_was_chosen() {
    let site = Site::with(negotiated).await;
    let http1 = speaking("http/1.1");
    let mut client = site.http2_client().await;
    let mut asked = Vec::new();
    for _ in 0..REQUESTS {
        asked.push(client.send(get("/"), true).await);
    }
    // Until then they might share a connection.
    let first = connected(&site.backend).await;
    site.edge.counts("cluster.b.upstream_rq_pending_active", REQUESTS as u64).await;
    let mut first = secured(&http1, first).await;
    serves(&mut first).await;
    // All others at once: none of them gets its handshake before all have come.
    let mut others = Vec::new();
    for _ in 2..REQUESTS {
        others.push(connected(&site.backend).await);
    }
    for stream in others {
        serves(&mut secured(&http1, stream).await).await;
    }
    // The last one has the first connection, or another one.
    let again = async { serves(&mut first).await };
    let another = async { serves(&mut secured(&http1, connected(&site.backend).await).await).await };
    tokio::select! { () = again => {}, () = another => {} }
    for asked in asked {
        is_answered(asked).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn requests_share_a_connection_where_http2_was_chosen_and_again_after_a_change() {
    let site = Site::with(|plan| {
        negotiated(plan);
        plan.cluster.limits = CircuitBreaker { max_connections: 1, ..CircuitBreaker::UNLIMITED };
    })
    .await;
    let mut client = site.http2_client().await;
    for chosen in ["h2", "http/1.1", "h2"] {
        let asked = client.send(get("/"), true).await;
        let mut stream = secured(&speaking(chosen), connected(&site.backend).await).await;
        if chosen == "http/1.1" {
            serves(&mut stream).await;
            is_answered(asked).await;
            continue;
        }
        let mut upstream = Http2Upstream::on(stream, &server::Builder::new()).await;
        upstream.request().await.says("ok");
        is_answered(asked).await;
        let mut asked = Vec::new();
        for _ in 0..REQUESTS {
            asked.push(client.send(get("/"), true).await);
        }
        for _ in 0..REQUESTS {
            upstream.request().await.says("ok");
        }
        for asked in asked {
            is_answered(asked).await;
        }
        upstream.leave().await;
    }
    let counts = ["upstream_cx_total", "upstream_cx_http2_total", "upstream_cx_http1_total"];
    assert_eq!(counts.map(|counter| site.edge.count(&format!("cluster.b.{counter}"))), [3, 2, 1]);
    site.stop().await;
}

fn for_host(number: usize) -> String {
    format!("GET / HTTP/1.1\r\nhost: host-{number}.example\r\n\r\n")
}

#[tokio::test]
async fn of_idle_connections_for_other_hosts_the_oldest_close() {
    let site = Site::with(|plan| secure(plan, UpstreamProtocol::Http1, true)).await;
    let http1 = speaking("http/1.1");
    let mut client = site.client().await;
    let mut idle = Vec::new();
    for number in 0..HOSTS {
        client.send(for_host(number)).await;
        let mut stream = secured(&http1, connected(&site.backend).await).await;
        serves(&mut stream).await;
        assert_eq!(client.message().await.1, "ok");
        idle.push(stream);
    }
    site.edge.counts("cluster.b.upstream_cx_active", MOST as u64 + 1).await;
    let oldest = idle.iter_mut().take(HOSTS - MOST - 1);
    for stream in oldest {
        assert!(matches!(within("its end", stream.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    }
    // The others are of use.
    for number in [HOSTS - 1, HOSTS - MOST - 1] {
        client.send(for_host(number)).await;
        serves(&mut idle[number]).await;
        assert_eq!(client.message().await.1, "ok");
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), HOSTS as u64);
    site.stop().await;
}

#[tokio::test]
async fn of_idle_http2_connections_for_other_hosts_the_oldest_close() {
    let site = Site::with(|plan| secure(plan, UpstreamProtocol::Http2, true)).await;
    let http2 = speaking("h2");
    let mut client = site.client().await;
    let mut idle = Vec::new();
    for number in 0..HOSTS {
        client.send(for_host(number)).await;
        let stream = secured(&http2, connected(&site.backend).await).await;
        let mut upstream = Http2Upstream::on(stream, &server::Builder::new()).await;
        upstream.request().await.says("ok");
        assert_eq!(client.message().await.1, "ok");
        idle.push(upstream);
    }
    site.edge.counts("cluster.b.upstream_cx_active", MOST as u64 + 1).await;
    client.send(for_host(HOSTS - MOST - 1)).await;
    idle[HOSTS - MOST - 1].request().await.says("ok");
    for upstream in idle.drain(..HOSTS - MOST - 1) {
        upstream.ends().await;
    }
    site.stop().await;
}
