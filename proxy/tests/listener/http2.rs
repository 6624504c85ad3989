//! HTTP/2 behind TLS: what ALPN agrees on is spoken.

use bytes::Bytes;
use http::{Request, Response};
use http2_oracle::client::{Connection, SendRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use xds_model::http::Codec;
use xds_model::listener::{FilterChain, Listener, TerminalFilter};

use crate::kit::{
    Authority, ClientOptions, Edge, TlsClient, certificate_secret, closes, connect_tls, eventually, listener, secret,
    server_tls, trust, within,
};
use crate::shared::http::{direct, manager, prefix, table};
use crate::shared::model::filter_chain;

const HOST: &str = "shop.example.com";
const BOTH: &[&str] = &["h2", "http/1.1"];
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A gateway that answers every request itself.
struct Secured {
    edge: Edge,
    authority: Authority,
    model: Listener,
    address: std::net::SocketAddr,
}

fn chain(codec: Codec) -> FilterChain {
    let mut manager = manager();
    manager.codec = codec;
    let mut chain = filter_chain(TerminalFilter::Http(Box::new(manager)));
    chain.tls = Some(server_tls("server"));
    chain
}

impl Secured {
    async fn start(codec: Codec) -> Self {
        let edge = Edge::start(1);
        let authority = Authority::new("ours");
        edge.secret(certificate_secret("server", &authority.server(HOST))).await;
        edge.secret(secret("ca", authority.pem())).await;
        edge.routes(table(vec![prefix("/", direct(200, "here"))])).await;
        let model = listener("tls", vec![chain(codec)]);
        let address = edge.listener(model.clone()).await;
        Self { edge, authority, model, address }
    }

    async fn connect(&self, offers: &[&str]) -> TlsClient {
        let options = ClientOptions { offers, ..self.authority.client() };
        connect_tls(self.address, HOST, &options).await.unwrap()
    }

    async fn connect_http2(&self, offers: &[&str]) -> Http2 {
        let stream = self.connect(offers).await;
        let handshake = http2_oracle::client::handshake(stream);
        let (requests, connection): (_, Connection<TlsClient>) = within("a handshake", handshake).await.unwrap();
        Http2 { requests, connection: tokio::spawn(async { drop(connection.await) }) }
    }
}

struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    async fn ask(&mut self) -> (Response<()>, Bytes) {
        let request = Request::get(format!("https://{HOST}/")).body(()).unwrap();
        let (answer, _) = self.requests.send_request(request, true).unwrap();
        let (head, mut body) = within("an answer", answer).await.unwrap().into_parts();
        let body = within("a body", body.data()).await.unwrap().unwrap();
        (Response::from_parts(head, ()), body)
    }
}

async fn ask_http1(client: &mut TlsClient) -> String {
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("here") {
        let mut piece = [0; 1000];
        let count = within("an answer", client.read(&mut piece)).await.unwrap();
        assert!(count > 0, "{answer}");
        answer += std::str::from_utf8(&piece[..count]).unwrap();
    }
    answer
}

#[tokio::test]
async fn alpn_decides_between_http2_and_http1() {
    let site = Secured::start(Codec::Auto).await;
    let mut client = site.connect_http2(BOTH).await;
    let (head, body) = client.ask().await;
    assert_eq!((head.status().as_u16(), &body[..]), (200, &b"here"[..]));
    let mut client = site.connect(&["http/1.1"]).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask_http1(&mut client).await.starts_with("HTTP/1.1 200"));
    let count = |counter: &str| site.edge.count(&format!("http.test.{counter}"));
    assert_eq!((count("downstream_cx_http1_total"), count("downstream_cx_http2_total")), (1, 1));
    site.edge.stop().await;
}

#[tokio::test]
async fn the_server_prefers_its_own_order_of_protocols() {
    let site = Secured::start(Codec::Auto).await;
    let client = site.connect(&["http/1.1", "h2"]).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    site.edge.stop().await;
}

#[tokio::test]
async fn without_alpn_the_first_bytes_decide() {
    let site = Secured::start(Codec::Auto).await;
    let mut client = site.connect(&[]).await;
    assert!(ask_http1(&mut client).await.starts_with("HTTP/1.1 200"));
    let mut client = site.connect_http2(&[]).await;
    assert_eq!(client.ask().await.1, "here");
    assert_eq!(site.edge.count("http.test.downstream_cx_http2_total"), 1);
    site.edge.stop().await;
}

#[tokio::test]
async fn what_alpn_agreed_on_must_be_spoken() {
    let site = Secured::start(Codec::Auto).await;
    // HTTP/1 where HTTP/2 was agreed on: GOAWAY, PROTOCOL_ERROR.
    let mut client = site.connect(BOTH).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let answer = closes(&mut client).await;
    assert!(answer.ends_with(&[0, 0, 0, 1]), "{answer:?}");
    // And the other way round.
    let mut client = site.connect(&["http/1.1"]).await;
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let answer = closes(&mut client).await;
    assert!(answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 505"), "{answer:?}");
    site.edge.counts("http.test.downstream_cx_protocol_error", 2).await;
    site.edge.stop().await;
}

#[tokio::test]
async fn a_codec_that_is_set_goes_before_alpn() {
    let site = Secured::start(Codec::Http2).await;
    let mut client = site.connect_http2(&[]).await;
    assert_eq!(client.ask().await.1, "here");
    let site = Secured::start(Codec::Http1).await;
    let mut client = site.connect(&[]).await;
    assert!(ask_http1(&mut client).await.starts_with("HTTP/1.1 200"));
    site.edge.stop().await;
}

#[tokio::test]
async fn a_connection_goes_on_when_its_certificate_changes_and_closes_when_it_would_not_be_admitted() {
    let mut site = Secured::start(Codec::Auto).await;
    let mut client = site.connect_http2(BOTH).await;
    client.ask().await;
    site.edge.secret(certificate_secret("server", &site.authority.server(HOST))).await;
    client.ask().await;
    let tls = site.model.filter_chains[0].tls.as_mut().unwrap();
    tls.validation = Some(trust("ca"));
    tls.require_client_certificate = true;
    site.edge.listener(site.model.clone()).await;
    eventually("the connection is closed", async || client.connection.is_finished()).await;
    site.edge.stop().await;
}
