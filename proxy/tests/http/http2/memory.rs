//! Memory stays bounded, whatever HTTP/2 clients do, and idle connections need little.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http2_oracle::client::Builder;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::kit::{Frame, Frames, Http2Client, Plan, Site, cluster, direct, get, http2_upstream, kind, post, prefix};
use crate::memory::large_responses;
use crate::shared::memory::{is_alone, is_alone_and_frees_at_once, resident, settles};

const STREAMS: u64 = 8;

#[tokio::test]
async fn slow_readers_of_large_responses_on_one_connection_hold_up_their_senders_and_not_our_memory() {
    if !is_alone(
        "http2::memory::slow_readers_of_large_responses_on_one_connection_hold_up_their_senders_and_not_our_memory",
    ) {
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let mut backend = JoinSet::new();
    backend.spawn(large_responses(listener, taken.clone()));
    let site = Site::with(|plan: &mut Plan| {
        plan.cluster = cluster("b", &[address]);
        plan.routes().insert(0, prefix("/quick", direct(200, "quick")));
    })
    .await;
    let before = resident();
    let mut client = Http2Client::with(site.address, Builder::new().initial_connection_window_size(4 << 20)).await;
    let mut unread = Vec::new();
    for _ in 0..STREAMS {
        let mut asked = client.send(get("/"), true).await;
        assert_eq!(asked.head().await.status(), 200);
        unread.push(asked);
    }
    let stalled = settles(&taken).await;
    assert!(stalled < STREAMS * crate::memory::RESPONSE / 2, "{stalled} bytes went somewhere");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    assert_eq!(client.ask("/quick").await.text(), "quick");
    site.stop().await;
}

#[tokio::test]
async fn answers_of_our_own_that_nobody_takes_do_not_fill_our_memory() {
    const CLIENTS: usize = 50;
    const STREAMS: u32 = 10;
    const BODY: usize = 4 << 20;
    if !is_alone("http2::memory::answers_of_our_own_that_nobody_takes_do_not_fill_our_memory") {
        return;
    }
    let body: &'static str = "x".repeat(BODY).leak();
    let site = Site::with(|plan: &mut Plan| *plan.routes() = vec![prefix("/", direct(200, body))]).await;
    let before = resident();
    let mut over_http2 = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Frames::connect(site.address).await;
        let asked: Vec<Frame> = (0..STREAMS).map(|number| Frame::get(2 * number + 1, "/")).collect();
        client.send(&asked).await;
        for _ in 0..STREAMS {
            client.until(kind::HEADERS).await;
        }
        over_http2.push(client);
    }
    let mut over_http1 = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = site.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!(head.status(), 200);
        over_http1.push((client, head));
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 128 << 20, "grown by {grown} bytes");
    // Who reads gets all of it.
    let (mut client, head) = over_http1.pop().unwrap();
    assert_eq!(client.body(&head).await.len(), BODY);
    assert_eq!(site.http2_client().await.ask("/").await.text().len(), BODY);
    site.stop().await;
}

#[tokio::test]
async fn uploads_to_an_endpoint_that_does_not_read_hold_up_the_client_and_not_our_memory() {
    if !is_alone("http2::memory::uploads_to_an_endpoint_that_does_not_read_hold_up_the_client_and_not_our_memory") {
        return;
    }
    let site = Site::with(http2_upstream).await;
    let mut client = site.http2_client().await;
    let sent = Arc::new(AtomicU64::new(0));
    let mut uploads = JoinSet::new();
    let before = resident();
    for _ in 0..STREAMS {
        let mut asked = client.send(post("/"), false).await;
        let sent = sent.clone();
        uploads.spawn(async move {
            let piece = Bytes::from_static(&[b'x'; 16 * 1024]);
            for _ in 0..10_000 {
                asked.body.reserve_capacity(piece.len());
                let room = std::future::poll_fn(|context| asked.body.poll_capacity(context)).await.unwrap().unwrap();
                asked.body.send_data(piece.slice(..room.min(piece.len())), false).unwrap();
                sent.fetch_add(room as u64, Ordering::Relaxed);
            }
        });
    }
    let _silent = Frames::accept(&site.backend, &[]).await;
    let stalled = settles(&sent).await;
    assert!(stalled < 32 << 20, "{stalled} bytes went somewhere");
    let grown = resident().saturating_sub(before);
    assert!(grown < 48 << 20, "grown by {grown} bytes");
    site.stop().await;
}

#[tokio::test]
async fn idle_connections_hold_little() {
    const CONNECTIONS: u64 = 1_000;
    /// Of both ends, and of what the runtimes keep for them.
    const MOST: u64 = 13 * 1024;
    if !is_alone_and_frees_at_once("http2::memory::idle_connections_hold_little") {
        return;
    }
    let site = Site::with(|plan| *plan.routes() = vec![prefix("/", direct(200, "here"))]).await;
    let mut clients = Vec::new();
    let mut before = 0;
    for number in 0..CONNECTIONS + 100 {
        // What is made once is there after the first ones.
        if number == 100 {
            before = resident();
        }
        let mut client = Frames::connect(site.address).await;
        // A head that is larger than what is kept.
        let large = "x".repeat(10_000);
        let fields =
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x-large", &large)];
        client.send(&[Frame::headers(1, true, &fields)]).await;
        client.until(kind::DATA).await;
        client.forget();
        clients.push(client);
    }
    let each = resident().saturating_sub(before) / CONNECTIONS;
    assert!(each < MOST, "{each} bytes for each connection");
    site.stop().await;
}
