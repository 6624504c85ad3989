//! Backends and clients that break off, or talk nonsense.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::kit::{Refusing, Site, cluster, eventually, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const START: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

#[tokio::test]
async fn a_refused_connect_gets_503() {
    let refusing = Refusing::new();
    let site = Site::with(|plan| plan.cluster = cluster("b", &[refusing.address])).await;
    let mut client = site.client().await;
    let (head, body) = client.ask(GET).await;
    assert_eq!((head.status(), head.get("connection")), (503, None));
    assert_eq!(body, format!("{START}remote connection failure"));
    let details = "upstream_reset_before_response_started{remote_connection_failure}";
    site.logs(&[&format!("503 UF {details} 0 {}", body.len())]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_connect_fail"), 1);
    assert_eq!(client.ask(GET).await.0.status(), 503);
    site.stop().await;
}

#[tokio::test]
async fn an_upstream_that_goes_away_before_it_answers_gets_503() {
    for reset in [true, false] {
        let site = Site::start().await;
        let (mut client, upstream, _) = site.sent(GET).await;
        if reset {
            upstream.reset();
        } else {
            drop(upstream);
        }
        let (head, body) = client.message().await;
        assert_eq!((head.status(), body), (503, format!("{START}connection termination")));
        let details = "upstream_reset_before_response_started{connection_termination}";
        site.logs(&[&format!("503 UC {details} 0 95")]).await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_closes_the_client() {
    for (start, part) in
        [("content-length: 10\r\n\r\n", "half"), ("transfer-encoding: chunked\r\n\r\n", "4\r\nhalf\r\n")]
    {
        let site = Site::start().await;
        let (mut client, mut upstream, _) = site.sent(GET).await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{start}{part}")).await;
        assert_eq!(client.head().await.status(), 200);
        client.says(part).await;
        upstream.reset();
        assert_eq!(client.closes().await, "");
        site.logs(&["200 UPE upstream_reset_after_response_started{protocol_error} 0 4"]).await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_broken_chunk_of_a_response_closes_the_client() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.closes().await, "2\r\nab\r\n");
    assert_eq!(upstream.closes().await, "");
    site.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on_and_closes_the_connection() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) =
        site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegin").await;
    upstream.says("begin").await;
    upstream.send("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (413, Some("close"), "big"));
    assert_eq!(client.closes().await, "");
    assert_eq!(upstream.closes().await, "");
    site.logs(&["413 - via_upstream 5 3"]).await;
    site.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_survives_the_upstreams_reset() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) =
        site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n").await;
    upstream.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), body.as_str()), (403, "no"));
    drop(upstream);
    site.stop().await;
}

#[tokio::test]
async fn a_body_goes_on_while_the_early_answers_body_does() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfour").await;
    assert_eq!(client.head().await.status(), 200);
    client.says("four").await;
    client.send("12345678").await;
    upstream.says("12345678").await;
    upstream.send("more").await;
    client.says("more").await;
    site.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_gets_502() {
    let answers = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        "HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-y: z\r\n".repeat(150)),
    ];
    for answer in answers {
        let site = Site::start().await;
        let (mut client, mut upstream, _) = site.sent(GET).await;
        upstream.send(&answer).await;
        let (head, body) = client.message().await;
        assert_eq!((head.status(), body), (502, format!("{START}protocol error")), "{answer}");
        assert_eq!(head.get("connection"), None);
        site.logs(&["502 UPE upstream_reset_before_response_started{protocol_error} 0 87"]).await;
        upstream.closes().await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let site = Site::start().await;
    let (client, mut upstream, _) = site.sent(GET).await;
    drop(client);
    assert_eq!(upstream.closes().await, "");
    site.logs(&["0 DC downstream_remote_disconnect 0 0"]).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_rx_reset"), 1);
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_within_its_body_cancels_its_request() {
    let site = Site::start().await;
    let (client, mut upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab").await;
    upstream.says("ab").await;
    drop(client);
    assert_eq!(upstream.closes().await, "");
    site.logs(&["0 DC downstream_remote_disconnect 2 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_within_the_response_ends_it() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.head().await;
    client.reset();
    // The gateway notices at the latest when it cannot pass on what comes.
    eventually("the upstream is closed", async || {
        use tokio::io::AsyncWriteExt;
        upstream.stream.write_all(b"4\r\nmore\r\n").await.is_err()
    })
    .await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_an_upload_is_noticed_although_the_upstream_reads_nothing() {
    let site = Site::start().await;
    let (client, _upstream, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n").await;
    // Until all buffers on the way are full.
    let (piece, mut refusals) = ([b'x'; 64 * 1024], 0);
    eventually("the upload is held up", async || {
        while client.stream.try_write(&piece).is_ok() {
            refusals = 0;
        }
        refusals += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        refusals > 20
    })
    .await;
    assert_eq!(site.edge.count("downstream_rq_active"), 1);
    // An orderly end would wait behind the bytes that nobody takes.
    client.reset();
    for gauge in ["downstream_rq_active", "downstream_cx_active", "cluster.b.upstream_rq_active"] {
        eventually(gauge, async || site.edge.count(gauge) == 0).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_length_that_is_cut_by_a_reset_is_not_complete() {
    for reset in [true, false] {
        let site = Site::start().await;
        let (mut client, mut upstream, _) = site.sent(GET).await;
        upstream.send("HTTP/1.1 200 OK\r\n\r\nhalf").await;
        assert_eq!(client.head().await.get("transfer-encoding"), Some("chunked"));
        client.says("4\r\nhalf\r\n").await;
        if reset {
            upstream.reset();
            assert_eq!(client.closes().await, "");
        } else {
            drop(upstream);
            client.says("0\r\n\r\n").await;
        }
        site.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_ends_with_a_reset_where_it_is_not_complete() {
    let site = Site::with(|plan| plan.manager.accept_http_10 = true).await;
    let (mut client, mut upstream, _) = site.sent("GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    assert_eq!(client.head().await.get("transfer-encoding"), None);
    client.says("half").await;
    drop(upstream);
    let end = within("the end", client.stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_more_than_is_read_ahead_is_seen_to_be_gone() {
    let site = Site::start().await;
    let junk = "x".repeat(100_000);
    for leaves_by_reset in [false, true] {
        let mut client = site.client().await;
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n\r\n{junk}")).await;
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        if leaves_by_reset {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(upstream.closes().await, "", "the request is given up");
        site.edge.counts("downstream_cx_active", 0).await;
    }
    site.stop().await;
}
