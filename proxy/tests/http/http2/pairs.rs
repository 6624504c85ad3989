//! Many requests at once, from clients and to endpoints of either protocol.

use crate::kit::{Http2Upstream, Site, get, http2_upstream, ok};

const REQUESTS: usize = 50;

fn path(number: usize) -> String {
    format!("/{number}")
}

#[tokio::test]
async fn requests_of_one_connection_go_to_http1_endpoints_on_a_connection_each() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let (mut asked, mut upstreams) = (Vec::new(), Vec::new());
    for number in 0..REQUESTS {
        asked.push(client.send(get(&path(number)), true).await);
        let mut upstream = site.backend.accept().await;
        assert_eq!(upstream.head().await.line, format!("GET /{number} HTTP/1.1"));
        upstreams.push(upstream);
    }
    assert_eq!(site.edge.count("http.test.downstream_rq_active"), REQUESTS as u64);
    for (number, mut upstream) in upstreams.into_iter().enumerate().rev() {
        let body = path(number);
        upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        assert_eq!(asked.pop().unwrap().message().await.text(), body);
    }
    assert_eq!(site.edge.count("http.test.downstream_cx_http2_total"), 1);
    assert_eq!(site.edge.count("http.test.downstream_cx_http2_active"), 1);
    drop(client);
    site.edge.counts("http.test.downstream_cx_http2_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn requests_of_many_http1_connections_share_one_to_an_http2_endpoint() {
    let site = Site::with(http2_upstream).await;
    let mut clients = Vec::new();
    for number in 0..REQUESTS {
        let mut client = site.client().await;
        client.send(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        clients.push(client);
    }
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        requests.push(upstream.request().await);
    }
    for request in requests.into_iter().rev() {
        let path = request.path().to_owned();
        let number: usize = path[1..].parse().unwrap();
        request.answer_whole(ok(), path.clone(), None);
        assert_eq!(clients[number].message().await.1, path);
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    assert_eq!(site.edge.count("cluster.b.upstream_cx_http2_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn requests_of_one_connection_share_one_to_an_http2_endpoint() {
    let site = Site::with(http2_upstream).await;
    let mut client = site.http2_client().await;
    let mut asked = Vec::new();
    for number in 0..REQUESTS {
        asked.push(client.send(get(&path(number)), true).await);
    }
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut requests = Vec::new();
    for _ in 0..REQUESTS {
        requests.push(upstream.request().await);
    }
    for request in requests.into_iter().rev() {
        let path = request.path().to_owned();
        request.answer_whole(ok(), path, None);
    }
    for (number, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked.message().await.text(), path(number));
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.logs_in_any_order(
        &(0..REQUESTS)
            .map(|n| if n < 10 { "200 - via_upstream 0 2" } else { "200 - via_upstream 0 3" })
            .collect::<Vec<_>>(),
    )
    .await;
    site.stop().await;
}

#[tokio::test]
async fn streams_beyond_what_the_client_was_told_are_refused_and_the_others_go_on() {
    let site = Site::with(|plan| plan.manager.http2.max_concurrent_streams = 2).await;
    let mut client = crate::kit::Frames::connect(site.address).await;
    use crate::kit::{Frame, kind};
    client.send(&[Frame::get(1, "/"), Frame::get(3, "/"), Frame::get(5, "/")]).await;
    let refused = client.until(kind::RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (5, 7));
    let mut upstreams = [site.backend.accept().await, site.backend.accept().await];
    for upstream in &mut upstreams {
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        client.until_some(Frame::ends_stream).await;
    }
    // There is room again.
    client.send(&[Frame::get(7, "/")]).await;
    upstreams[1].head().await;
    site.stop().await;
}
