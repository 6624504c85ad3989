//! Which protocol a connection in clear text speaks.

use xds_model::http::Codec;

use crate::kit::{Frame, Frames, Plan, Site, direct, kind, prefix};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn answering(codec: Codec) -> impl FnOnce(&mut Plan) {
    move |plan| {
        plan.manager.codec = codec;
        *plan.routes() = vec![prefix("/", direct(200, "here"))];
    }
}

#[tokio::test]
async fn auto_takes_both() {
    let site = Site::with(answering(Codec::Auto)).await;
    assert_eq!(site.answer(GET).await.1, "here");
    let mut client = site.http2_client().await;
    assert_eq!(client.ask("/").await.text(), "here");
    let count = |counter: &str| site.edge.count(&format!("http.test.{counter}"));
    assert_eq!((count("downstream_cx_http1_total"), count("downstream_cx_http2_total")), (1, 1));
    assert_eq!(count("downstream_cx_total"), 2);
    assert_eq!(count("downstream_cx_http2_active"), 1);
    site.edge.counts("http.test.downstream_cx_http1_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn auto_waits_for_the_whole_preface_in_however_many_pieces_it_comes() {
    let site = Site::with(answering(Codec::Auto)).await;
    let hello = [PREFACE, &Frame::settings(&[]).bytes(), &Frame::get(1, "/").bytes()].concat();
    for cut in [1, 3, 4, 14, 16, 18, 23, 24, 25, 33, 40] {
        let mut client = Frames::connect_silently(site.address).await;
        client.send_bytes(&hello[..cut]).await;
        // The worker has read the first piece when it answers what came after it.
        assert_eq!(site.answer(GET).await.1, "here");
        client.send_bytes(&hello[cut..]).await;
        assert_eq!(client.until(kind::DATA).await.payload, b"here", "{cut}");
    }
    let mut client = Frames::connect_silently(site.address).await;
    for byte in &hello {
        client.send_bytes(std::slice::from_ref(byte)).await;
    }
    assert_eq!(client.until(kind::DATA).await.payload, b"here");
    site.stop().await;
}

#[tokio::test]
async fn auto_takes_what_only_begins_like_the_preface_for_http1() {
    let site = Site::with(answering(Codec::Auto)).await;
    let (head, body) = site.answer("PROPFIND / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!((head.status(), body.as_str()), (200, "here"));
    // The method alone does not make it HTTP/2.
    assert_eq!(site.answer("PRI * HTTP/1.1\r\nhost: a\r\n\r\n").await.0.status(), 400);
    assert_eq!(site.edge.count("http.test.downstream_cx_http2_total"), 0);
    site.stop().await;
}

#[tokio::test]
async fn a_preface_that_breaks_off_ends_the_connection() {
    let site = Site::with(answering(Codec::Auto)).await;
    let mut client = Frames::connect_silently(site.address).await;
    client.send_bytes(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    let end = client.closes().await.pop().unwrap();
    assert_eq!((end.kind, end.code()), (kind::GOAWAY, 1));
    assert_eq!(site.answer(GET).await.1, "here");
    site.stop().await;
}

#[tokio::test]
async fn http1_alone_takes_no_http2() {
    let site = Site::with(answering(Codec::Http1)).await;
    let mut client = site.client().await;
    client.send([PREFACE, &Frame::settings(&[]).bytes()].concat()).await;
    let answer = client.closes().await;
    assert!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"), "{answer}");
    assert_eq!(site.answer(GET).await.1, "here");
    assert_eq!(site.edge.count("http.test.downstream_cx_http2_total"), 0);
    site.stop().await;
}

#[tokio::test]
async fn http2_alone_takes_no_http1() {
    let site = Site::with(answering(Codec::Http2)).await;
    let mut client = Frames::connect_silently(site.address).await;
    client.send_bytes(GET.as_bytes()).await;
    let end = client.closes().await.pop().unwrap();
    assert_eq!((end.kind, end.code()), (kind::GOAWAY, 1));
    assert_eq!(site.edge.count("http.test.downstream_cx_protocol_error"), 1);
    assert_eq!(site.http2_client().await.ask("/").await.text(), "here");
    assert_eq!(site.edge.count("http.test.downstream_cx_http1_total"), 0);
    site.stop().await;
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_not_one() {
    let site = Site::with(answering(Codec::Auto)).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n";
    let (head, _) = site.answer(request).await;
    assert_ne!(head.status(), 101);
    site.stop().await;
}
