//! Why connections end by themselves: silence, age, enough requests, a peer that is not there any more.

use std::time::Duration;

use http2_oracle::Reason;
use xds_model::http2::Http2Keepalive;

use crate::kit::{Frame, Frames, Http2Upstream, Open, PREFACE, Plan, Site, flag, get, http2_upstream, kind, post};

const SHORT: Duration = Duration::from_millis(200);
/// The code of an end that is nobody's fault.
const NO_ERROR: u32 = 0;

fn keepalive(interval: Duration, timeout: Duration) -> Option<Http2Keepalive> {
    let interval_jitter = 0;
    Some(Http2Keepalive { interval, timeout, interval_jitter })
}

/// What a client hears when it is asked to leave.
async fn is_asked_to_leave(client: &mut Frames) {
    let frame = client.until(kind::GOAWAY).await;
    assert_eq!((frame.code(), frame.last_stream()), (NO_ERROR, i32::MAX as u32));
}

#[tokio::test]
async fn a_client_without_requests_is_asked_to_leave_at_the_idle_timeout() {
    let site = Site::with(|plan| plan.manager.idle_timeout = Some(SHORT)).await;
    let mut client = Frames::connect(site.address).await;
    is_asked_to_leave(&mut client).await;
    let last = client.closes().await.pop().unwrap();
    assert_eq!((last.kind, last.last_stream(), last.code()), (kind::GOAWAY, 0, NO_ERROR));
    assert_eq!(site.edge.count("http.test.downstream_cx_idle_timeout"), 1);
    assert_eq!(site.edge.count("http.test.downstream_cx_drain_close"), 0, "nobody drains");
    site.edge.counts("http.test.downstream_cx_active", 0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_something_half_sent_has_its_connection_closed_and_no_other() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.request_headers_timeout = Some(SHORT);
    })
    .await;
    // One with a request under way, and nothing half sent.
    let Open { mut client, mut asked, request, upstream: mut other } = site.asked(post("/"), false).await;
    let head = Frame::get(1, "/");
    let settings = Frame::settings(&[]);
    let unfinished = Frame { flags: flag::END_STREAM, ..head.clone() };
    let cases: [(&str, Vec<u8>); 5] = [
        ("no settings", PREFACE.to_vec()),
        ("half of the settings", [PREFACE, &settings.bytes()[..5]].concat()),
        ("a head that is to be continued", [PREFACE, &settings.bytes(), &unfinished.bytes()].concat()),
        ("half of a head", [PREFACE, &settings.bytes(), &head.bytes()[..12]].concat()),
        ("a part of another frame", [PREFACE, &settings.bytes(), &Frame::post(1, "/").bytes(), &[0, 0, 1]].concat()),
    ];
    for (number, (name, bytes)) in cases.iter().enumerate() {
        let mut client = Frames::connect_silently(site.address).await;
        client.send_bytes(bytes).await;
        let last = client.until(kind::GOAWAY).await;
        assert_eq!(last.code(), NO_ERROR, "{name}");
        client.closes().await;
        assert_eq!(site.edge.count("http.test.downstream_rq_header_timeout"), number as u64 + 1, "{name}");
    }
    // The one whose body was to come.
    drop(other.request().await);
    // More time has passed than a head has, and its body is still to come.
    asked.body.send_data("piece".into(), true).unwrap();
    request.says("here");
    assert_eq!(asked.message().await.text(), "here");
    let next = client.send(get("/"), true).await;
    other.request().await.says("here");
    assert_eq!(next.message().await.text(), "here");
    site.stop().await;
}

#[tokio::test]
async fn a_client_with_a_request_is_not_idle() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.idle_timeout = Some(SHORT);
    })
    .await;
    let Open { client, asked, request, upstream: _upstream } = site.asked(get("/"), true).await;
    // The timeout of a connection that came later passes meanwhile.
    for _ in 0..2 {
        site.http2_client().await.ends().await;
    }
    assert!(!client.is_over());
    request.says("late");
    assert_eq!(asked.message().await.text(), "late");
    assert_eq!(client.ends().await, Reason::NO_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn an_idle_connection_to_an_endpoint_closes_at_the_clusters_idle_timeout() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.cluster.idle_timeout = Some(SHORT);
    })
    .await;
    let Open { mut client, asked, request, mut upstream } = site.asked(get("/"), true).await;
    request.says("ok");
    asked.message().await;
    let other = client.send(get("/"), true).await;
    let request = upstream.request().await;
    tokio::time::sleep(2 * SHORT).await;
    assert!(!upstream.is_over(), "a connection with a request is not idle");
    request.says("ok");
    other.message().await;
    upstream.ends().await;
    site.edge.counts("cluster.b.upstream_cx_active", 0).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_idle_timeout"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_client_is_asked_to_leave_after_its_last_request() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.max_requests_per_connection = Some(2);
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    upstream.request().await.says("ok");
    client.until_some(Frame::ends_stream).await;
    client.send(&[Frame::get(3, "/")]).await;
    let second = upstream.request().await;
    is_asked_to_leave(&mut client).await;
    second.says("ok");
    client.until_some(Frame::ends_stream).await;
    let last = client.closes().await.pop().unwrap();
    assert_eq!((last.kind, last.last_stream()), (kind::GOAWAY, 3));
    assert_eq!(site.edge.count("http.test.downstream_cx_max_requests_reached"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_client_is_asked_to_leave_when_its_connection_is_old_and_finishes_what_it_began() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.max_connection_duration = Some(SHORT);
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let request = upstream.request().await;
    is_asked_to_leave(&mut client).await;
    request.says("late");
    assert_eq!(client.until(kind::DATA).await.payload, b"late");
    client.closes().await;
    // An idle one leaves, too.
    assert_eq!(site.http2_client().await.ends().await, Reason::NO_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_and_one_that_does_not_is_given_up() {
    let site = Site::with(|plan| {
        plan.manager.http2.keepalive = keepalive(Duration::from_millis(20), Duration::from_secs(20));
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    for _ in 0..10 {
        let ping = client.until(kind::PING).await;
        assert_eq!(ping.flags & flag::ACK, 0);
        client.send(&[Frame::new(kind::PING, flag::ACK, 0, ping.payload)]).await;
    }
    assert_eq!(site.edge.count("downstream_cx_http2_keepalive_timeout"), 0);
    site.stop().await;

    let short = Duration::from_millis(50);
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.http2.keepalive = keepalive(short, short);
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::get(1, "/")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    client.closes().await;
    request.is_reset().await;
    site.edge.counts("downstream_cx_http2_keepalive_timeout", 1).await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_pings_stays_and_one_that_does_not_is_given_up() {
    let upstream = |interval, timeout| {
        move |plan: &mut Plan| {
            http2_upstream(plan);
            plan.cluster.http2.keepalive = keepalive(interval, timeout);
        }
    };
    let site = Site::with(upstream(Duration::from_millis(20), Duration::from_secs(20))).await;
    let mut client = site.http2_client().await;
    let _asked = client.send(get("/"), true).await;
    let mut endpoint = Frames::accept(&site.backend, &[]).await;
    for _ in 0..10 {
        let ping = endpoint.until(kind::PING).await;
        endpoint.send(&[Frame::new(kind::PING, flag::ACK, 0, ping.payload)]).await;
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_http2_keepalive_timeout"), 0);
    site.stop().await;

    let short = Duration::from_millis(50);
    let site = Site::with(upstream(short, short)).await;
    let mut client = site.http2_client().await;
    let asked = client.send(get("/"), true).await;
    let mut endpoint = Frames::accept(&site.backend, &[]).await;
    assert_eq!(asked.message().await.status(), 503);
    endpoint.closes().await;
    site.edge.counts("cluster.b.upstream_cx_http2_keepalive_timeout", 1).await;
    site.stop().await;
}
