//! How messages are delimited, on the way to the backend and back.

use tokio::net::TcpSocket;

use crate::kit::{Site, Wire};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other_on_one_upstream_connection() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    for round in 0..3 {
        upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{round}")).await;
        let (head, body) = client.message().await;
        assert_eq!((head.status(), body, head.get("connection")), (200, round.to_string(), None));
        client.send(GET).await;
        upstream.head().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let site = Site::start().await;
    let pipeline = ["1", "2", "3"].map(|name| format!("GET /{name} HTTP/1.1\r\nhost: a\r\n\r\n")).concat();
    let (mut client, mut upstream, mut head) = site.sent(&pipeline).await;
    for name in ["1", "2", "3"] {
        assert_eq!(head.line, format!("GET /{name} HTTP/1.1"));
        upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{name}")).await;
        if name != "3" {
            head = upstream.head().await;
        }
    }
    for name in ["1", "2", "3"] {
        assert_eq!(client.message().await.1, name);
    }
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_arrives_byte_by_byte_is_served() {
    let site = Site::start().await;
    let mut client = site.client().await;
    for byte in b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    let mut upstream = site.backend.accept().await;
    assert_eq!(upstream.message().await.1, "abc");
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let site = Site::start().await;
    let mut client = site.client().await;
    for (method, answer, length) in [
        ("HEAD", "200 OK\r\ncontent-length: 5000", Some("5000")),
        ("GET", "204 No Content", None),
        ("GET", "304 Not Modified\r\ncontent-length: 77", Some("77")),
    ] {
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(head.status().to_string(), answer[..3]);
        assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (length, None));
        assert_eq!(head.get("connection"), None);
    }
    client.send(GET).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn chunked_bodies_pass_both_ways_while_they_are_made() {
    let site = Site::start().await;
    let (mut client, mut upstream, head) =
        site.sent("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (Some("chunked"), None));
    for part in ["5\r\nfirst\r\n", "6\r\nsecond\r\n"] {
        client.send(part).await;
        upstream.says(part).await;
    }
    client.send("0\r\n\r\n").await;
    upstream.says("0\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(client.head().await.get("transfer-encoding"), Some("chunked"));
    for part in ["3\r\none\r\n", "3\r\ntwo\r\n"] {
        upstream.send(part).await;
        client.says(part).await;
    }
    upstream.send("0\r\n\r\n").await;
    client.says("0\r\n\r\n").await;
    site.logs(&["200 - via_upstream 11 6"]).await;
    site.stop().await;
}

#[tokio::test]
async fn extensions_and_trailers_of_chunks_end_here() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site
        .sent("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nx-last: 1\r\n\r\n")
        .await;
    upstream.says("2\r\nab\r\n0\r\n\r\n").await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_body_that_ends_with_the_upstream_connection_is_chunked_for_the_client() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    drop(upstream);
    let (head, body) = client.message().await;
    assert_eq!((head.get("transfer-encoding"), body.as_str()), (Some("chunked"), "until the end"));
    // The client's connection lives on.
    client.send(GET).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn expectations_are_relayed_and_so_is_100_continue() {
    let site = Site::start().await;
    let (mut client, mut upstream, head) =
        site.sent("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(head.get("expect"), Some("100-continue"));
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 100);
    client.send("body").await;
    upstream.says("body").await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    site.logs(&["200 - via_upstream 4 2"]).await;
    site.stop().await;
}

#[tokio::test]
async fn expectations_are_answered_here_where_they_are_not_to_be_relayed() {
    let site = Site::with(|plan| plan.manager.proxy_100_continue = false).await;
    let (mut client, mut upstream, head) =
        site.sent("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(head.get("expect"), None);
    assert_eq!(client.head().await.status(), 100);
    client.send("body").await;
    upstream.says("body").await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn early_hints_are_relayed_before_the_answer() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n").await;
    let hints = client.head().await;
    assert_eq!((hints.status(), hints.get("link")), (103, Some("</style.css>; rel=preload")));
    upstream.send(OK).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("link"), body.as_str()), (200, None, "ok"));
    site.stop().await;
}

#[tokio::test]
async fn hints_that_the_client_does_not_take_are_left_out() {
    const HINTS: usize = 100;
    let site = Site::start().await;
    let slow = TcpSocket::new_v4().unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    let mut client = Wire::new(slow.connect(site.address).await.unwrap());
    client.send(GET).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n", "x".repeat(59 * 1024));
    upstream.send(hint.repeat(HINTS) + OK).await;
    site.edge.counts("cluster.b.upstream_rq_completed", 1).await;
    let mut hints = 0;
    let head = loop {
        let head = client.head().await;
        if head.status() != 103 {
            break head;
        }
        hints += 1;
    };
    assert_eq!((head.status(), client.body(&head).await.as_str()), (200, "ok"));
    assert!((1..HINTS).contains(&hints), "{hints}");
    site.stop().await;
}

#[tokio::test]
async fn the_absolute_form_becomes_a_path_and_its_host_wins() {
    let site = Site::start().await;
    let (_client, _upstream, head) =
        site.sent("GET http://shop.example.com/cart?x=1 HTTP/1.1\r\nhost: other.example.com\r\n\r\n").await;
    assert_eq!((head.line.as_str(), head.get("host")), ("GET /cart?x=1 HTTP/1.1", Some("shop.example.com")));
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_told_so_and_closed() {
    let site = Site::start().await;
    let (mut client, mut upstream, head) = site.sent("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(head.get("connection"), None);
    upstream.send(OK).await;
    let (head, body) = client.message().await;
    assert_eq!((head.get("connection"), body.as_str()), (Some("close"), "ok"));
    assert_eq!(client.closes().await, "");
    site.stop().await;
}
