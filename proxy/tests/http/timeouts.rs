//! Clients and backends that take too long.

use std::time::Duration;

use selvedge::http::MinimumRate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::kit::{Open, Site, Wire, http2_upstream, post, within};

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
    // Longer than a busy machine keeps the upstream from pouring: it must be the client that is waited for.
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = Some(Duration::from_secs(2))).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    let block = vec![b'x'; 64 * 1024];
    let pouring = async { while upstream.stream.write_all(&block).await.is_ok() {} };
    within("the upstream is let go", pouring).await;
    site.edge.counts("downstream_rq_idle_timeout", 1).await;
    // Nothing is kept for it any more, and it can tell that something is missing.
    let end = within("the end", client.stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    site.edge.counts("http.test.downstream_cx_active", 0).await;
    site.stop().await;
}

/// More than a byte now and then, in a time that does not make tests long.
const RATE: MinimumRate = MinimumRate { bytes: 10_000, period: Duration::from_millis(200) };

const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n";

/// Sends a byte now and then until that is too slow.
async fn drips(site: &Site, client: &mut Wire) {
    within("it is too slow", async {
        while site.edge.count("downstream_rq_too_slow") == 0 {
            // It may be closed by now.
            drop(client.stream.write_all(b"x").await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_drips_gets_408_at_the_minimum_rate() {
    let site = Site::with(|plan| plan.options.minimum_rate = Some(RATE)).await;
    let (mut client, mut upstream, _) = site.sent(&format!("{POST}\r\n")).await;
    drips(&site, &mut client).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (408, Some("close"), "request too slow"));
    assert!(upstream.closes().await.len() < 10_000);
    site.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_read_too_slowly_is_cut_off_at_the_minimum_rate() {
    let site = Site::with(|plan| plan.options.minimum_rate = Some(RATE)).await;
    // What the client calls itself does not make the answer gRPC.
    let (mut client, mut upstream, _) =
        site.sent("GET / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    let block = vec![b'x'; 64 * 1024];
    let pouring = async { while upstream.stream.write_all(&block).await.is_ok() {} };
    within("the upstream is let go", pouring).await;
    site.edge.counts("downstream_rq_too_slow", 1).await;
    let end = within("the end", client.stream.read_to_end(&mut Vec::new())).await;
    // A reset, or an end where the system had taken everything: less than was announced in any case.
    assert!(
        end.as_ref()
            .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |count| *count < 500_000_000),
        "{end:?}"
    );
    site.stop().await;
}

#[tokio::test]
async fn messages_of_grpc_have_no_minimum_rate() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.options.minimum_rate = Some(RATE);
    })
    .await;
    let mut head = post("/");
    head.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let Open { client: _client, mut asked, upstream: _upstream, mut request } = site.asked(head, false).await;
    asked.body.send_data("one".into(), false).unwrap();
    tokio::time::sleep(3 * RATE.period).await;
    asked.body.send_data("two".into(), true).unwrap();
    assert_eq!(request.read().await.body, "onetwo");
    request.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}

#[tokio::test]
async fn what_calls_itself_grpc_over_http1_has_a_minimum_rate() {
    let site = Site::with(|plan| plan.options.minimum_rate = Some(RATE)).await;
    let (mut client, _upstream, _) = site.sent(&format!("{POST}content-type: application/grpc\r\n\r\n")).await;
    drips(&site, &mut client).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_is_not_too_slow_while_the_other_side_is_waited_for() {
    let site = Site::with(|plan| plan.options.minimum_rate = Some(RATE)).await;
    const LENGTH: usize = 10_000_000;
    let (mut client, mut upstream, _) =
        site.sent(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
    let body = vec![b'x'; LENGTH];
    let reading = async {
        // It takes nothing, then everything, then it thinks about the answer, of which it says a part at first.
        tokio::time::sleep(3 * RATE.period).await;
        upstream.discard(LENGTH as u64).await;
        tokio::time::sleep(3 * RATE.period).await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await;
        tokio::time::sleep(3 * RATE.period).await;
        upstream.send("k").await;
    };
    tokio::join!(client.send(&body), reading);
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(site.edge.count("downstream_rq_too_slow"), 0);
    site.stop().await;
}
