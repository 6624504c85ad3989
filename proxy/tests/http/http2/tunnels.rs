//! Other protocols within HTTP: WebSocket by upgrade and by extended CONNECT (RFC 8441), from each to each, and plain CONNECT.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http2_oracle::ext::Protocol;
use http2_oracle::{Reason, RecvStream, SendStream, server};
use xds_model::route::RetryOn;

use crate::kit::{
    Frame, Frames, Http2Client, Http2Request, Http2Upstream, Plan, Site, Wire, connect_request, http2_upstream, kind,
    ok, read_all, reads, retry_policy, within,
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\nsec-websocket-version: 13\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";

fn allowed(plan: &mut Plan) {
    plan.manager.http2.allow_connect = true;
}

fn allowed_to_http2(plan: &mut Plan) {
    allowed(plan);
    http2_upstream(plan);
}

/// An endpoint that takes extended CONNECT.
async fn accept_connect(site: &Site) -> Http2Upstream {
    Http2Upstream::accept_with(&site.backend, server::Builder::new().enable_connect_protocol()).await
}

fn websocket() -> Request<()> {
    let mut request = connect_request("websocket", "/chat");
    request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    request
}

/// A client's end of a tunnel.
struct End {
    out: SendStream<Bytes>,
    from: RecvStream,
}

impl End {
    async fn says(&mut self, words: &'static str) {
        self.out.send_data(words.into(), false).unwrap();
    }
}

/// A tunnel between an HTTP/2 client and an HTTP/1 endpoint.
async fn to_http1(site: &Site) -> (Http2Client, End, Wire) {
    let mut client = site.http2_client().await;
    client.may_connect().await;
    let mut asked = client.send(websocket(), false).await;
    let mut upstream = site.backend.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.line, "GET /chat HTTP/1.1");
    assert_eq!((head.get("connection"), head.get("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!((head.get("host"), head.get("sec-websocket-version")), (Some("a"), Some("13")));
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (None, None));
    upstream.send(SWITCHING).await;
    let answer = asked.head().await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("upgrade")), (200, None));
    (client, End { out: asked.body, from: answer.into_body() }, upstream)
}

/// A tunnel between an HTTP/1 client and an HTTP/2 endpoint.
async fn from_http1(site: &Site) -> (Wire, Http2Upstream, Http2Request, SendStream<Bytes>) {
    let mut client = site.client().await;
    client.send(UPGRADE).await;
    let mut upstream = accept_connect(site).await;
    let mut request = upstream.request().await;
    assert_eq!(request.head.method(), Method::CONNECT);
    assert_eq!(request.head.extensions().get::<Protocol>().map(|protocol| protocol.as_str()), Some("websocket"));
    assert_eq!((request.path(), request.get("upgrade"), request.get("connection")), ("/chat", None, None));
    let answering = request.answer(ok());
    let head = client.head().await;
    assert_eq!((head.status(), head.get("upgrade"), head.get("connection")), (101, Some("websocket"), Some("Upgrade")));
    (client, upstream, request, answering)
}

#[tokio::test]
async fn from_http2_to_http1_bytes_go_both_ways_until_the_client_ends() {
    let site = Site::with(allowed).await;
    let (_client, mut end, mut upstream) = to_http1(&site).await;
    end.says("ping").await;
    upstream.says("ping").await;
    upstream.send("pong").await;
    reads(&mut end.from, "pong").await;
    assert_eq!(site.edge.count("downstream_cx_upgrades_active"), 1);
    end.out.send_data("bye".into(), true).unwrap();
    upstream.says("bye").await;
    assert_eq!(upstream.closes().await, "");
    drop(upstream);
    site.edge.counts("downstream_cx_upgrades_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http1_the_endpoint_ends_it() {
    let site = Site::with(allowed).await;
    let (mut client, mut end, mut upstream) = to_http1(&site).await;
    upstream.send("bye").await;
    drop(upstream);
    assert_eq!(read_all(&mut end.from).await.unwrap().0, "bye");
    // The connection goes on.
    let asked = client.send(crate::kit::get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(asked.message().await.text(), "ok");
    let closed = "upstream_reset_after_response_started{connection_termination}";
    site.logs(&[&format!("101 UC {closed} 0 3"), "200 - via_upstream 0 2"]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http1_a_reset_ends_it() {
    let site = Site::with(allowed).await;
    let (_client, mut end, mut upstream) = to_http1(&site).await;
    end.out.send_reset(Reason::CANCEL);
    assert!(upstream.is_reset_after("").await);
    site.logs(&["101 DR http2.remote_reset 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http1_a_reset_of_the_endpoint_resets_the_stream() {
    let site = Site::with(allowed).await;
    let (_client, mut end, mut upstream) = to_http1(&site).await;
    upstream.send("bye").await;
    reads(&mut end.from, "bye").await;
    upstream.reset();
    assert_eq!(read_all(&mut end.from).await.unwrap_err().reason(), Some(Reason::CANCEL));
    let closed = "upstream_reset_after_response_started{connection_termination}";
    site.logs(&[&format!("101 UC {closed} 0 3")]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http1_the_end_of_the_connection_is_a_reset_of_the_tunnel() {
    let site = Site::with(allowed).await;
    let (client, _end, mut upstream) = to_http1(&site).await;
    client.leave().await;
    assert!(upstream.is_reset_after("").await);
    site.logs(&["101 DC downstream_remote_disconnect 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http1_to_http2_a_reset_of_either_side_is_one_for_the_other() {
    let site = Site::with(allowed_to_http2).await;
    let (client, _upstream, mut request, mut answering) = from_http1(&site).await;
    client.reset();
    let reset = within("a reset", poll_fn(|context| answering.poll_reset(context))).await.unwrap();
    assert_eq!(reset, Reason::CANCEL);
    drop(read_all(&mut request.body).await);
    site.logs(&["101 DC downstream_remote_disconnect 0 0"]).await;
    site.stop().await;

    let site = Site::with(allowed_to_http2).await;
    let (mut client, _upstream, _request, mut answering) = from_http1(&site).await;
    answering.send_reset(Reason::INTERNAL_ERROR);
    assert!(client.is_reset_after("").await);
    site.logs(&["101 UR upstream_reset_after_response_started{remote_reset} 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http1_to_http2_bytes_go_both_ways_until_the_client_ends() {
    let site = Site::with(allowed_to_http2).await;
    let (mut client, _upstream, mut request, mut answering) = from_http1(&site).await;
    client.send("ping").await;
    reads(&mut request.body, "ping").await;
    answering.send_data("pong".into(), false).unwrap();
    client.says("pong").await;
    client.send("bye").await;
    drop(client);
    assert_eq!(read_all(&mut request.body).await.unwrap().0, "bye");
    site.logs(&["101 DC downstream_remote_disconnect 7 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn from_http1_to_http2_the_endpoint_ends_it() {
    let site = Site::with(allowed_to_http2).await;
    let (mut client, upstream, _request, mut answering) = from_http1(&site).await;
    answering.send_data("bye".into(), true).unwrap();
    assert_eq!(client.closes().await, "bye");
    assert!(!upstream.is_over());
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http2() {
    let site = Site::with(allowed_to_http2).await;
    let mut client = site.http2_client().await;
    client.may_connect().await;
    let mut asked = client.send(websocket(), false).await;
    let mut upstream = accept_connect(&site).await;
    let mut request = upstream.request().await;
    assert_eq!(request.head.extensions().get::<Protocol>().map(|protocol| protocol.as_str()), Some("websocket"));
    let mut answering = request.answer(ok());
    let answer = asked.head().await;
    assert_eq!(answer.status(), 200);
    let mut end = End { out: asked.body, from: answer.into_body() };
    end.says("ping").await;
    reads(&mut request.body, "ping").await;
    answering.send_data("pong".into(), false).unwrap();
    reads(&mut end.from, "pong").await;
    answering.send_data("bye".into(), true).unwrap();
    assert_eq!(read_all(&mut end.from).await.unwrap().0, "bye");
    assert!(!client.is_over() && !upstream.is_over());
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_tunnel_is_passed_on() {
    let site = Site::with(allowed_to_http2).await;
    let mut client = site.http2_client().await;
    client.may_connect().await;
    let asked = client.send(websocket(), false).await;
    let mut upstream = accept_connect(&site).await;
    let refusal = Response::builder().status(403).body(()).unwrap();
    upstream.request().await.answer_whole(refusal, "no", None);
    let answer = asked.message().await;
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_offers_no_extended_connect_gets_none() {
    let site = Site::with(|plan| {
        allowed_to_http2(plan);
        plan.forward().retry = Some(retry_policy(RetryOn { reset: true, server_error: true, ..RetryOn::default() }));
    })
    .await;
    let mut client = site.client().await;
    client.send(UPGRADE).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let (head, _) = client.message().await;
    assert_eq!(head.status(), 502);
    assert!(!upstream.has_request());
    // It would offer none the next time either.
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    assert_eq!(site.edge.count("cluster.b.upstream_cx_protocol_error"), 0, "the endpoint broke nothing");
    // For other requests it is good enough.
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.request().await.says("ok");
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn where_it_is_not_allowed_it_is_not_offered_and_ends_the_connection() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let asked = client.send(crate::kit::get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    asked.message().await;
    assert!(!client.is_connect_offered());

    let mut client = Frames::connect(site.address).await;
    let request =
        [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    client.send(&[Frame::headers(1, false, &request)]).await;
    assert_eq!(client.until(kind::GOAWAY).await.code(), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_protocol_that_is_not_let_through_gets_403() {
    let site = Site::with(allowed).await;
    let mut client = site.http2_client().await;
    client.may_connect().await;
    let asked = client.send(connect_request("irc", "/"), false).await;
    assert_eq!(asked.message().await.status(), 403);
    site.logs(&["403 - upgrade_failed 0 0"]).await;
    assert!(!client.is_over());
    site.stop().await;
}

#[tokio::test]
async fn a_silent_tunnel_closes_at_the_stream_idle_timeout_and_a_busy_one_does_not() {
    let site = Site::with(|plan| {
        allowed(plan);
        plan.manager.stream_idle_timeout = Some(Duration::from_secs(1));
    })
    .await;
    let (_client, mut end, mut upstream) = to_http1(&site).await;
    for _ in 0..15 {
        end.says("ping").await;
        upstream.says("ping").await;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert_eq!(upstream.closes().await, "");
    // How the stream ends counts less than that it does.
    drop(read_all(&mut end.from).await);
    site.logs(&["101 SI stream_idle_timeout 60 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn plain_connect_gets_404_and_harms_no_other_stream() {
    for configure in [|_: &mut Plan| (), allowed] {
        let site = Site::with(configure).await;
        let mut client = site.http2_client().await;
        let request = Request::builder().method(Method::CONNECT).uri("a:443").body(()).unwrap();
        let asked = client.send(request, false).await;
        assert_eq!(asked.message().await.status(), 404);
        let asked = client.send(crate::kit::get("/"), true).await;
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(asked.message().await.text(), "ok");
        site.stop().await;
    }
}
