//! Streams that do not come to their end, and what becomes of the other side and of other streams.

use http2_oracle::Reason;

use crate::kit::{
    Frame, Frames, Http2Upstream, Open, Site, get, http2_upstream, kind, ok, post, read_all, reads, reset_of,
};

#[tokio::test]
async fn a_client_that_resets_its_stream_closes_the_http1_connection_behind_it() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    asked.body.send_reset(Reason::CANCEL);
    assert_eq!(upstream.closes().await, "");
    site.logs(&["0 DR http2.remote_reset 0 0"]).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_rx_reset"), 1);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_tx_reset"), 1);
    // The connection serves on.
    let _next = client.send(get("/next"), true).await;
    assert_eq!(site.backend.accept().await.head().await.line, "GET /next HTTP/1.1");
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_resets_its_stream_cancels_the_one_behind_it_alone() {
    let site = Site::with(http2_upstream).await;
    let Open { mut client, mut asked, mut upstream, mut request } = site.asked(post("/"), false).await;
    let other = client.send(get("/other"), true).await;
    let answering = upstream.request().await;
    asked.body.send_reset(Reason::CANCEL);
    assert_eq!(request.is_reset().await, Reason::CANCEL);
    answering.says("unharmed");
    assert_eq!(other.message().await.text(), "unharmed");
    site.logs(&["0 DR http2.remote_reset 0 0", "200 - via_upstream 0 8"]).await;
    assert!(!client.is_over() && !upstream.is_over());
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_all_its_requests() {
    let site = Site::with(http2_upstream).await;
    let Open { mut client, asked: _asked, mut upstream, mut request } = site.asked(post("/"), false).await;
    let _other = client.send(get("/other"), true).await;
    let mut other = upstream.request().await;
    client.leave().await;
    for request in [&mut request, &mut other] {
        assert_eq!(request.is_reset().await, Reason::CANCEL);
    }
    site.logs(&["0 DC downstream_remote_disconnect 0 0"; 2]).await;
    site.edge.counts("http.test.downstream_rq_active", 0).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_rx_reset"), 2);
    assert!(!upstream.is_over());
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_resets_its_stream_within_the_answer_ends_that() {
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(get("/"), true).await;
    let mut answering = request.answer(ok());
    answering.send_data("begin".into(), false).unwrap();
    let mut answer = asked.head().await.into_body();
    reads(&mut answer, "begin").await;
    asked.body.send_reset(Reason::CANCEL);
    let reset = std::future::poll_fn(|context| answering.poll_reset(context));
    assert_eq!(crate::kit::within("a reset", reset).await.unwrap(), Reason::CANCEL);
    site.logs(&["200 DR http2.remote_reset 0 5"]).await;
    site.stop().await;
}

#[tokio::test]
async fn an_early_answer_of_an_http1_endpoint_ends_an_upload_and_no_other_stream() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(post("/"), false).await;
    asked.body.send_data("begin".into(), false).unwrap();
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.says("5\r\nbegin\r\n").await;
    upstream.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno").await;
    let answer = asked.message().await;
    assert_eq!((answer.status(), answer.text()), (413, "no"));
    assert_eq!(upstream.closes().await, "");
    site.logs(&["413 - via_upstream 5 2"]).await;
    let asked = client.send(get("/next"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}

#[tokio::test]
async fn after_an_early_answer_the_client_is_told_without_blame_that_its_body_is_not_wanted() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::post(1, "/"), Frame::data(1, false, "begin")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    reads(&mut request.body, "begin").await;
    let mut answering = request.answer(ok());
    answering.send_data("no".into(), true).unwrap();
    client.until_some(Frame::ends_stream).await;
    let reset = client.until(kind::RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, 0), "NO_ERROR (RFC 9113 section 8.1)");
    // The endpoint is not left waiting for the rest either.
    assert_eq!(reset_of(&mut request.body).await, Reason::CANCEL);
    site.stop().await;
}

#[tokio::test]
async fn an_upload_goes_on_while_the_early_answer_does() {
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(post("/"), false).await;
    let mut answering = request.answer(ok());
    answering.send_data("early".into(), false).unwrap();
    let mut answer = asked.head().await.into_body();
    reads(&mut answer, "early").await;
    asked.body.send_data("late".into(), true).unwrap();
    assert_eq!(request.read().await.body, "late");
    answering.send_data("end".into(), true).unwrap();
    assert_eq!(read_all(&mut answer).await.unwrap().0, "end");
    site.logs(&["200 - via_upstream 4 8"]).await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_resets_the_stream_before_it_answers_gets_503() {
    let start = "upstream connect error or disconnect/reset before headers. reset reason: ";
    let cases = [
        (
            Reason::INTERNAL_ERROR,
            503,
            "remote reset",
            "503 UR upstream_reset_before_response_started{remote_reset} 0 85",
        ),
        (Reason::CANCEL, 503, "remote reset", "503 UR upstream_reset_before_response_started{remote_reset} 0 85"),
        (
            Reason::REFUSED_STREAM,
            503,
            "remote refused stream reset",
            "503 UR upstream_reset_before_response_started{remote_refused_stream_reset} 0 100",
        ),
        (
            Reason::PROTOCOL_ERROR,
            502,
            "protocol error",
            "502 UPE upstream_reset_before_response_started{protocol_error} 0 87",
        ),
    ];
    for (code, status, words, logged) in cases {
        let site = Site::with(http2_upstream).await;
        let Open { asked, request, mut client, mut upstream } = site.asked(get("/"), true).await;
        request.reset(code);
        let answer = asked.message().await;
        assert_eq!((answer.status(), answer.text()), (status, format!("{start}{words}").as_str()), "{code:?}");
        site.logs(&[logged]).await;
        // Both connections serve on.
        let asked = client.send(get("/"), true).await;
        upstream.request().await.says("ok");
        assert_eq!(asked.message().await.text(), "ok");
        site.stop().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_resets_the_stream_within_the_answer_breaks_it_off() {
    let cases = [
        (Reason::INTERNAL_ERROR, "UR", "remote_reset"),
        (Reason::REFUSED_STREAM, "UR", "remote_refused_stream_reset"),
        (Reason::PROTOCOL_ERROR, "UPE", "protocol_error"),
    ];
    for (code, flag, details) in cases {
        let site = Site::with(http2_upstream).await;
        let Open { mut asked, mut request, client, upstream: _upstream } = site.asked(get("/"), true).await;
        let mut answering = request.answer(ok());
        answering.send_data("half".into(), false).unwrap();
        let mut answer = asked.head().await.into_body();
        reads(&mut answer, "half").await;
        answering.send_reset(code);
        assert_eq!(reset_of(&mut answer).await, Reason::INTERNAL_ERROR);
        site.logs(&[&format!("200 {flag} upstream_reset_after_response_started{{{details}}} 0 4")]).await;
        assert_eq!(site.edge.count("cluster.b.upstream_rq_rx_reset"), 1);
        assert!(!client.is_over());
        site.stop().await;
    }
}

#[tokio::test]
async fn a_broken_answer_is_not_complete_to_an_http1_client() {
    let site = Site::with(http2_upstream).await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    let mut answering = request.answer(ok());
    answering.send_data("half".into(), false).unwrap();
    client.head().await;
    client.says("4\r\nhalf\r\n").await;
    answering.send_reset(Reason::INTERNAL_ERROR);
    assert_eq!(client.closes().await, "");
    site.stop().await;
}

#[tokio::test]
async fn a_lost_connection_to_the_endpoint_ends_every_request_on_it() {
    let site = Site::with(http2_upstream).await;
    let Open { mut client, mut asked, mut upstream, mut request } = site.asked(get("/begun"), true).await;
    request.answer(ok()).send_data("half".into(), false).unwrap();
    let mut begun = asked.head().await.into_body();
    reads(&mut begun, "half").await;
    let waiting = client.send(get("/waiting"), true).await;
    upstream.request().await;
    upstream.leave().await;
    assert_eq!(reset_of(&mut begun).await, Reason::INTERNAL_ERROR);
    let answer = waiting.message().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().ends_with("connection termination"), "{}", answer.text());
    let before =
        format!("503 UC upstream_reset_before_response_started{{connection_termination}} 0 {}", answer.body.len());
    let after = "200 UC upstream_reset_after_response_started{connection_termination} 0 4";
    site.logs_in_any_order(&[&before, after]).await;
    // The next one gets another connection.
    let asked = client.send(get("/next"), true).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    upstream.request().await.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    site.edge.counts("cluster.b.upstream_cx_active", 1).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_destroy"), 1);
    site.stop().await;
}

#[tokio::test]
async fn an_http1_endpoint_that_cuts_its_answer_resets_the_clients_stream() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let mut answer = asked.head().await.into_body();
    reads(&mut answer, "half").await;
    drop(upstream);
    assert_eq!(reset_of(&mut answer).await, Reason::INTERNAL_ERROR);
    assert!(!client.is_over());
    site.stop().await;
}
