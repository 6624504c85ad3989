//! Waiting for something to become true, never for time to pass.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longer than anything here can take, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Polls until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The result of something that must not hang.
pub(crate) async fn within<F: Future>(what: &str, work: F) -> F::Output {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("took too long: {what}"))
}

/// Reads exactly `expected`.
pub(crate) async fn says(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    within("an answer", stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(expected));
}

/// Reads until the other side closes, and returns what it sent before. A reset counts as closed.
pub(crate) async fn closes(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut received = Vec::new();
    // What counts is that it ends, not how.
    drop(within("the end of a connection", stream.read_to_end(&mut received)).await);
    received
}
