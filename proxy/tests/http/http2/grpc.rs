//! gRPC: its status, its deadlines, and answers of ours that its clients understand.

use std::time::Duration;

use http::{Request, Response};
use xds_model::route::{GrpcTimeout, RetryOn};

use crate::kit::{
    LogFile, Open, Plan, Refusing, Site, cluster, direct, fields, http2_upstream, ok, prefix, reads, retry_policy,
};

/// What a log line says.
const LOG: &str = "%GRPC_STATUS% %GRPC_STATUS_NUMBER% %TRAILER(X-SUM)% %RESPONSE_CODE% %RESPONSE_FLAGS%\n";

/// A call without a deadline.
fn call() -> Request<()> {
    call_within(None)
}

fn call_within(deadline: Option<&str>) -> Request<()> {
    let request = Request::post("http://a/package.Service/Method").header("content-type", "application/grpc");
    let request = request.header("te", "trailers");
    deadline.into_iter().fold(request, |request, time| request.header("grpc-timeout", time)).body(()).unwrap()
}

fn response() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn deadlines(max: Option<Duration>) -> impl Fn(&mut Plan) {
    move |plan| {
        http2_upstream(plan);
        plan.forward().timeout = Some(Duration::from_secs(15));
        plan.forward().grpc_timeout = Some(GrpcTimeout { max, offset: Duration::ZERO });
    }
}

#[tokio::test]
async fn the_log_tells_the_status_and_the_trailers_of_a_call() {
    let log = LogFile::new();
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.access_log.push(log.text(LOG));
    })
    .await;
    let Open { mut client, asked, mut upstream, request } = site.asked(call(), true).await;
    assert_eq!(request.get("te"), Some("trailers"));
    request.answer_whole(response(), "data", Some(fields([("grpc-status", "0"), ("x-sum", "7")])));
    assert_eq!(asked.message().await.trailer("grpc-status"), Some("0"));
    for status in ["5", "14", "99"] {
        let asked = client.send(call(), true).await;
        let trailers = fields([("grpc-message", "why"), ("grpc-status", status)]);
        upstream.request().await.answer_whole(response(), "data", Some(trailers));
        let answer = asked.message().await;
        assert_eq!((answer.trailer("grpc-status"), answer.trailer("grpc-message")), (Some(status), Some("why")));
    }
    // Trailers alone.
    let asked = client.send(call(), true).await;
    let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", "7");
    upstream.request().await.answer_whole(head.body(()).unwrap(), "", None);
    assert_eq!(asked.message().await.get("grpc-status"), Some("7"));
    // What is no gRPC has no status.
    let asked = client.send(crate::kit::get("/"), true).await;
    upstream.request().await.answer_whole(ok(), "ok", Some(fields([("grpc-status", "3")])));
    asked.message().await;
    let expected = [
        "OK 0 7 200 -",
        "NotFound 5 - 200 -",
        "Unavailable 14 - 200 -",
        "99 99 - 200 -",
        "PermissionDenied 7 - 200 -",
        "- - - 200 -",
    ];
    assert_eq!(log.lines(6).await, expected);
    site.stop().await;
}

#[tokio::test]
async fn messages_of_a_call_go_both_ways_while_it_is_open() {
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(call(), false).await;
    let mut answering = request.answer(response());
    let mut answer = asked.head().await.into_body();
    for number in 0..20 {
        let message = format!("message {number}");
        asked.body.send_data(message.clone().into(), false).unwrap();
        reads(&mut request.body, &message).await;
        answering.send_data(message.clone().into(), false).unwrap();
        reads(&mut answer, &message).await;
    }
    asked.body.send_data("last".into(), true).unwrap();
    assert_eq!(request.read().await.body, "last");
    answering.send_trailers(fields([("grpc-status", "0")])).unwrap();
    let (_, trailers) = crate::kit::read_all(&mut answer).await.unwrap();
    assert_eq!(trailers, Some(fields([("grpc-status", "0")])));
    site.stop().await;
}

#[tokio::test]
async fn answers_of_ours_to_grpc_say_it_in_its_words() {
    let refusing = Refusing::new();
    let site = Site::with(|plan| {
        plan.more_clusters = vec![cluster("gone", &[refusing.address])];
        let routes = vec![
            prefix("/refused", crate::kit::forward("gone")),
            prefix("/direct", direct(403, "no 100%")),
            prefix("/none", crate::kit::forward("unknown")),
        ];
        *plan.routes() = routes;
    })
    .await;
    let mut client = site.http2_client().await;
    let connect_failure =
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
    let cases = [
        ("/refused", "14", Some(connect_failure)),
        ("/direct", "7", Some("no 100%25")),
        ("/none", "14", None),
        ("/nowhere", "12", None),
    ];
    for (path, status, message) in cases {
        let mut request = call();
        *request.uri_mut() = format!("http://a{path}").parse().unwrap();
        let mut asked = client.send(request, true).await;
        let head = asked.head().await;
        assert!(head.body().is_end_stream(), "{path}: trailers alone are a head");
        let (parts, _) = head.into_parts();
        let get = |name| crate::kit::value(&parts.headers, name);
        assert_eq!(parts.status, 200);
        assert_eq!((get("content-type"), get("content-length")), (Some("application/grpc"), None));
        assert_eq!((get("grpc-status"), get("grpc-message")), (Some(status), message), "{path}");
    }
    // Over HTTP/1 the length says that nothing follows.
    let (head, body) = site.answer("POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n").await;
    assert_eq!((head.status(), head.get("grpc-status"), head.get("content-length")), (200, Some("12"), Some("0")));
    assert_eq!(body, "");
    site.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_the_call() {
    let site = Site::with(deadlines(None)).await;
    let Open { asked, mut request, client: _client, upstream: _upstream } =
        site.asked(call_within(Some("100m")), true).await;
    assert_eq!(
        (request.get("grpc-timeout"), request.get("x-envoy-expected-rq-timeout-ms")),
        (Some("100m"), Some("100"))
    );
    let answer = asked.message().await;
    assert_eq!((answer.status(), answer.get("grpc-status")), (200, Some("14")));
    assert_eq!(answer.get("grpc-message"), Some("upstream request timeout"));
    request.is_reset().await;
    site.logs(&["200 UT response_timeout 0 0"]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_timeout"), 1);
    site.stop().await;
}

#[tokio::test]
async fn deadlines_are_told_in_milliseconds_as_far_as_the_route_allows_them() {
    let unlimited = None;
    let cases = [
        (unlimited, Some("3S"), Some("3000m")),
        (unlimited, Some("12345678u"), Some("12346m")),
        (unlimited, Some("1H"), Some("3600000m")),
        (unlimited, Some("soon"), Some("soon")),
        (unlimited, None, None),
        (Some(Duration::from_secs(5)), Some("3S"), Some("3000m")),
        (Some(Duration::from_secs(5)), Some("1H"), Some("5000m")),
        (Some(Duration::from_secs(5)), None, Some("5000m")),
    ];
    for (max, said, told) in cases {
        let site = Site::with(deadlines(max)).await;
        let Open { request, asked, client: _client, upstream: _upstream } = site.asked(call_within(said), true).await;
        assert_eq!(request.get("grpc-timeout"), told, "{max:?} {said:?}");
        request.says("ok");
        asked.message().await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_deadline_does_not_count_where_the_route_does_not_say_so_nor_for_what_is_no_grpc() {
    let site = Site::with(http2_upstream).await;
    let Open { request, asked, client: _client, upstream: _upstream } = site.asked(call_within(Some("1m")), true).await;
    assert_eq!(request.get("grpc-timeout"), Some("1m"));
    // The deadline is over long before the next request has got through.
    let other = site.http2_client().await.send(crate::kit::get("/"), true).await;
    drop(other);
    request.says("ok");
    assert_eq!(asked.message().await.text(), "ok");

    let site = Site::with(deadlines(Some(Duration::from_millis(1)))).await;
    let mut plain = crate::kit::get("/");
    plain.headers_mut().insert("grpc-timeout", "1m".parse().unwrap());
    let Open { request, asked, client: _client, upstream: _upstream } = site.asked(plain, true).await;
    assert_eq!(request.get("grpc-timeout"), Some("1m"));
    assert_eq!(request.get("x-envoy-expected-rq-timeout-ms"), Some("15000"));
    request.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_later_try_is_told_what_is_left_of_the_deadline() {
    let site = Site::with(|plan| {
        deadlines(None)(plan);
        plan.forward().retry = Some(retry_policy(RetryOn { grpc_unavailable: true, ..RetryOn::default() }));
    })
    .await;
    let Open { asked, request, mut upstream, client: _client } = site.asked(call_within(Some("20S")), true).await;
    assert_eq!(request.get("grpc-timeout"), Some("20000m"));
    // Some of it passes.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let unavailable = Response::builder().header("content-type", "application/grpc").header("grpc-status", "14");
    request.answer_whole(unavailable.body(()).unwrap(), "", None);
    let second = upstream.request().await;
    let left = second.get("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse::<u64>().unwrap();
    assert!((1..20_000).contains(&left), "{left}");
    assert_eq!(second.get("x-envoy-attempt-count"), Some("2"));
    second.answer_whole(response(), "data", Some(fields([("grpc-status", "0")])));
    assert_eq!(asked.message().await.trailer("grpc-status"), Some("0"));
    site.stop().await;
}

#[tokio::test]
async fn a_try_has_no_more_time_than_tries_have() {
    let site = Site::with(|plan| {
        deadlines(None)(plan);
        let mut policy = retry_policy(RetryOn { server_error: true, ..RetryOn::default() });
        policy.per_try_timeout = Some(Duration::from_millis(150));
        plan.forward().retry = Some(policy);
    })
    .await;
    let Open { asked, mut request, mut upstream, client: _client } = site.asked(call_within(Some("20S")), true).await;
    assert_eq!(request.get("grpc-timeout"), Some("150m"));
    request.is_reset().await;
    let second = upstream.request().await;
    assert_eq!(second.get("grpc-timeout"), Some("150m"));
    second.answer_whole(response(), "data", Some(fields([("grpc-status", "0")])));
    assert_eq!(asked.message().await.trailer("grpc-status"), Some("0"));
    assert_eq!(site.edge.count("cluster.b.upstream_rq_per_try_timeout"), 1);
    site.stop().await;
}

#[tokio::test]
async fn a_call_over_http1_endpoints_keeps_the_status_in_its_head() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let asked = client.send(call(), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 16\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(asked.message().await.get("grpc-status"), Some("16"));
    site.stop().await;
}

#[tokio::test]
async fn a_call_whose_endpoint_is_gone_is_unavailable() {
    let site = Site::with(http2_upstream).await;
    let Open { asked, request, upstream, client: _client } = site.asked(call(), true).await;
    drop(request);
    upstream.leave().await;
    let answer = asked.message().await;
    assert_eq!((answer.status(), answer.get("grpc-status")), (200, Some("14")));
    site.stop().await;
}
