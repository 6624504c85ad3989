//! Memory is short: what requests hear of it, and that what is under way goes on.

use selvedge::overload::Action;
use xds_model::listener::Listener;

use crate::kit::{
    Frame, Frames, Http2Upstream, Server, Site, cluster, direct, eventually, http2_upstream, kind, ok, prefix,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// As good as wholly active to answers; only what is wholly active closes idle connections.
const NEARLY: f64 = 0.999_999;
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_are_refused_while_that_action_is_active_and_those_under_way_are_not() {
    let site = Site::start().await;
    let (mut first, mut upstream, _) = site.sent(GET).await;
    site.edge.overload().set(Action::StopAcceptingRequests, 1.0, "a test");
    let (head, body) = site.answer(GET).await;
    assert_eq!((head.status(), body.as_str()), (503, "envoy overloaded"));
    site.logs(&["503 OM overload 0 16"]).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_overload_close"), 1);
    upstream.send(OK).await;
    assert_eq!(first.message().await.1, "ok");

    site.edge.overload().set(Action::StopAcceptingRequests, 0.0, "a test");
    first.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    let (head, body) = first.message().await;
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    site.stop().await;
}

#[tokio::test]
async fn connections_end_with_their_next_answer_while_that_action_is_active() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let mut bystander = site.client().await;
    let (mut upstream, head) = {
        client.send(GET).await;
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        upstream.send(OK).await;
        (upstream, client.message().await.0)
    };
    assert_eq!(head.get("connection"), None);
    site.edge.overload().set(Action::DisableHttpKeepalive, NEARLY, "a test");
    client.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (200, Some("close"), "ok"));
    assert_eq!(client.closes().await, "");
    assert_eq!(site.edge.count("http.test.downstream_cx_overload_disable_keepalive"), 1);

    site.edge.overload().set(Action::DisableHttpKeepalive, 0.0, "a test");
    for _ in 0..2 {
        bystander.send(GET).await;
        upstream.head().await;
        upstream.send(OK).await;
        let (head, _) = bystander.message().await;
        assert_eq!((head.status(), head.get("connection")), (200, None));
    }
    site.stop().await;
}

#[tokio::test]
async fn connections_that_are_idle_end_when_that_action_becomes_active() {
    let site = Site::with(|plan| plan.routes().insert(0, prefix("/here", direct(200, "here")))).await;
    let (mut busy, mut upstream, _) = site.sent(GET).await;
    let mut fresh = site.client().await;
    let mut idle = site.client().await;
    assert_eq!(idle.ask("GET /here HTTP/1.1\r\nhost: a\r\n\r\n").await.1, "here");
    let mut http2 = Frames::connect(site.address).await;
    http2.send(&[Frame::get(1, "/here")]).await;
    http2.until(kind::DATA).await;
    site.edge.counts("http.test.downstream_cx_active", 4).await;

    site.edge.overload().set(Action::DisableHttpKeepalive, 1.0, "a test");
    assert_eq!((fresh.closes().await, idle.closes().await), (String::new(), String::new()));
    http2.until(kind::GOAWAY).await;
    http2.closes().await;
    upstream.send(OK).await;
    let (head, body) = busy.message().await;
    assert_eq!((head.get("connection"), body.as_str()), (Some("close"), "ok"), "what is under way is served");
    assert_eq!(busy.closes().await, "");
    assert_eq!(site.edge.count("http.test.downstream_cx_overload_disable_keepalive"), 4);
    assert_eq!(site.edge.count("http.test.downstream_cx_drain_close"), 0, "nobody drains");
    site.stop().await;
}

#[tokio::test]
async fn an_http2_connection_ends_with_the_answer_to_what_was_asked_before() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    site.edge.overload().set(Action::DisableHttpKeepalive, NEARLY, "a test");
    let mut answer = request.answer(ok());
    // The answer may be a long one: the client hears of it at its beginning.
    client.until(kind::GOAWAY).await;
    answer.send_data("here".into(), true).unwrap();
    let frames = client.closes().await;
    let counted = |kind: u8| frames.iter().filter(|frame| frame.kind == kind).count();
    assert_eq!((counted(kind::DATA), counted(kind::GOAWAY)), (1, 1), "the answer, and the end: {frames:?}");
    assert_eq!(site.edge.count("http.test.downstream_cx_overload_disable_keepalive"), 1);
    site.stop().await;
}

#[tokio::test]
async fn an_http2_connection_that_ends_because_of_it_is_counted_once() {
    let site = Site::with(|plan| *plan.routes() = vec![prefix("/", direct(200, "here"))]).await;
    site.edge.overload().set(Action::DisableHttpKeepalive, 1.0, "a test");
    let mut client = Frames::connect(site.address).await;
    client.send(&[1, 3, 5].map(|stream| Frame::get(stream, "/"))).await;
    let frames = client.closes().await;
    assert_eq!(frames.iter().filter(|frame| frame.kind == kind::DATA).count(), 3, "what is under way is served");
    assert_eq!(site.edge.count("http.test.downstream_cx_overload_disable_keepalive"), 1);
    assert_eq!(site.edge.count("http.test.downstream_cx_drain_close"), 0, "nobody drains");
    site.stop().await;
}

#[tokio::test]
async fn a_listener_that_bypasses_it_serves_as_ever() {
    let server = Server::start("up").await;
    let site = Site::with(|plan| plan.cluster = cluster("b", &[server.address])).await;
    site.edge.overload().set(Action::StopAcceptingRequests, NEARLY, "a test");
    assert_eq!(site.answer(GET).await.0.status(), 503);
    site.edge.listener(Listener { bypass_overload_manager: true, ..site.listener.clone() }).await;
    eventually("an answer of the endpoint", async || site.answer(GET).await.0.status() == 200).await;
    for action in [Action::DisableHttpKeepalive, Action::RejectIncomingConnections] {
        site.edge.overload().set(action, NEARLY, "a test");
    }
    let mut client = site.client().await;
    for _ in 0..3 {
        let (head, body) = client.ask(GET).await;
        assert_eq!((head.status(), head.get("connection"), body.as_str()), (200, None, "up"));
    }
    site.stop().await;
}
