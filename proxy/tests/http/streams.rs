//! Connections that change their protocol, and responses without an end.

use std::time::Duration;

use crate::kit::{Server, Site, Wire, cluster, direct, eventually, forward, prefix, table};

const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// An upgraded connection: its two ends.
async fn upgraded(site: &Site) -> (Wire, Wire) {
    let (mut client, mut upstream, head) = site.sent(UPGRADE).await;
    assert_eq!((head.get("connection"), head.get("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(head.get("sec-websocket-key"), Some("k"));
    upstream.send(SWITCHING).await;
    let head = client.head().await;
    assert_eq!((head.status(), head.get("upgrade")), (101, Some("websocket")));
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (None, None));
    (client, upstream)
}

#[tokio::test]
async fn a_websocket_is_a_tunnel_both_ways() {
    let site = Site::start().await;
    let (mut client, mut upstream) = upgraded(&site).await;
    client.talks_with(&mut upstream).await;
    // Things that would mean something to HTTP.
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    upstream.says("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(site.edge.count("downstream_cx_upgrades_active"), 1);
    drop(upstream);
    assert_eq!(client.closes().await, "");
    drop(client);
    site.logs(&["101 UC upstream_reset_after_response_started{connection_termination} 22 4"]).await;
    assert_eq!(site.edge.count("downstream_cx_upgrades_active"), 0);
    site.stop().await;
}

#[tokio::test]
async fn who_ends_a_websocket_is_named_and_the_other_side_sees_an_end() {
    let site = Site::start().await;
    let (client, mut upstream) = upgraded(&site).await;
    drop(client);
    assert!(!upstream.is_reset_after("").await);
    site.logs(&["101 DC downstream_remote_disconnect 0 0"]).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_rx_reset"), 1);
    let (mut client, upstream) = upgraded(&site).await;
    drop(upstream);
    assert!(!client.is_reset_after("").await);
    site.edge.counts("cluster.b.upstream_rq_rx_reset", 1).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_rx_reset"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_reset_of_either_side_is_a_reset_for_the_other() {
    let site = Site::start().await;
    let (mut client, mut upstream) = upgraded(&site).await;
    client.talks_with(&mut upstream).await;
    client.reset();
    assert!(upstream.is_reset_after("").await);
    site.logs(&["101 DC downstream_remote_disconnect 4 4"]).await;

    let (mut client, mut upstream) = upgraded(&site).await;
    upstream.send("bye").await;
    client.says("bye").await;
    upstream.reset();
    assert!(client.is_reset_after("").await);
    let closed = "upstream_reset_after_response_started{connection_termination}";
    site.logs(&["101 DC downstream_remote_disconnect 4 4", &format!("101 UC {closed} 0 3")]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_side_that_closes_with_a_reset_while_it_is_sent_to_is_named() {
    let site = Site::start().await;
    let (mut client, upstream) = upgraded(&site).await;
    // Bytes that it does not read make its end a reset, which who sends to it may hear of first.
    client.send("unread").await;
    upstream.bytes_come().await;
    drop(upstream);
    client.sends_until_the_end().await;
    let lines = site.log.lines(1).await;
    assert!(lines[0].starts_with("101 UC upstream_reset_after_response_started{connection_termination} "), "{lines:?}");
    site.stop().await;
}

#[tokio::test]
async fn bytes_right_behind_the_switch_are_not_lost() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(&format!("{UPGRADE}early")).await;
    upstream.send(format!("{SWITCHING}hello")).await;
    assert_eq!(client.head().await.status(), 101);
    client.says("hello").await;
    upstream.says("early").await;
    site.stop().await;
}

#[tokio::test]
async fn a_websocket_outlives_changes_of_its_route_listener_cluster_and_endpoints() {
    let site = Site::start().await;
    let (mut client, mut upstream) = upgraded(&site).await;
    let mut witness = site.client().await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    site.edge.routes(table(vec![prefix("/", direct(200, "changed"))])).await;
    eventually("the table is in force", async || witness.ask(get).await.1 == "changed").await;
    client.talks_with(&mut upstream).await;

    let mut listener = site.listener.clone();
    if let xds_model::listener::TerminalFilter::Http(manager) = &mut listener.filter_chains[0].terminal {
        manager.access_log.clear();
        manager.server_name = "another".to_owned();
    }
    site.edge.listener(listener).await;
    eventually("the listener is in force", async || witness.ask(get).await.0.get("server") == Some("another")).await;
    client.talks_with(&mut upstream).await;

    let other = Server::start("other").await;
    site.edge.cluster(cluster("b", &[other.address])).await;
    site.edge.routes(table(vec![prefix("/", forward("b"))])).await;
    eventually("the endpoints are in force", async || site.answer(get).await.1 == "other").await;
    client.talks_with(&mut upstream).await;

    site.edge.remove_cluster("b").await;
    eventually("the cluster is gone", async || site.answer(get).await.0.status() == 503).await;
    client.talks_with(&mut upstream).await;
    assert!(!client.is_closed() && !upstream.is_closed());
    site.stop().await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_let_through_gets_403() {
    let site = Site::start().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: irc\r\n\r\n";
    let (head, _) = site.answer(request).await;
    assert_eq!(head.status(), 403);
    site.logs(&["403 - upgrade_failed 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn an_upgrade_that_the_backend_refuses_ends_the_connection() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(UPGRADE).await;
    upstream.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("upgrade"), body.as_str()), (400, None, "no"));
    // The client may have sent bytes of the other protocol already.
    assert_eq!(head.get("connection"), Some("close"));
    assert_eq!(client.closes().await, "");
    site.stop().await;
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_gets_502() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.send(SWITCHING).await;
    assert_eq!(client.message().await.0.status(), 502);
    site.stop().await;
}

#[tokio::test]
async fn a_silent_websocket_closes_at_the_stream_idle_timeout_and_a_busy_one_does_not() {
    let site = Site::with(|plan| plan.manager.stream_idle_timeout = Some(Duration::from_secs(1))).await;
    let (mut client, mut upstream) = upgraded(&site).await;
    for _ in 0..15 {
        client.talks_with(&mut upstream).await;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert_eq!(client.closes().await, "");
    assert_eq!(upstream.closes().await, "");
    site.edge.counts("http.test.downstream_rq_idle_timeout", 1).await;
    site.stop().await;
}

#[tokio::test]
async fn events_pass_one_by_one_for_as_long_as_they_come() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.head().await;
    for number in 10..20 {
        let event = format!("a\r\ndata: {number}\n\n\r\n");
        upstream.send(&event).await;
        client.says(&event).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_draining_gateway_closes_connections_with_their_next_answer() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    site.edge.drain.advance(selvedge::drain::Phase::Draining);
    site.edge.counts("downstream_cx_drained", 1).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (head, body) = client.message().await;
    assert_eq!((head.get("connection"), body.as_str()), (Some("close"), "ok"));
    assert_eq!(client.closes().await, "");
    site.stop().await;
}
