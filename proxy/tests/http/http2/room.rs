//! Where no more connections may be opened, those that are idle make room for those of the other protocol.

use xds_model::cluster::{CircuitBreaker, UpstreamProtocol};

use crate::kit::{Asked, Http2Upstream, Plan, Site, Wire, get};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Requests go on in the protocol in which they came, over one connection.
fn single(plan: &mut Plan) {
    plan.cluster.protocol = UpstreamProtocol::UseDownstream;
    plan.cluster.limits = CircuitBreaker { max_connections: 1, ..CircuitBreaker::UNLIMITED };
}

async fn waits(site: &Site) {
    site.edge.counts("cluster.b.upstream_rq_pending_active", 1).await;
}

/// The connection closes, and the request goes over one of HTTP/2.
async fn gives_way(site: &Site, http1: &mut Wire, asked: Asked) {
    let mut http2 = Http2Upstream::accept(&site.backend).await;
    http2.request().await.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    assert_eq!(http1.closes().await, "");
}

#[tokio::test]
async fn an_idle_http1_connection_makes_room_for_an_http2_one() {
    let site = Site::with(single).await;
    let (mut first, mut http1, _) = site.sent(GET).await;
    http1.send(OK).await;
    assert_eq!(first.message().await.1, "ok");
    let mut client = site.http2_client().await;
    let asked = client.send(get("/"), true).await;
    gives_way(&site, &mut http1, asked).await;
    site.stop().await;
}

#[tokio::test]
async fn an_http1_connection_makes_room_when_its_request_is_answered() {
    let site = Site::with(single).await;
    let (mut first, mut http1, _) = site.sent(GET).await;
    let mut client = site.http2_client().await;
    let asked = client.send(get("/"), true).await;
    waits(&site).await;
    http1.send(OK).await;
    assert_eq!(first.message().await.1, "ok");
    gives_way(&site, &mut http1, asked).await;
    site.stop().await;
}

#[tokio::test]
async fn an_idle_http2_connection_makes_room_for_an_http1_one() {
    let site = Site::with(single).await;
    let mut client = site.http2_client().await;
    let asked = client.send(get("/"), true).await;
    let mut http2 = Http2Upstream::accept(&site.backend).await;
    http2.request().await.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    let (mut first, mut http1, _) = site.sent(GET).await;
    http1.send(OK).await;
    assert_eq!(first.message().await.1, "ok");
    http2.ends().await;
    site.stop().await;
}

#[tokio::test]
async fn an_http2_connection_makes_room_when_its_last_stream_has_ended() {
    let site = Site::with(single).await;
    let mut client = site.http2_client().await;
    let (one, two) = (client.send(get("/"), true).await, client.send(get("/"), true).await);
    let mut http2 = Http2Upstream::accept(&site.backend).await;
    let requests = [http2.request().await, http2.request().await];
    let mut first = site.client().await;
    first.send(GET).await;
    waits(&site).await;
    for request in requests {
        assert!(!http2.is_over());
        request.says("ok");
    }
    for asked in [one, two] {
        assert_eq!(asked.message().await.text(), "ok");
    }
    let mut http1 = site.backend.accept().await;
    http1.head().await;
    http1.send(OK).await;
    assert_eq!(first.message().await.1, "ok");
    http2.ends().await;
    site.stop().await;
}
