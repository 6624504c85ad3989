//! The end of an answer that its client does not take at once, and what the log says of it.

use crate::kit::{Frame, Frames, Site, kind};

/// SETTINGS_INITIAL_WINDOW_SIZE
const WINDOW: u16 = 4;
const CANCEL: u32 = 8;

/// A client that has taken 10 of 100 bytes; the endpoint has sent them all.
async fn taken_in_part(site: &Site) -> Frames {
    let mut client = Frames::connect_with(site.address, &[(WINDOW, 10)]).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "x".repeat(100))).await;
    assert_eq!(client.until(kind::DATA).await.payload.len(), 10);
    site.edge.counts("cluster.b.upstream_rq_active", 0).await;
    client
}

#[tokio::test]
async fn an_answer_is_logged_when_its_client_has_taken_it() {
    let site = Site::start().await;
    let mut client = taken_in_part(&site).await;
    assert_eq!(site.edge.count("downstream_rq_active"), 1);
    client.send(&[Frame::window_update(1, 100)]).await;
    assert!(client.until(kind::DATA).await.ends_stream());
    site.logs(&["200 - via_upstream 0 100"]).await;
    site.edge.counts("downstream_rq_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_reset_within_the_tail_is_logged_with_the_bytes_that_were_sent() {
    let site = Site::start().await;
    let mut client = taken_in_part(&site).await;
    client.send(&[Frame::reset(1, CANCEL)]).await;
    site.logs(&["200 DR http2.remote_reset 0 10"]).await;
    assert_eq!(site.edge.count("downstream_rq_rx_reset"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_the_tail_is_logged_with_the_bytes_that_were_sent() {
    let site = Site::start().await;
    drop(taken_in_part(&site).await);
    site.logs(&["200 DC downstream_remote_disconnect 0 10"]).await;
    site.stop().await;
}
