//! Changes of everything under load over HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

use crate::kit::{Http2Client, eventually, get, within};
use crate::live::Changes;

const CONNECTIONS: usize = 4;
/// At once on each of them.
const STREAMS: usize = 4;

async fn load(address: std::net::SocketAddr, served: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Http2Client {
    let mut client = Http2Client::connect(address).await;
    while !stop.load(Ordering::Relaxed) {
        let mut asked = Vec::new();
        for _ in 0..STREAMS {
            asked.push(client.send(get("/"), true).await);
        }
        for asked in asked {
            let answer = asked.message().await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            served.fetch_add(1, Ordering::Relaxed);
        }
    }
    client
}

#[tokio::test]
async fn fifty_changes_under_load_fail_no_stream_and_close_no_connection() {
    let (mut changes, address) = Changes::start().await;
    let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(load(address, served.clone(), stop.clone()));
    }
    for round in 0..50 {
        changes.round(round).await;
        let before = served.load(Ordering::Relaxed);
        let most = (4 * CONNECTIONS * STREAMS) as u64;
        eventually("the load goes on", async || served.load(Ordering::Relaxed) >= before + most).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut ended = Vec::new();
    while let Some(client) = within("the end of a client", clients.join_next()).await {
        ended.push(client.unwrap());
    }
    assert_eq!(ended.iter().filter(|client| client.is_over()).count(), 0);
    assert_eq!(changes.edge.workers.active_connections(), CONNECTIONS as u64);
    assert_eq!(changes.edge.count("http.test.downstream_cx_http2_total"), CONNECTIONS as u64);
    assert_eq!(changes.edge.count("server.connection_panics"), 0);
}
