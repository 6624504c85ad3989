//! Memory stays bounded, whatever clients do.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::kit::{Plan, Site, Wire, cluster, eventually};

/// Set in a process that runs one test alone.
const ALONE: &str = "SELVEDGE_TEST_ALONE";
const READERS: u64 = 8;
const RESPONSE: u64 = 100_000_000;

/// Runs a test of this module in a process of its own, so that the memory measured is its own; `true` in that process.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", &format!("memory::{test}"), "--nocapture"]).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Answers every connection with a large response, made as it is taken; counts what was taken.
async fn large_responses(listener: TcpListener, taken: Arc<AtomicU64>) {
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

/// Waits until a number does not change any more.
async fn settles(number: &AtomicU64) -> u64 {
    let (mut last, mut unchanged) = (0, 0);
    eventually("it settles", async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = number.load(Ordering::Relaxed);
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
        unchanged == 20
    })
    .await;
    last
}

#[tokio::test]
async fn slow_readers_of_large_responses_hold_up_their_senders_and_not_our_memory() {
    if !is_alone("slow_readers_of_large_responses_hold_up_their_senders_and_not_our_memory") {
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
