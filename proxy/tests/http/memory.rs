//! Memory stays bounded, whatever clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::kit::{Plan, Site, Wire, cluster};
use crate::shared::memory::{is_alone, resident, settles};

const READERS: u64 = 8;
pub(crate) const RESPONSE: u64 = 100_000_000;

/// Answers every connection with a large response, made as it is taken; counts what was taken.
pub(crate) async fn large_responses(listener: TcpListener, taken: Arc<AtomicU64>) {
    let mut serving = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let taken = taken.clone();
        serving.spawn(async move {
            let mut wire = Wire::new(stream);
            wire.head().await;
            wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {RESPONSE}\r\n\r\n")).await;
            let piece = [b'x'; 10_000];
            for _ in 0..RESPONSE / piece.len() as u64 {
                wire.stream.write_all(&piece).await.unwrap();
                taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            wire.closes().await;
        });
    }
}

#[tokio::test]
async fn slow_readers_of_large_responses_hold_up_their_senders_and_not_our_memory() {
    if !is_alone("memory::slow_readers_of_large_responses_hold_up_their_senders_and_not_our_memory") {
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let mut backend = JoinSet::new();
    backend.spawn(large_responses(listener, taken.clone()));
    let site = Site::with(|plan: &mut Plan| plan.cluster = cluster("b", &[address])).await;
    let before = resident();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut client = site.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        readers.push(client);
    }
    let stalled = settles(&taken).await;
    assert!(stalled < READERS * RESPONSE / 2, "{stalled} bytes went somewhere");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    // They read on and get everything.
    let mut reading = JoinSet::new();
    for mut client in readers {
        reading.spawn(async move { client.discard(RESPONSE).await });
    }
    while let Some(done) = reading.join_next().await {
        done.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    site.stop().await;
}
