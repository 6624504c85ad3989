//! Memory stays bounded, whatever clients do.

use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::kit::{Backend, Behaviour, Edge, cluster, connect, listener, tcp_chain, within};
use crate::shared::memory::{is_alone, resident, settles};

const READERS: u64 = 8;
const BYTES: u64 = 100_000_000;
/// What may lie in the buffers of the two connections of a reader, and in the pipe between them.
const MOST_BETWEEN: u64 = 24 << 20;

#[tokio::test]
async fn slow_readers_of_bulk_hold_up_their_senders_and_not_our_memory() {
    if !is_alone("memory::slow_readers_of_bulk_hold_up_their_senders_and_not_our_memory") {
        return;
    }
    let edge = Edge::start(2);
    let backend = Backend::start("flood", Behaviour::Flood).await;
    edge.cluster(cluster("flood", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("flood")])).await;
    let before = resident();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut client = connect(address).await;
        within("the first byte", client.read_u8()).await.unwrap();
        readers.push(client);
    }
    let stalled = settles(&backend.sent).await;
    assert!(stalled < READERS * MOST_BETWEEN, "{stalled} bytes went somewhere");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    // They read on and get everything.
    let mut reading = JoinSet::new();
    for client in readers {
        reading.spawn(async move {
            let mut taken = client.take(BYTES - 1);
            within("the rest", tokio::io::copy(&mut taken, &mut tokio::io::sink())).await.unwrap()
        });
    }
    while let Some(count) = reading.join_next().await {
        assert_eq!(count.unwrap(), BYTES - 1);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    edge.stop().await;
}
