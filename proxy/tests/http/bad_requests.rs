//! Requests that nobody must see behind the gateway: each gets its status, and the connection closes.

use crate::kit::Site;

/// Sends a request that is refused, and checks answer, end and log.
async fn refused(request: &str, status: u16, flags: &str, details: &str) {
    let site = Site::start().await;
    let mut client = site.client().await;
    client.send(request).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection")), (status, Some("close")), "{request:?}");
    assert_eq!(head.get("server"), Some("istio-envoy"));
    assert_eq!(client.closes().await, "");
    site.logs(&[&format!("{status} {flags} {details} 0 {}", body.len())]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_request_without_a_host_gets_400() {
    refused("GET / HTTP/1.1\r\n\r\n", 400, "-", "missing_host_header").await;
}

#[tokio::test]
async fn two_hosts_get_400() {
    refused("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400, "DPE", "http1.codec_error").await;
}

#[tokio::test]
async fn http_10_gets_426() {
    refused("GET / HTTP/1.0\r\nhost: a\r\n\r\n", 426, "DPE", "low_version").await;
}

#[tokio::test]
async fn a_length_beside_an_encoding_gets_400() {
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(request, 400, "DPE", "http1.content_length_and_chunked_not_allowed").await;
}

#[tokio::test]
async fn two_equal_lengths_get_400() {
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab";
    refused(request, 400, "DPE", "http1.codec_error").await;
}

#[tokio::test]
async fn an_unknown_encoding_gets_501() {
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n";
    refused(request, 501, "DPE", "http1.invalid_transfer_encoding").await;
}

#[tokio::test]
async fn too_many_headers_get_431() {
    let fields: String = (0..101).map(|number| format!("x-{number}: y\r\n")).collect();
    refused(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"), 431, "DPE", "http1.too_many_headers").await;
}

#[tokio::test]
async fn a_head_that_is_too_large_gets_431() {
    let value = "v".repeat(61 * 1024);
    refused(&format!("GET / HTTP/1.1\r\nhost: a\r\nx-large: {value}\r\n\r\n"), 431, "DPE", "http1.headers_too_large")
        .await;
}

#[tokio::test]
async fn a_folded_field_gets_400() {
    refused("GET / HTTP/1.1\r\nhost: a\r\nx-a: 1\r\n 2\r\n\r\n", 400, "DPE", "http1.codec_error").await;
}

#[tokio::test]
async fn what_follows_a_broken_head_is_not_served() {
    let site = Site::start().await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nbad header: 1\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.message().await.0.status(), 400);
    assert_eq!(client.closes().await, "");
    assert_eq!(site.edge.count("http.test.downstream_rq_total"), 1);
    assert_eq!(site.edge.count("http.test.downstream_cx_protocol_error"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_broken_chunk_ends_the_request_on_both_sides() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) =
        site.sent("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").await;
    upstream.says("2\r\nab\r\n").await;
    client.send("zz\r\n").await;
    let (head, _) = client.message().await;
    assert_eq!((head.status(), head.get("connection")), (400, Some("close")));
    assert_eq!(client.closes().await, "");
    assert_eq!(upstream.closes().await, "");
    site.logs(&["400 DPE http1.codec_error 2 11"]).await;
    site.stop().await;
}

#[tokio::test]
async fn https_in_the_target_of_a_clear_request_gets_403() {
    let details = "http1.https_url_on_plaintext_connection";
    refused("GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 403, "DPE", details).await;
}

#[tokio::test]
async fn http_10_is_served_where_it_is_accepted() {
    let site = Site::with(|plan| plan.manager.accept_http_10 = true).await;
    let (mut client, mut upstream, head) = site.sent("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(head.line, "GET / HTTP/1.1");
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((head.get("transfer-encoding"), head.get("connection")), (None, Some("close")));
    assert_eq!(client.closes().await, "ok");
    site.stop().await;
}
