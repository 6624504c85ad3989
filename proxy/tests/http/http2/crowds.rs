//! Many streams at once, of clients that take nothing or leave together: those who share a connection to the endpoint with them do not notice.

use bytes::Bytes;
use http2_oracle::server::Builder;

use crate::kit::{
    Asked, Frame, Frames, Http2Client, Http2Request, Http2Upstream, Plan, Site, eventually, get, http2_upstream, kind,
    ok, setting,
};

/// Streams of a client that takes nothing.
const STALLED: usize = 100;
/// More than anybody passes on for a client that takes nothing.
const LARGE: &[u8] = &[b'x'; 1 << 20];

const RECEIVED: &str = "cluster.b.upstream_cx_rx_bytes_total";

fn with_windows(stream: u32, connection: u32) -> impl FnOnce(&mut Plan) {
    move |plan| {
        http2_upstream(plan);
        plan.cluster.http2.initial_stream_window_size = stream;
        plan.cluster.http2.initial_connection_window_size = connection;
    }
}

/// A client that reads no body, with so many requests that wait for answers.
async fn stalled(site: &Site, count: usize) -> (Http2Client, Vec<Asked>) {
    let mut client = site.http2_client().await;
    let mut asked = Vec::new();
    for _ in 0..count {
        asked.push(client.send(get("/stalled"), true).await);
    }
    (client, asked)
}

async fn requests(upstream: &mut Http2Upstream, count: usize) -> Vec<Http2Request> {
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(upstream.request().await);
    }
    requests
}

fn answer_all(requests: Vec<Http2Request>) {
    for request in requests {
        request.answer_whole(ok(), Bytes::from_static(LARGE), None);
    }
}

/// Waits until at least so much has come from the endpoint.
async fn received(site: &Site, bytes: usize) {
    eventually("what the windows allow is here", async || site.edge.count(RECEIVED) >= bytes as u64).await;
}

#[tokio::test]
async fn clients_that_take_nothing_hold_up_nobody_else_on_a_connection() {
    const WINDOW: usize = 64 << 10;
    let site = Site::with(with_windows(WINDOW as u32, 256 << 10)).await;
    let (_client, _asked) = stalled(&site, STALLED).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    answer_all(requests(&mut upstream, STALLED).await);
    // Far more than the window of the connection.
    received(&site, STALLED * WINDOW).await;
    let mut victim = site.http2_client().await;
    let asked = victim.send(get("/victim"), true).await;
    upstream.request().await.says("here");
    assert_eq!(asked.message().await.text(), "here");
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_connection_of_which_much_is_held_gets_no_more_requests() {
    const WINDOW: usize = 256 << 10;
    let site = Site::with(with_windows(WINDOW as u32, 1 << 20)).await;
    let (client, _asked) = stalled(&site, STALLED / 2).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    answer_all(requests(&mut upstream, STALLED / 2).await);
    received(&site, STALLED / 2 * WINDOW).await;
    let mut other = site.http2_client().await;
    let asked = other.send(get("/"), true).await;
    let mut second = Http2Upstream::accept(&site.backend).await;
    second.request().await.says("from the second");
    assert_eq!(asked.message().await.text(), "from the second");
    // When nothing is held any more the first one takes requests again, and there is no third.
    client.leave().await;
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    let asked = other.send(get("/"), true).await;
    upstream.request().await.says("from the first");
    assert_eq!(asked.message().await.text(), "from the first");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_unread_overflow"), 0);
    site.stop().await;
}

#[tokio::test]
async fn streams_that_hold_too_much_together_are_given_up() {
    const WINDOW: usize = 256 << 10;
    const MOST_HELD: usize = 32 << 20;
    let site = Site::with(with_windows(WINDOW as u32, 1 << 20)).await;
    let mut victim = site.http2_client().await;
    let asked = victim.send(get("/victim"), true).await;
    let mut upstream = Http2Upstream::accept_with(&site.backend, Builder::new().max_concurrent_streams(1_000)).await;
    let kept = upstream.request().await;
    // All ask before anything is answered.
    let (_first, _one) = stalled(&site, STALLED).await;
    let (_second, _two) = stalled(&site, STALLED).await;
    answer_all(requests(&mut upstream, 2 * STALLED).await);
    received(&site, MOST_HELD).await;
    let given_up = async || site.edge.count("cluster.b.upstream_rq_unread_overflow") > 0;
    eventually("streams are given up", given_up).await;
    kept.says("here");
    assert_eq!(asked.message().await.text(), "here");
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn closed_windows_of_a_client_hold_little_of_what_the_endpoint_sends() {
    const WINDOW: usize = 64 << 10;
    const BODY: usize = 200_000;
    /// What waits for windows, what the endpoint's windows allow, and frames around it.
    const MOST: usize = (1 << 20) + WINDOW + STALLED * WINDOW + (1 << 20);
    let site = Site::with(with_windows(WINDOW as u32, 1 << 20)).await;
    let mut client = Frames::connect(site.address).await;
    let numbers: Vec<u32> = (0..STALLED as u32).map(|number| 2 * number + 1).collect();
    let closed = Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    // The last one of the hundred that are allowed is for who is not stalled.
    let (stalled, last) = (&numbers[..STALLED - 1], numbers[STALLED - 1]);
    let asked = stalled.iter().map(|stream| Frame::get(*stream, "/")).collect::<Vec<Frame>>();
    client.send(&[vec![closed, Frame::window_update(0, 1 << 30)], asked].concat()).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    for request in requests(&mut upstream, stalled.len()).await {
        request.answer_whole(ok(), Bytes::from_static(&LARGE[..BODY]), None);
    }
    received(&site, stalled.len() * WINDOW).await;
    // One with an open window does not wait for the others.
    client.send(&[Frame::get(last, "/"), Frame::window_update(last, 1 << 20)]).await;
    upstream.request().await.says("here");
    assert_eq!(client.until(kind::DATA).await.payload, b"here");
    let all = site.edge.count(RECEIVED);
    assert!(all < MOST as u64, "{all} of {MOST}");
    // All go on with as much as they are given, and get to their ends.
    let mut left = vec![BODY; stalled.len()];
    for credit in [1, 7, BODY as u32] {
        let updates: Vec<Frame> = stalled.iter().map(|stream| Frame::window_update(*stream, credit)).collect();
        client.send(&updates).await;
        let goal = |left: &[usize]| left.iter().all(|left| *left == BODY.saturating_sub(credit_until(credit)));
        while !goal(&left) {
            let data = client.until(kind::DATA).await;
            left[data.stream as usize / 2] -= data.payload.len();
        }
    }
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    site.stop().await;
}

/// All that a stream was given when it was given this.
fn credit_until(credit: u32) -> usize {
    match credit {
        1 => 1,
        7 => 8,
        _ => usize::MAX,
    }
}

#[tokio::test]
async fn clients_that_leave_together_leave_the_connection_to_those_who_stay() {
    const LEAVING: usize = 1_000;
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.http2.max_concurrent_streams = 2 * LEAVING as u32;
    })
    .await;
    let mut staying = Frames::connect(site.address).await;
    staying.send(&[Frame::get(1, "/stays")]).await;
    let mut upstream = Frames::accept(&site.backend, &[]).await;
    let kept = upstream.until(kind::HEADERS).await.stream;
    let mut crowd = Frames::connect(site.address).await;
    let asked: Vec<Frame> = (0..LEAVING as u32).map(|number| Frame::get(2 * number + 1, "/")).collect();
    crowd.send(&asked).await;
    let mut streams = Vec::new();
    for _ in 0..LEAVING {
        streams.push(upstream.until(kind::HEADERS).await.stream);
    }
    let answer = |stream: u32| Frame::headers(stream, false, &[(":status", "200")]);
    upstream.send(&streams.iter().map(|stream| answer(*stream)).collect::<Vec<Frame>>()).await;
    drop(crowd);
    for _ in 0..LEAVING {
        upstream.until(kind::RST_STREAM).await;
    }
    // What was on its way to them.
    let late = streams.iter().flat_map(|stream| [Frame::data(*stream, false, "late"), Frame::reset(*stream, 0)]);
    upstream.send(&late.collect::<Vec<Frame>>()).await;
    upstream.send(&[answer(kept), Frame::data(kept, true, "here")]).await;
    assert_eq!(staying.until(kind::DATA).await.payload, b"here");
    assert_eq!(site.edge.count("cluster.b.upstream_cx_protocol_error"), 0);
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn heads_of_a_connection_hold_so_much_in_all() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    let large = "x".repeat(15_000);
    let head = |stream: u32| {
        let fields =
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x-large", &large)];
        Frame::headers(stream, true, &fields)
    };
    let heads: Vec<Frame> = (0..STALLED as u32).map(|number| head(2 * number + 1)).collect();
    client.send(&heads).await;
    let refused = client.until(kind::RST_STREAM).await;
    let taken = refused.stream as usize / 2;
    assert!((60..80).contains(&taken), "{taken}");
    assert_eq!(refused.code(), 7, "it may be sent again");
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    for request in requests(&mut upstream, taken).await {
        request.says("here");
    }
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    client.send(&[head(2 * STALLED as u32 + 1)]).await;
    upstream.request().await.says("here");
    site.stop().await;
}
