//! Clients and backends that take too long.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::kit::{Site, within};

const SHORT: Option<Duration> = Some(Duration::from_millis(200));
const LONG: Option<Duration> = Some(Duration::from_secs(600));
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_head_that_takes_too_long_gets_408() {
    let site = Site::with(|plan| plan.manager.request_headers_timeout = SHORT).await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nhost:").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection")), (408, Some("close")));
    assert_eq!(body, "request header timeout");
    assert_eq!(client.closes().await, "");
    site.logs(&["408 - request_header_timeout 0 22"]).await;
    assert_eq!(site.edge.count("downstream_rq_header_timeout"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_body_that_never_comes_gets_408() {
    let site = Site::with(|plan| plan.manager.request_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (408, Some("close"), "request timeout"));
    assert_eq!(client.closes().await, "");
    assert_eq!(upstream.closes().await, "ab");
    site.logs(&["408 - request_overall_timeout 2 15"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_gets_408_however_steadily_it_does() {
    let site = Site::with(|plan| {
        plan.manager.request_timeout = SHORT;
        plan.manager.stream_idle_timeout = LONG;
    })
    .await;
    let (mut client, _upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n").await;
    // A few pieces, well apart from the head and before the time is up.
    for _ in 0..3 {
        client.send("x").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(client.message().await.0.status(), 408);
    site.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let site = Site::with(|plan| plan.manager.idle_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.message().await.0.status(), 200);
    assert_eq!(client.closes().await, "");
    assert_eq!(site.edge.count("downstream_cx_idle_timeout"), 1);
    site.logs(&["200 - via_upstream 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_sends_a_request_is_closed() {
    let site = Site::with(|plan| plan.manager.idle_timeout = SHORT).await;
    assert_eq!(site.client().await.closes().await, "");
    site.logs(&[]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_request_may_take_longer_than_its_connection_may_idle() {
    let site = Site::with(|plan| plan.manager.idle_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn a_route_that_takes_too_long_gets_504() {
    let site = Site::with(|plan| plan.forward().timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), body.as_str()), (504, "upstream request timeout"));
    assert_eq!(head.get("connection"), None);
    assert_eq!(upstream.closes().await, "");
    site.logs(&["504 UT response_timeout 0 24"]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_timeout"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_response_that_takes_too_long_is_cut_off() {
    let site = Site::with(|plan| plan.forward().timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.closes().await, "half");
    assert_eq!(upstream.closes().await, "");
    site.logs(&["200 UT response_timeout 0 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_route_timeout_counts_from_the_end_of_the_request() {
    let site = Site::with(|plan| plan.forward().timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.send("ab").await;
    upstream.says("ab").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn a_silent_upstream_gets_504_at_the_stream_idle_timeout() {
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), body.as_str()), (504, "stream timeout"));
    assert_eq!(upstream.closes().await, "");
    site.logs(&["504 SI stream_idle_timeout 0 14"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_response_that_falls_silent_is_cut_off_at_the_stream_idle_timeout() {
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.closes().await, "half");
    assert_eq!(upstream.closes().await, "");
    site.logs(&["200 SI stream_idle_timeout 0 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_sending_its_request_gets_408_at_the_stream_idle_timeout() {
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = SHORT).await;
    let (mut client, mut upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (408, Some("close"), "stream timeout"));
    assert_eq!(client.closes().await, "");
    assert_eq!(upstream.closes().await, "ab");
    site.logs(&["408 SI stream_idle_timeout 2 14"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_a_response_is_cut_off_at_the_stream_idle_timeout() {
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = SHORT).await;
    let (_client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    let block = vec![b'x'; 64 * 1024];
    let pouring = async { while upstream.stream.write_all(&block).await.is_ok() {} };
    within("the upstream is let go", pouring).await;
    site.edge.counts("downstream_rq_idle_timeout", 1).await;
    site.stop().await;
}
