//! Which connection a request is sent on, as clusters and endpoints change.

use crate::kit::{Backend, Plan, Server, Site, Wire, assignment, cluster, eds_cluster, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Serves one request and leaves both connections idle.
async fn served(site: &Site) -> (Wire, Wire) {
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    (client, upstream)
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer_that_says_the_length_of_a_body_it_has_not() {
    let site = Site::start().await;
    let (mut client, mut upstream) = served(&site).await;
    for (method, answer) in [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "200 OK")] {
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        upstream.head().await;
        let length = if method == "GET" && answer == "200 OK" { 0 } else { 77 };
        upstream.send(format!("HTTP/1.1 {answer}\r\ncontent-length: {length}\r\n\r\n")).await;
        assert!(client.head().await.line.ends_with(answer));
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_body_where_there_must_be_none_is_nobodys_answer() {
    let site = Site::start().await;
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    let mut client = site.client().await;
    for (method, status) in [("HEAD", "200 OK"), ("GET", "304 Not Modified")] {
        for at_once in [true, false] {
            client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            let mut upstream = site.backend.accept().await;
            upstream.head().await;
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", smuggled.len());
            upstream.send(head + if at_once { smuggled } else { "" }).await;
            assert_eq!(client.head().await.line, format!("HTTP/1.1 {status}"), "{method}, {at_once}");
            if !at_once {
                upstream.send(smuggled).await;
            }
            assert_eq!(upstream.closes().await, "", "{method} {status}");
        }
    }
    site.stop().await;
}

fn with_eds(plan: &mut Plan) {
    plan.cluster = eds_cluster("b");
}

#[tokio::test]
async fn a_request_waits_for_endpoints_that_are_on_their_way() {
    let site = Site::with(with_eds).await;
    let mut client = site.client().await;
    client.send(GET).await;
    site.edge.counts("http.test.downstream_rq_active", 1).await;
    let server = Server::start("here").await;
    site.edge.endpoints(assignment("b", &[server.address])).await;
    assert_eq!(client.message().await.1, "here");
    site.stop().await;
}

#[tokio::test]
async fn an_idle_connection_to_an_endpoint_that_is_removed_closes() {
    let site = Site::with(with_eds).await;
    site.edge.endpoints(assignment("b", &[site.backend.address])).await;
    let (mut client, mut idle) = served(&site).await;
    let server = Server::start("other").await;
    site.edge.endpoints(assignment("b", &[server.address])).await;
    assert_eq!(idle.closes().await, "");
    assert_eq!(client.ask(GET).await.1, "other");
    site.stop().await;
}

#[tokio::test]
async fn a_request_to_an_endpoint_that_is_removed_finishes() {
    let site = Site::with(with_eds).await;
    site.edge.endpoints(assignment("b", &[site.backend.address])).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    let server = Server::start("other").await;
    site.edge.endpoints(assignment("b", &[server.address])).await;
    eventually("new requests go elsewhere", async || site.answer(GET).await.1 == "other").await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(upstream.closes().await, "");
    assert_eq!(client.ask(GET).await.1, "other");
    site.stop().await;
}

#[tokio::test]
async fn connections_to_an_endpoint_that_stays_are_kept() {
    let site = Site::with(with_eds).await;
    let (gone, new) = (Backend::start().await, Backend::start().await);
    site.edge.endpoints(assignment("b", &[site.backend.address])).await;
    let (mut client, mut upstream) = served(&site).await;
    site.edge.endpoints(assignment("b", &[gone.address, site.backend.address])).await;
    site.edge.endpoints(assignment("b", &[site.backend.address, new.address])).await;
    site.edge.endpoints(assignment("b", &[site.backend.address])).await;
    client.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_request_to_a_cluster_that_is_removed_finishes() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    site.edge.remove_cluster("b").await;
    eventually("new requests have no cluster", async || site.answer(GET).await.0.status() == 503).await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(client.ask(GET).await.0.status(), 503);
    site.edge.cluster(site.cluster.clone()).await;
    let mut client = site.client().await;
    client.send(GET).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_connection_serves_as_many_requests_as_its_cluster_allows() {
    let site = Site::with(|plan| plan.cluster.max_requests_per_connection = Some(2)).await;
    let (mut client, mut upstream) = served(&site).await;
    client.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(upstream.closes().await, "");
    site.stop().await;
}

#[tokio::test]
async fn an_upstream_that_says_close_is_not_used_again() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    let (head, _) = client.message().await;
    assert_eq!(head.get("connection"), None);
    assert_eq!(upstream.closes().await, "");
    client.send(GET).await;
    site.backend.accept().await.head().await;
    site.stop().await;
}

#[tokio::test]
async fn bytes_behind_a_response_are_not_taken_for_the_next_one() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")).await;
    assert_eq!(client.message().await.1, "ok");
    client.send(GET).await;
    let mut fresh = site.backend.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_it_was_idle_is_not_used_again() {
    for request in [GET, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab"] {
        let site = Site::start().await;
        let (mut client, upstream) = served(&site).await;
        drop(upstream);
        client.send(request).await;
        let mut fresh = site.backend.accept().await;
        fresh.message().await;
        fresh.send(OK).await;
        assert_eq!(client.message().await.1, "ok");
        site.stop().await;
    }
}

#[tokio::test]
async fn an_idle_connection_that_says_something_is_not_used_again() {
    let site = Site::start().await;
    let (mut client, mut upstream) = served(&site).await;
    upstream.send("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
    // Either it was noticed, or the next request is sent on a new connection all the same.
    assert_eq!(upstream.closes().await, "");
    client.send(GET).await;
    let mut fresh = site.backend.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_new_endpoint_is_reached_by_connections_that_were_open_before() {
    let (old, new) = (Server::start("old").await, Server::start("new").await);
    let site = Site::with(|plan| plan.cluster = cluster("b", &[old.address])).await;
    let mut client = site.client().await;
    assert_eq!(client.ask(GET).await.1, "old");
    site.edge.cluster(cluster("b", &[new.address])).await;
    eventually("the new endpoint is used", async || client.ask(GET).await.1 == "new").await;
    assert_eq!(client.ask(GET).await.1, "new");
    site.stop().await;
}

#[tokio::test]
async fn bytes_are_counted_on_both_sides() {
    let site = Site::start().await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let (mut client, mut upstream, head) = site.sent(request).await;
    upstream.says("abc").await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    upstream.send(answer).await;
    let (returned, body) = client.message().await;
    assert_eq!(body, "hello");
    let bytes = |name: &str| site.edge.count(name);
    eventually("the request is counted", async || bytes("downstream_cx_tx_bytes_total") > 0).await;
    assert_eq!(bytes("downstream_cx_rx_bytes_total"), request.len() as u64);
    assert_eq!(bytes("downstream_cx_tx_bytes_total"), returned.wire_length() + 5);
    assert_eq!(bytes("cluster.b.upstream_cx_tx_bytes_total"), head.wire_length() + 3);
    assert_eq!(bytes("cluster.b.upstream_cx_rx_bytes_total"), answer.len() as u64);
    site.stop().await;
}
