//! Requests that are sent again over HTTP/2.

use http2_oracle::Reason;
use xds_model::route::{RetryOn, RetryPolicy};

use crate::kit::{
    Frame, Frames, Http2Upstream, Open, Plan, Site, fields, get, http2_upstream, kind, ok, post, retry_policy,
};

/// As istiod has it where nobody says otherwise.
fn istios_default(plan: &mut Plan) {
    http2_upstream(plan);
    plan.host().retry = None;
    plan.forward().retry = Some(RetryPolicy {
        retriable_status_codes: vec![503],
        ..retry_policy(RetryOn {
            connect_failure: true,
            refused_stream: true,
            grpc_unavailable: true,
            grpc_cancelled: true,
            retriable_status_codes: true,
            ..RetryOn::default()
        })
    });
}

/// The head of an answer of bare frames.
fn answer(stream: u32) -> Frame {
    Frame::headers(stream, true, &[(":status", "200")])
}

#[tokio::test]
async fn a_refused_stream_is_opened_again() {
    let site = Site::with(istios_default).await;
    let Open { mut asked, request, mut upstream, client: _client } = site.asked(post("/"), false).await;
    asked.body.send_data("body".into(), false).unwrap();
    asked.body.send_trailers(fields([("x-sum", "1")])).unwrap();
    request.reset(Reason::REFUSED_STREAM);
    let mut second = upstream.request().await;
    assert_eq!(second.get("x-envoy-attempt-count"), Some("2"));
    let read = second.read().await;
    assert_eq!((&read.body[..], read.trailers), (&b"body"[..], Some(fields([("x-sum", "1")]))));
    second.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry_success"), 1);
    site.logs(&["200 - via_upstream 4 2"]).await;
    site.stop().await;
}

#[tokio::test]
async fn another_reset_is_not() {
    let site = Site::with(istios_default).await;
    let Open { asked, request, upstream, client: _client } = site.asked(get("/"), true).await;
    request.reset(Reason::INTERNAL_ERROR);
    assert_eq!(asked.message().await.status(), 503);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    assert!(!upstream.has_request());
    site.stop().await;
}

#[tokio::test]
async fn streams_behind_the_last_of_goaway_go_to_another_connection_and_the_others_end_where_they_are() {
    let site = Site::with(istios_default).await;
    let mut client = site.http2_client().await;
    let first = client.send(get("/first"), true).await;
    let mut leaving = Frames::accept(&site.backend, &[]).await;
    leaving.until(kind::HEADERS).await;
    let second = client.send(get("/second"), true).await;
    assert_eq!(leaving.until(kind::HEADERS).await.stream, 3);
    leaving.send(&[Frame::go_away(1, 0)]).await;
    let mut other = Http2Upstream::accept(&site.backend).await;
    let request = other.request().await;
    assert_eq!((request.path(), request.get("x-envoy-attempt-count")), ("/second", Some("2")));
    request.says("elsewhere");
    assert_eq!(second.message().await.text(), "elsewhere");
    let third = client.send(get("/third"), true).await;
    other.request().await.says("there, too");
    assert_eq!(third.message().await.text(), "there, too");
    leaving.send(&[answer(1)]).await;
    assert_eq!(first.message().await.status(), 200);
    // Nothing is left to wait for.
    leaving.closes().await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_close_notify"), 1);
    site.edge.counts("cluster.b.upstream_cx_active", 1).await;
    site.logs_in_any_order(&["200 - via_upstream 0 0", "200 - via_upstream 0 9", "200 - via_upstream 0 10"]).await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_leaves_politely_fails_no_request() {
    let site = Site::with(http2_upstream).await;
    let Open { mut client, asked, upstream, request } = site.asked(get("/"), true).await;
    upstream.go_away();
    site.edge.counts("cluster.b.upstream_cx_close_notify", 1).await;
    let next = client.send(get("/next"), true).await;
    let mut other = Http2Upstream::accept(&site.backend).await;
    other.request().await.says("next");
    assert_eq!(next.message().await.text(), "next");
    request.says("finished");
    assert_eq!(asked.message().await.text(), "finished");
    upstream.ends().await;
    site.stop().await;
}

#[tokio::test]
async fn retries_of_refused_streams_come_to_an_end() {
    let site = Site::with(istios_default).await;
    let Open { asked, request, mut upstream, client: _client } = site.asked(get("/"), true).await;
    request.reset(Reason::REFUSED_STREAM);
    for _ in 0..2 {
        upstream.request().await.reset(Reason::REFUSED_STREAM);
    }
    let answer = asked.message().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().ends_with("retried and the latest reset reason: remote refused stream reset"));
    let details = "upstream_reset_before_response_started{remote_refused_stream_reset}";
    site.logs(&[&format!("503 URX,UR {details} 0 {}", answer.body.len())]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_status_that_the_policy_names_is_tried_again_with_its_body() {
    let site = Site::with(istios_default).await;
    let Open { mut asked, mut request, mut upstream, client: _client } = site.asked(post("/"), false).await;
    asked.body.send_data("body".into(), true).unwrap();
    assert_eq!(request.read().await.body, "body");
    let busy = http::Response::builder().status(503).body(()).unwrap();
    request.answer_whole(busy, "busy", None);
    let mut second = upstream.request().await;
    assert_eq!(second.read().await.body, "body");
    second.answer_whole(ok(), "ok", None);
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}
