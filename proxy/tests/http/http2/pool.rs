//! Connections to HTTP/2 endpoints: how many there are, and who waits for whom.

use std::time::Duration;

use http2_oracle::server;
use xds_model::cluster::CircuitBreaker;

use crate::kit::{
    Asked, Frame, Frames, Http2Client, Http2Upstream, Plan, Refusing, Site, assignment, cluster, eds_cluster, get,
    http2_upstream, kind,
};

const UNLIMITED: CircuitBreaker = CircuitBreaker::UNLIMITED;
const OVERFLOW: &str = "503 UO upstream_reset_before_response_started{overflow} 0 81";

fn with_limits(limits: CircuitBreaker) -> impl FnOnce(&mut Plan) {
    move |plan| {
        http2_upstream(plan);
        plan.cluster.limits = limits;
    }
}

/// An endpoint that takes one stream at a time.
async fn accept_single(site: &Site) -> Http2Upstream {
    Http2Upstream::accept_with(&site.backend, server::Builder::new().max_concurrent_streams(1)).await
}

/// Lets the gateway learn what an endpoint allows: a request is served.
async fn single_stream_endpoint(site: &Site, client: &mut Http2Client) -> Http2Upstream {
    let asked = client.send(get("/"), true).await;
    let mut upstream = accept_single(site).await;
    upstream.request().await.says("known");
    assert_eq!(asked.message().await.text(), "known");
    upstream
}

async fn served(upstream: &mut Http2Upstream, asked: Asked) {
    upstream.request().await.says("served");
    assert_eq!(asked.message().await.text(), "served");
}

#[tokio::test]
async fn requests_wait_for_the_connection_that_is_being_opened_and_share_it() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    let requests: Vec<Frame> = (0..10).map(|number| Frame::get(2 * number + 1, "/")).collect();
    client.send(&requests).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    for _ in 0..10 {
        upstream.request().await.says("ok");
    }
    for _ in 0..10 {
        client.until_some(Frame::ends_stream).await;
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_failed_connect_is_told_to_all_who_wait_for_it_at_once() {
    let refusing = Refusing::new();
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.cluster.discovery = cluster("b", &[refusing.address]).discovery;
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    let requests: Vec<Frame> = (0..10).map(|number| Frame::get(2 * number + 1, "/")).collect();
    client.send(&requests).await;
    for _ in 0..10 {
        client.until_some(Frame::ends_stream).await;
    }
    let details = "upstream_reset_before_response_started{remote_connection_failure}";
    site.logs(&[format!("503 UF {details} 0 98").as_str(); 10]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_connect_fail"), 1);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_pending_failure_eject"), 10);
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_takes_no_more_streams_gets_another_connection() {
    let site = Site::with(http2_upstream).await;
    let mut client = site.http2_client().await;
    let mut first = single_stream_endpoint(&site, &mut client).await;
    let one = client.send(get("/one"), true).await;
    let request = first.request().await;
    let two = client.send(get("/two"), true).await;
    let mut second = accept_single(&site).await;
    served(&mut second, two).await;
    assert!(!first.has_request());
    request.says("one");
    assert_eq!(one.message().await.text(), "one");
    // Both serve on.
    let (one, two) = (client.send(get("/1"), true).await, client.send(get("/2"), true).await);
    let (first, second) = (first.request().await, second.request().await);
    for request in [first, second] {
        request.says("again");
    }
    assert_eq!((one.message().await.text(), two.message().await.text()), ("again", "again"));
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 2);
    site.stop().await;
}

#[tokio::test]
async fn where_no_other_connection_may_be_opened_requests_wait_for_a_stream() {
    let site = Site::with(with_limits(CircuitBreaker { max_connections: 1, ..UNLIMITED })).await;
    let mut client = site.http2_client().await;
    let mut upstream = single_stream_endpoint(&site, &mut client).await;
    let one = client.send(get("/one"), true).await;
    let request = upstream.request().await;
    let two = client.send(get("/two"), true).await;
    site.edge.counts("cluster.b.upstream_rq_pending_active", 1).await;
    assert!(!upstream.has_request());
    request.says("one");
    assert_eq!(one.message().await.text(), "one");
    served(&mut upstream, two).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn of_those_that_wait_no_more_than_the_circuit_breaker_lets_do() {
    let limits = CircuitBreaker { max_connections: 1, max_pending_requests: 1, ..UNLIMITED };
    let site = Site::with(with_limits(limits)).await;
    let mut client = site.http2_client().await;
    let mut upstream = single_stream_endpoint(&site, &mut client).await;
    let one = client.send(get("/one"), true).await;
    let request = upstream.request().await;
    let two = client.send(get("/two"), true).await;
    site.edge.counts("cluster.b.upstream_rq_pending_active", 1).await;
    assert_eq!(client.ask("/three").await.status(), 503);
    request.says("one");
    one.message().await;
    served(&mut upstream, two).await;
    site.logs(&["200 - via_upstream 0 5", OVERFLOW, "200 - via_upstream 0 3", "200 - via_upstream 0 6"]).await;
    site.stop().await;
}

#[tokio::test]
async fn requests_under_way_are_limited_by_the_circuit_breaker() {
    let site = Site::with(with_limits(CircuitBreaker { max_requests: 1, ..UNLIMITED })).await;
    let mut client = site.http2_client().await;
    let one = client.send(get("/one"), true).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let request = upstream.request().await;
    assert_eq!(client.ask("/two").await.status(), 503);
    request.says("one");
    assert_eq!(one.message().await.text(), "one");
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    let three = client.send(get("/three"), true).await;
    served(&mut upstream, three).await;
    site.logs(&[OVERFLOW, "200 - via_upstream 0 3", "200 - via_upstream 0 6"]).await;
    site.stop().await;
}

#[tokio::test]
async fn our_own_bound_on_streams_of_a_connection_holds_too() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.cluster.http2.max_concurrent_streams = 1;
    })
    .await;
    let mut client = site.http2_client().await;
    let _one = client.send(get("/one"), true).await;
    let mut first = Http2Upstream::accept(&site.backend).await;
    let _request = first.request().await;
    let two = client.send(get("/two"), true).await;
    let mut second = Http2Upstream::accept(&site.backend).await;
    served(&mut second, two).await;
    site.stop().await;
}

#[tokio::test]
async fn a_connection_that_has_served_enough_requests_is_replaced_and_closes_after_its_last() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.cluster.max_requests_per_connection = Some(2);
    })
    .await;
    let mut client = site.http2_client().await;
    let one = client.send(get("/one"), true).await;
    let mut first = Http2Upstream::accept(&site.backend).await;
    let request = first.request().await;
    let two = client.send(get("/two"), true).await;
    served(&mut first, two).await;
    let three = client.send(get("/three"), true).await;
    let mut second = Http2Upstream::accept(&site.backend).await;
    served(&mut second, three).await;
    assert!(!first.is_over() && !first.has_request());
    request.says("one");
    assert_eq!(one.message().await.text(), "one");
    first.ends().await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_max_requests"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_connection_to_an_endpoint_that_is_removed_ends_with_its_last_request() {
    let site = Site::with(|plan| {
        plan.cluster = eds_cluster("b");
        http2_upstream(plan);
    })
    .await;
    site.edge.endpoints(assignment("b", &[site.backend.address])).await;
    let mut client = site.http2_client().await;
    let one = client.send(get("/one"), true).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let request = upstream.request().await;
    let other = crate::kit::Backend::start().await;
    site.edge.endpoints(assignment("b", &[other.address])).await;
    let two = client.send(get("/two"), true).await;
    let mut new = Http2Upstream::accept(&other).await;
    served(&mut new, two).await;
    assert!(!upstream.is_over());
    request.says("one");
    assert_eq!(one.message().await.text(), "one");
    upstream.ends().await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_request_waits_leaves_nothing_behind() {
    let site = Site::with(with_limits(CircuitBreaker { max_connections: 1, ..UNLIMITED })).await;
    let mut client = site.http2_client().await;
    let mut upstream = single_stream_endpoint(&site, &mut client).await;
    let one = client.send(get("/one"), true).await;
    let request = upstream.request().await;
    let mut waiting = client.send(get("/two"), true).await;
    site.edge.counts("cluster.b.upstream_rq_pending_active", 1).await;
    waiting.body.send_reset(http2_oracle::Reason::CANCEL);
    site.edge.counts("cluster.b.upstream_rq_pending_active", 0).await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_cancelled"), 1);
    request.says("one");
    one.message().await;
    let three = client.send(get("/three"), true).await;
    served(&mut upstream, three).await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_http2_gets_502_and_its_connection_closes() {
    let site = Site::with(http2_upstream).await;
    let mut client = site.http2_client().await;
    let asked = client.send(get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(asked.message().await.status(), 502);
    site.edge.counts("cluster.b.upstream_cx_active", 0).await;
    site.logs(&["502 UPE upstream_reset_before_response_started{protocol_error} 0 87"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_connection_that_an_endpoint_breaks_counts_once_however_many_requests_fail() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/"), Frame::get(3, "/"), Frame::get(5, "/")]).await;
    let mut upstream = Frames::accept(&site.backend, &[]).await;
    for _ in 0..3 {
        upstream.until(kind::HEADERS).await;
    }
    // No frame may be that large.
    upstream.send_bytes(&[0xff; 9]).await;
    for _ in 0..3 {
        client.until(kind::DATA).await;
    }
    site.logs(&["502 UPE upstream_reset_before_response_started{protocol_error} 0 87"; 3]).await;
    site.edge.counts("cluster.b.upstream_cx_active", 0).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_protocol_error"), 1);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_rx_reset"), 3);
    site.stop().await;
}

#[tokio::test]
async fn a_connect_that_takes_too_long_ends_for_all_who_wait() {
    // An address whose queue is full answers nothing.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = full.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    for _ in 0..8 {
        let connecting = tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address));
        match connecting.await {
            Ok(stream) => filling.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.cluster.discovery = cluster("b", &[address]).discovery;
        plan.cluster.connect_timeout = Duration::from_millis(300);
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/"), Frame::get(3, "/"), Frame::get(5, "/")]).await;
    for _ in 0..3 {
        client.until(kind::DATA).await;
    }
    let details = "upstream_reset_before_response_started{connection_timeout}";
    site.logs(&[format!("503 UF {details} 0 91").as_str(); 3]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_connect_timeout"), 1);
    site.stop().await;
}
