//! What messages consist of, from one protocol to the other.

use http::{Request, Response};

use crate::kit::{Http2Upstream, Open, Site, fields, get, http2_upstream, ok, post};

fn interim(status: u16) -> Response<()> {
    Response::builder().status(status).header("link", "</a.css>").body(()).unwrap()
}

fn expecting() -> Request<()> {
    Request::post("http://a/").header("expect", "100-continue").body(()).unwrap()
}

#[tokio::test]
async fn pseudo_headers_become_the_request_line_and_host_and_back() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let request = Request::get("http://shop.example.com/cart?x=1").header("cookie", "a=1").header("cookie", "b=2");
    let asked = client.send(request.body(()).unwrap(), true).await;
    let mut upstream = site.backend.accept().await;
    let head = upstream.head().await;
    assert_eq!((head.line.as_str(), head.get("host")), ("GET /cart?x=1 HTTP/1.1", Some("shop.example.com")));
    assert_eq!((head.get("cookie"), head.get("x-forwarded-proto")), (Some("a=1; b=2"), Some("http")));
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (None, None));
    upstream.send("HTTP/1.1 201 Created\r\nx-a: 1\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = asked.message().await;
    assert_eq!((answer.status(), answer.get("x-a"), answer.get("connection")), (201, Some("1"), None));
    assert_eq!((answer.text(), answer.get("server")), ("ok", Some("istio-envoy")));

    let site = Site::with(http2_upstream).await;
    let mut client = site.client().await;
    client
        .send(
            "GET /cart?x=1 HTTP/1.1\r\nhost: shop.example.com\r\nconnection: x-hop\r\nx-hop: 1\r\nte: trailers\r\n\r\n",
        )
        .await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let request = upstream.request().await;
    let uri = request.head.uri();
    let parts = (uri.scheme_str(), uri.authority().map(|authority| authority.as_str()), uri.path(), uri.query());
    assert_eq!(parts, (Some("http"), Some("shop.example.com"), "/cart", Some("x=1")));
    assert_eq!((request.get("host"), request.get("connection"), request.get("x-hop")), (None, None, None));
    assert!(request.body.is_end_stream());
    request.says("ok");
    let (head, body) = client.message().await;
    assert_eq!((head.line.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ok"));
    site.stop().await;
}

#[tokio::test]
async fn trailers_go_both_ways_between_http2_connections() {
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(post("/"), false).await;
    asked.body.send_data("question".into(), false).unwrap();
    asked.body.send_trailers(fields([("x-sum", "1")])).unwrap();
    let read = request.read().await;
    assert_eq!((&read.body[..], read.trailers), (&b"question"[..], Some(fields([("x-sum", "1")]))));
    request.answer_whole(ok(), "answer", Some(fields([("x-sum", "2"), ("x-more", "3")])));
    let answer = asked.message().await;
    assert_eq!((answer.text(), answer.trailer("x-sum"), answer.trailer("x-more")), ("answer", Some("2"), Some("3")));
    site.stop().await;
}

#[tokio::test]
async fn trailers_end_at_http1() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(post("/"), false).await;
    asked.body.send_data("question".into(), false).unwrap();
    asked.body.send_trailers(fields([("x-sum", "1")])).unwrap();
    let mut upstream = site.backend.accept().await;
    assert_eq!(upstream.head().await.get("transfer-encoding"), Some("chunked"));
    upstream.says("8\r\nquestion\r\n0\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n").await;
    assert_eq!(asked.message().await.text(), "ok");

    let site = Site::with(http2_upstream).await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n").await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    upstream.request().await.answer_whole(ok(), "ok", Some(fields([("x-sum", "1")])));
    client.head().await;
    client.says("2\r\nok\r\n0\r\n\r\n").await;
    site.stop().await;
}

#[tokio::test]
async fn an_answer_that_ends_with_its_head_ends_for_http1_clients_too() {
    for (method, status, length) in
        [("GET", 200, Some("0")), ("GET", 204, None), ("GET", 403, Some("0")), ("HEAD", 200, None)]
    {
        let site = Site::with(http2_upstream).await;
        let mut client = site.client().await;
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let mut upstream = Http2Upstream::accept(&site.backend).await;
        let answer = Response::builder().status(status).body(()).unwrap();
        upstream.request().await.answer_whole(answer, "", None);
        let head = client.head().await;
        assert_eq!((head.status(), head.get("content-length")), (status, length), "{method}");
        assert_eq!((head.get("transfer-encoding"), head.get("connection")), (None, None));
        // The connection serves on.
        client.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(upstream.request().await.path(), "/next");
        site.stop().await;
    }
}

#[tokio::test]
async fn the_length_of_what_head_leaves_out_is_told() {
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let asked = client.send(Request::head("http://a/").body(()).unwrap(), true).await;
    let mut upstream = site.backend.accept().await;
    assert_eq!(upstream.head().await.line, "HEAD / HTTP/1.1");
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let answer = asked.message().await;
    assert_eq!((answer.get("content-length"), answer.text()), (Some("5"), ""));
    site.stop().await;
}

#[tokio::test]
async fn clients_are_asked_for_their_bodies_across_protocols() {
    // From HTTP/2 to HTTP/1.
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(expecting(), false).await;
    let mut upstream = site.backend.accept().await;
    assert_eq!(upstream.head().await.get("expect"), Some("100-continue"));
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(asked.interim().await.status(), 100);
    asked.body.send_data("body".into(), true).unwrap();
    upstream.says("4\r\nbody\r\n0\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(asked.message().await.text(), "ok");

    // From HTTP/1 to HTTP/2.
    let site = Site::with(http2_upstream).await;
    let mut client = site.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n").await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    assert_eq!(request.get("expect"), Some("100-continue"));
    request.respond.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
    client.says("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("body").await;
    assert_eq!(request.read().await.body, "body");
    request.says("ok");
    assert_eq!(client.message().await.1, "ok");

    // From HTTP/2 to HTTP/2.
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(expecting(), false).await;
    request.respond.send_informational(Response::builder().status(100).body(()).unwrap()).unwrap();
    assert_eq!(asked.interim().await.status(), 100);
    asked.body.send_data("body".into(), true).unwrap();
    assert_eq!(request.read().await.body, "body");
    request.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}

#[tokio::test]
async fn early_hints_go_through_across_protocols() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    // From HTTP/1 to HTTP/2.
    let site = Site::start().await;
    let mut client = site.http2_client().await;
    let mut asked = client.send(get("/"), true).await;
    let mut upstream = site.backend.accept().await;
    upstream.head().await;
    for _ in 0..2 {
        upstream.send(hints).await;
        let interim = asked.interim().await;
        assert_eq!((interim.status().as_u16(), &interim.headers()["link"]), (103, &"</a.css>".parse().unwrap()));
    }
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(asked.message().await.text(), "ok");

    // From HTTP/2 to HTTP/1.
    let site = Site::with(http2_upstream).await;
    let mut client = site.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut request = upstream.request().await;
    request.respond.send_informational(interim(103)).unwrap();
    let head = client.head().await;
    assert_eq!((head.status(), head.get("link")), (103, Some("</a.css>")));
    request.says("ok");
    assert_eq!(client.message().await.1, "ok");

    // From HTTP/2 to HTTP/2.
    let site = Site::with(http2_upstream).await;
    let Open { mut asked, mut request, client: _client, upstream: _upstream } = site.asked(get("/"), true).await;
    request.respond.send_informational(interim(103)).unwrap();
    assert_eq!(asked.interim().await.status(), 103);
    request.says("ok");
    assert_eq!(asked.message().await.text(), "ok");
    site.stop().await;
}
