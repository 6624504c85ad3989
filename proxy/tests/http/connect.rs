//! CONNECT: to an endpoint that opens the tunnel, or with the tunnel's end here and its bytes to the endpoint as they are.

use http::{Method, Request};
use http2_oracle::Reason;
use xds_model::route::{ConnectMode, PathMatch, Route};

use crate::kit::{
    Http2Client, Http2Upstream, Plan, Refusing, Site, cluster, fields, forward, http2_upstream, ok, prefix, read_all,
    reads, value,
};

const CONNECT: &str = "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n";

/// A route that takes CONNECT, before the one that takes the rest.
fn route(mode: ConnectMode) -> impl FnOnce(&mut Plan) {
    move |plan| {
        let mut route: Route = prefix("/", forward("b"));
        route.matches.path = PathMatch::Connect;
        plan.routes().insert(0, route);
        plan.connect_mode(mode);
    }
}

fn plain_connect() -> Request<()> {
    Request::builder().method(Method::CONNECT).uri("a:80").body(()).unwrap()
}

#[tokio::test]
async fn a_tunnel_that_ends_here_carries_bytes_as_they_are() {
    let site = Site::with(route(ConnectMode::Terminated)).await;
    let mut client = site.client().await;
    client.send(format!("{CONNECT}early")).await;
    let mut upstream = site.backend.accept().await;
    // Nothing of HTTP gets to the endpoint.
    upstream.says("early").await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!((head.get("content-length"), head.get("transfer-encoding"), head.get("connection")), (None, None, None));
    client.talks_with(&mut upstream).await;
    upstream.send("bye").await;
    drop(upstream);
    assert_eq!(client.closes().await, "bye");
    drop(client);
    site.logs(&["200 - via_upstream 9 7"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_tunnel_that_ends_here_passes_resets_on_in_the_words_for_connect() {
    let site = Site::with(route(ConnectMode::Terminated)).await;
    let mut client: Http2Client = site.http2_client().await;
    let mut asked = client.send(plain_connect(), false).await;
    let upstream = site.backend.accept().await;
    let answer = asked.head().await;
    upstream.reset();
    let failure = read_all(&mut answer.into_body()).await.unwrap_err();
    assert_eq!(failure.reason(), Some(Reason::CONNECT_ERROR));
    site.logs(&["200 UC upstream_reset_after_response_started{connection_termination} 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn over_http2_the_client_ends_its_half_and_still_gets_the_answer() {
    let site = Site::with(route(ConnectMode::Terminated)).await;
    let mut client: Http2Client = site.http2_client().await;
    let mut asked = client.send(plain_connect(), false).await;
    let mut upstream = site.backend.accept().await;
    let answer = asked.head().await;
    assert_eq!(answer.status().as_u16(), 200);
    asked.body.send_data("question".into(), true).unwrap();
    upstream.says("question").await;
    assert_eq!(upstream.closes().await, "");
    upstream.send("answer").await;
    drop(upstream);
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap().0, "answer");
    site.stop().await;
}

#[tokio::test]
async fn the_endpoint_of_a_tunnel_that_ends_here_ends_its_half_and_still_hears_the_rest() {
    let site = Site::with(route(ConnectMode::Terminated)).await;
    let mut client: Http2Client = site.http2_client().await;
    let mut asked = client.send(plain_connect(), false).await;
    let mut upstream = site.backend.accept().await;
    let answer = asked.head().await;
    upstream.send("that is all").await;
    upstream.finish().await;
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap().0, "that is all");
    asked.body.send_data("not for me".into(), true).unwrap();
    upstream.says("not for me").await;
    assert_eq!(upstream.closes().await, "");
    site.logs(&["200 - via_upstream 10 11"]).await;

    let mut client = site.client().await;
    client.send(CONNECT).await;
    let mut upstream = site.backend.accept().await;
    assert_eq!(client.head().await.status(), 200);
    upstream.send("bye").await;
    upstream.finish().await;
    assert_eq!(client.closes().await, "bye");
    client.send("one more thing").await;
    upstream.says("one more thing").await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_of_http1_opens_the_tunnel_or_does_not() {
    let site = Site::with(route(ConnectMode::Forwarded)).await;
    let (mut client, mut upstream, head) = site.sent(CONNECT).await;
    assert_eq!((head.line.as_str(), head.get("host")), ("CONNECT a:80 HTTP/1.1", Some("a:80")));
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (None, None));
    upstream.send("HTTP/1.1 200 Established\r\nserver: x\r\n\r\nhello").await;
    assert_eq!(client.head().await.status(), 200);
    client.says("hello").await;
    client.talks_with(&mut upstream).await;
    drop(upstream);
    assert_eq!(client.closes().await, "");

    let (mut client, mut upstream, _) = site.sent(CONNECT).await;
    upstream.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), body.as_str(), head.get("connection")), (403, "no", Some("close")));
    // What the client sent for the tunnel is not taken for a request.
    assert_eq!(client.closes().await, "");
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_of_http2_opens_the_tunnel() {
    let site = Site::with(|plan: &mut Plan| {
        http2_upstream(plan);
        route(ConnectMode::Forwarded)(plan);
    })
    .await;
    let mut client = site.client().await;
    client.send(CONNECT).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    assert_eq!((request.head.method(), request.head.uri().to_string()), (&Method::CONNECT, "a:80".to_owned()));
    let mut answering = request.answer(ok());
    assert_eq!(client.head().await.status(), 200);
    client.send("ping").await;
    reads(&mut request.body, "ping").await;
    answering.send_data("pong".into(), true).unwrap();
    assert_eq!(client.closes().await, "pong");

    let mut client = site.http2_client().await;
    let mut asked = client.send(plain_connect(), false).await;
    let mut request = upstream.request().await;
    let mut answering = request.answer(ok());
    let answer = asked.head().await;
    assert_eq!(value(answer.headers(), "content-length"), None);
    asked.body.send_data("ping".into(), true).unwrap();
    assert_eq!(read_all(&mut request.body).await.unwrap().0, "ping");
    answering.send_trailers(fields([])).unwrap();
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap().0, "");
    site.stop().await;
}

#[tokio::test]
async fn connect_is_refused_unless_somebody_wants_it() {
    let refused = async |site: Site, status: u16| {
        let mut client = site.client().await;
        client.send(format!("{CONNECT}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let (head, _) = client.message().await;
        assert_eq!((head.status(), head.get("connection")), (status, Some("close")));
        assert_eq!(client.closes().await, "");
        site.stop().await;
    };
    // A prefix is none of CONNECT's, which has no path.
    refused(Site::start().await, 404).await;
    refused(Site::with(route(ConnectMode::Inherited)).await, 403).await;
    refused(Site::with(route(ConnectMode::Refused)).await, 403).await;
    let site = Site::with(|plan: &mut Plan| {
        plan.manager.upgrades.push("connect".to_owned());
        route(ConnectMode::Inherited)(plan);
    })
    .await;
    let (_, _, head) = site.sent(CONNECT).await;
    assert_eq!(head.line, "CONNECT a:80 HTTP/1.1");
    site.stop().await;
}

#[tokio::test]
async fn a_tunnel_to_an_endpoint_that_is_not_there_gets_503() {
    let refusing = Refusing::new();
    let site = Site::with(|plan: &mut Plan| {
        route(ConnectMode::Terminated)(plan);
        plan.cluster = cluster("b", &[refusing.address]);
    })
    .await;
    let mut client = site.client().await;
    client.send(CONNECT).await;
    assert_eq!(client.message().await.0.status(), 503);
    site.stop().await;
}
