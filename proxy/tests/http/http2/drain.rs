//! Listeners and processes that go, and everything else that changes, while streams are open.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http2_oracle::{Reason, RecvStream, SendStream};
use selvedge::drain::Phase;
use xds_model::listener::TerminalFilter;

use crate::kit::{
    Frame, Frames, Http2Upstream, Open, Server, Site, cluster, direct, eventually, forward, get, http2_upstream, kind,
    ok, post, prefix, reads, table,
};

const NO_ERROR: u32 = 0;
/// GOAWAY names this as the last stream while others may be on their way.
const ANY: u32 = i32::MAX as u32;

/// A client with a request that waits for its answer.
async fn waiting(site: &Site) -> (Frames, Http2Upstream, crate::kit::Http2Request) {
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let request = upstream.request().await;
    (client, upstream, request)
}

/// From the notice to the end: late streams are served, and the connection closes with the last of them.
async fn leaves_in_order(mut client: Frames, mut upstream: Http2Upstream, request: crate::kit::Http2Request) {
    let notice = client.until(kind::GOAWAY).await;
    assert_eq!((notice.last_stream(), notice.code()), (ANY, NO_ERROR));
    // This one was on its way.
    client.send(&[Frame::get(3, "/late")]).await;
    let late = upstream.request().await;
    assert_eq!(late.path(), "/late");
    late.says("late");
    assert_eq!(client.until(kind::DATA).await.payload, b"late");
    request.says("finished");
    let (last, rest): (Vec<Frame>, Vec<Frame>) =
        client.closes().await.into_iter().partition(|frame| frame.kind == kind::GOAWAY);
    let mut rest = rest.into_iter().filter(|frame| frame.kind != kind::WINDOW_UPDATE);
    assert_eq!(rest.next().map(|frame| (frame.kind, frame.stream)), Some((kind::HEADERS, 1)));
    assert_eq!(rest.next().map(|frame| frame.payload), Some(b"finished".to_vec()));
    // Before the answer or behind it: it comes when the notice is over.
    let last: Vec<(u32, u32)> = last.iter().map(|frame| (frame.last_stream(), frame.code())).collect();
    assert_eq!(last, [(3, NO_ERROR)]);
}

#[tokio::test]
async fn when_the_notice_is_over_the_last_stream_is_named_and_later_ones_are_not_served() {
    let site = Site::with(http2_upstream).await;
    let (mut client, upstream, request) = waiting(&site).await;
    site.edge.remove_listener(&site.listener.name).await;
    let notice = client.until(kind::GOAWAY).await;
    assert_eq!((notice.last_stream(), notice.code()), (ANY, NO_ERROR));
    let last = client.until(kind::GOAWAY).await;
    assert_eq!((last.last_stream(), last.code()), (1, NO_ERROR));
    client.send(&[Frame::get(3, "/too-late"), Frame::new(kind::PING, 0, 0, [0; 8])]).await;
    client.until(kind::PING).await;
    request.says("finished");
    let rest = client.closes().await;
    let streams: Vec<(u8, u32)> = rest.iter().map(|frame| (frame.kind, frame.stream)).collect();
    assert_eq!(streams, [(kind::HEADERS, 1), (kind::DATA, 1)], "{rest:?}");
    assert!(!upstream.has_request());
    site.stop().await;
}

#[tokio::test]
async fn a_listener_that_is_removed_lets_its_clients_finish() {
    let site = Site::with(http2_upstream).await;
    let (client, upstream, request) = waiting(&site).await;
    site.edge.remove_listener(&site.listener.name).await;
    leaves_in_order(client, upstream, request).await;
    site.logs(&["200 - via_upstream 0 4", "200 - via_upstream 0 8"]).await;
    assert_eq!(site.edge.count("http.test.downstream_cx_drain_close"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_process_that_drains_lets_its_clients_finish() {
    let site = Site::with(http2_upstream).await;
    let (client, upstream, request) = waiting(&site).await;
    site.edge.drain.advance(Phase::Draining);
    leaves_in_order(client, upstream, request).await;
    // Those who come now are served, and asked to leave.
    let client = site.http2_client().await;
    assert_eq!(client.ends().await, Reason::NO_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn an_idle_client_leaves_at_once_when_it_is_asked_to() {
    let site = Site::start().await;
    let mut client = Frames::connect(site.address).await;
    client.until(kind::SETTINGS).await;
    site.edge.remove_listener(&site.listener.name).await;
    client.until(kind::GOAWAY).await;
    let rest = client.closes().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!((rest[0].kind, rest[0].last_stream()), (kind::GOAWAY, 0));
    site.stop().await;
}

#[tokio::test]
async fn what_is_still_open_at_the_end_of_the_drain_is_closed() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.options.drain = Duration::from_millis(300);
    })
    .await;
    let (mut client, mut upstream, mut request) = waiting(&site).await;
    let mut open = site.http2_client().await;
    let mut asked = open.send(get("/open"), true).await;
    let mut answered = upstream.request().await;
    let mut answering = answered.answer(ok());
    answering.send_data("half".into(), false).unwrap();
    reads(&mut asked.head().await.into_body(), "half").await;
    site.edge.remove_listener(&site.listener.name).await;
    let frames = client.closes().await;
    assert!(frames.iter().any(|frame| frame.kind == kind::GOAWAY), "{frames:?}");
    request.is_reset().await;
    assert!(crate::kit::within("a reset", poll_fn(|context| answering.poll_reset(context))).await.is_ok());
    open.ends().await;
    let gone = "connection_closed_by_configuration";
    site.logs_in_any_order(&[&format!("0 LR {gone} 0 0"), &format!("200 LR {gone} 0 4")]).await;
    site.stop().await;
}

/// A stream that is open in both directions.
struct Talk {
    question: SendStream<Bytes>,
    questions: RecvStream,
    answer: SendStream<Bytes>,
    answers: RecvStream,
}

impl Talk {
    async fn goes_on(&mut self) {
        self.question.send_data("question".into(), false).unwrap();
        reads(&mut self.questions, "question").await;
        self.answer.send_data("answer".into(), false).unwrap();
        reads(&mut self.answers, "answer").await;
    }
}

#[tokio::test]
async fn an_open_stream_outlives_changes_of_its_route_listener_cluster_and_endpoints() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.routes().insert(0, prefix("/witness", direct(200, "not changed")));
    })
    .await;
    let Open { mut client, mut asked, upstream, mut request } = site.asked(post("/"), false).await;
    let answer = request.answer(ok());
    let answers = asked.head().await.into_body();
    let mut talk = Talk { question: asked.body, questions: request.body, answer, answers };
    talk.goes_on().await;

    site.edge.routes(table(vec![prefix("/", direct(200, "changed"))])).await;
    eventually("the table is in force", async || client.ask("/witness").await.text() == "changed").await;
    talk.goes_on().await;

    let mut listener = site.listener.clone();
    if let TerminalFilter::Http(manager) = &mut listener.filter_chains[0].terminal {
        manager.access_log.clear();
        manager.server_name = "another".to_owned();
        manager.http2.max_concurrent_streams = 7;
    }
    site.edge.listener(listener).await;
    eventually("the listener is in force", async || client.ask("/").await.get("server") == Some("another")).await;
    talk.goes_on().await;

    let other = Server::start("other").await;
    site.edge.cluster(cluster("b", &[other.address])).await;
    site.edge.routes(table(vec![prefix("/", forward("b"))])).await;
    eventually("the endpoints are in force", async || client.ask("/").await.text() == "other").await;
    talk.goes_on().await;

    site.edge.remove_cluster("b").await;
    eventually("the cluster is gone", async || client.ask("/").await.status() == 503).await;
    talk.goes_on().await;
    assert!(!client.is_over() && !upstream.is_over());
    site.stop().await;
}
