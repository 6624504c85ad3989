//! Bodies that are large enough to go past without being looked at: each byte arrives, and no byte of the next message goes with them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{Site, Wire};

const SIZE: usize = 3 << 20;
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Bytes of which none can be missing, doubled or moved without being seen.
fn bulk(seed: usize) -> String {
    let mut text: String = (seed..).step_by(8).take(SIZE / 8).map(|number| format!("{number:08x}")).collect();
    text.truncate(SIZE);
    text
}

fn same(found: &str, expected: &str) {
    assert_eq!(found.len(), expected.len());
    let differs = found.bytes().zip(expected.bytes()).position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "the first byte that is wrong");
}

/// Sends while the other side reads: more than all buffers hold is under way.
async fn send(mut wire: Wire, text: String) -> Wire {
    wire.send(text).await;
    wire
}

#[tokio::test]
async fn a_large_response_ends_where_it_said_and_the_connections_go_on() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    for round in 0..3 {
        let body = bulk(round);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n{body}");
        let sending = tokio::spawn(send(upstream, answer));
        let (head, found) = client.message().await;
        assert_eq!(head.get("content-length"), Some(SIZE.to_string().as_str()));
        same(&found, &body);
        upstream = sending.await.unwrap();
        client.send(GET).await;
        upstream.head().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn what_an_upstream_sends_behind_a_large_response_is_not_the_clients() {
    let site = Site::start().await;
    let (mut client, upstream, _) = site.sent(GET).await;
    let body = bulk(1);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n{body}HTTP/1.1 200 OK\r\n\r\nforeign");
    let sending = tokio::spawn(send(upstream, answer));
    same(&client.message().await.1, &body);
    drop(sending.await.unwrap());
    // The connection with the rest on it serves nobody.
    client.send(GET).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_large_response_may_end_with_its_connection_or_with_too_little() {
    let site = Site::with(|plan| plan.manager.accept_http_10 = true).await;
    let body = bulk(2);
    let (mut client, upstream, _) = site.sent("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let sending = tokio::spawn(send(upstream, format!("HTTP/1.1 200 OK\r\n\r\n{body}")));
    client.head().await;
    let reading = tokio::spawn(async move { client.closes().await });
    drop(sending.await.unwrap());
    same(&reading.await.unwrap(), &body);

    let (mut client, upstream, _) = site.sent(GET).await;
    let sending =
        tokio::spawn(send(upstream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", SIZE + 1)));
    client.head().await;
    let reading = tokio::spawn(async move { client.closes().await });
    drop(sending.await.unwrap());
    // What there is arrives; that it is not all the end of the connection says.
    assert!(reading.await.unwrap().len() <= SIZE);
    site.stop().await;
}

#[tokio::test]
async fn a_large_request_is_followed_by_the_next() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let mut upstream = None;
    for round in 0..2 {
        let body = bulk(round + 7);
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n{body}");
        let sending = tokio::spawn(send(client, request));
        let mut wire = match upstream.take() {
            Some(wire) => wire,
            None => site.backend.accept().await,
        };
        let (_, found) = wire.message().await;
        same(&found, &body);
        client = sending.await.unwrap();
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.message().await.1, "ok");
        upstream = Some(wire);
    }
    site.stop().await;
}

#[tokio::test]
async fn an_upgraded_connection_carries_bulk_both_ways_to_its_last_byte() {
    let site = Site::start().await;
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let (mut client, mut upstream, _) = site.sent(upgrade).await;
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    client.head().await;
    let (question, answer) = (bulk(3), bulk(4));
    let ((mut from_client, mut to_client), (mut from_upstream, mut to_upstream)) =
        (client.stream.split(), upstream.stream.split());
    tokio::join!(
        async { to_client.write_all(question.as_bytes()).await.unwrap() },
        async { to_upstream.write_all(answer.as_bytes()).await.unwrap() },
        async { same(&exactly(&mut from_upstream).await, &question) },
        async { same(&exactly(&mut from_client).await, &answer) },
    );
    // The endpoint says its last words and goes.
    let sending = tokio::spawn(send(upstream, answer.clone()));
    same(&exactly(&mut client.stream).await, &answer);
    drop(sending.await.unwrap());
    assert_eq!(client.closes().await, "");
    site.stop().await;
}

async fn exactly(from: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut found = vec![0; SIZE];
    from.read_exact(&mut found).await.unwrap();
    String::from_utf8(found).unwrap()
}
