//! Bodies of all sizes, through windows of all sizes.

use std::time::Duration;

use bytes::Bytes;
use http2_oracle::{client, server};
use tokio::join;

use crate::kit::{
    Frame, Frames, Http2Client, Http2Upstream, Plan, Site, get, http2_upstream, kind, ok, post, send_all, setting,
};

const SIZES: [usize; 4] = [0, 5, 70_000, 3_000_000];

/// Text in which a piece that is missing, doubled or elsewhere shows.
fn text(size: usize) -> String {
    let mut text: String = (0..=size / 8).map(|number| format!("{number:07} ")).collect();
    text.truncate(size);
    text
}

/// The gateway gives others little credit.
fn small_windows(plan: &mut Plan) {
    plan.manager.http2.initial_stream_window_size = 10_000;
    plan.manager.http2.initial_connection_window_size = 65_535;
    plan.cluster.http2.initial_stream_window_size = 10_000;
    plan.cluster.http2.initial_connection_window_size = 65_535;
}

/// A client that gives little credit.
async fn careful_client(site: &Site) -> Http2Client {
    Http2Client::with(site.address, client::Builder::new().initial_window_size(4_000)).await
}

#[tokio::test]
async fn from_http2_to_http1_and_back() {
    let site = Site::with(small_windows).await;
    let mut client = careful_client(&site).await;
    let mut upstream = None;
    for size in SIZES {
        let body = text(size);
        let mut asked = client.send(post("/"), false).await;
        let upstream = match &mut upstream {
            Some(upstream) => upstream,
            none => none.insert(site.backend.accept().await),
        };
        let (_, (_, received)) = join!(send_all(&mut asked.body, body.clone().into()), upstream.message());
        assert!(received == body, "{size}");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{body}");
        let (_, answer) = join!(upstream.send(answer), asked.message());
        assert!(answer.text() == body, "{size}");
    }
    site.stop().await;
}

#[tokio::test]
async fn from_http1_to_http2_and_back() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        small_windows(plan);
    })
    .await;
    let mut client = site.client().await;
    let mut upstream = None;
    for size in SIZES {
        let body = text(size);
        let sending = client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n{body}"));
        let receiving = async {
            let upstream = match &mut upstream {
                Some(upstream) => upstream,
                none => {
                    let mut builder = server::Builder::new();
                    none.insert(Http2Upstream::accept_with(&site.backend, builder.initial_window_size(4_000)).await)
                }
            };
            let mut request = upstream.request().await;
            assert_eq!(request.get("content-length"), Some(size.to_string().as_str()));
            assert!(request.read().await.body == body, "{size}");
            request
        };
        let (_, mut request) = join!(sending, receiving);
        let mut stream = request.answer(ok());
        let (_, (head, received)) = join!(send_all(&mut stream, body.clone().into()), client.message());
        assert_eq!(head.get("transfer-encoding"), Some("chunked"));
        assert!(received == body, "{size}");
    }
    site.stop().await;
}

#[tokio::test]
async fn from_http2_to_http2_and_back() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        small_windows(plan);
    })
    .await;
    let mut client = careful_client(&site).await;
    let mut asked = client.send(get("/"), true).await;
    let mut builder = server::Builder::new();
    let mut upstream = Http2Upstream::accept_with(&site.backend, builder.initial_window_size(4_000)).await;
    upstream.request().await.says("ok");
    asked.head().await;
    for size in SIZES {
        let body = text(size);
        let mut asked = client.send(post("/"), false).await;
        let mut request = upstream.request().await;
        let (_, received) = join!(send_all(&mut asked.body, body.clone().into()), request.read());
        assert!(received.body == body, "{size}");
        let mut stream = request.answer(ok());
        let (_, answer) = join!(send_all(&mut stream, body.clone().into()), asked.message());
        assert!(answer.text() == body, "{size}");
    }
    site.stop().await;
}

#[tokio::test]
async fn bodies_of_many_streams_at_once_do_not_mix() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        small_windows(plan);
    })
    .await;
    let mut client = careful_client(&site).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let mut asked = client.send(post(&format!("/{number}")), false).await;
        tasks.spawn(async move {
            let body = text(100_000 + number);
            send_all(&mut asked.body, body.clone().into()).await;
            assert!(asked.message().await.text() == body, "{number}");
        });
    }
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    for _ in 0..20 {
        let mut request = upstream.request().await;
        tasks.spawn(async move {
            let body = request.read().await.body;
            send_all(&mut request.answer(ok()), body).await;
        });
    }
    while let Some(done) = crate::kit::within("a stream", tasks.join_next()).await {
        done.unwrap();
    }
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_a_stream_holds_up_no_other() {
    let site = Site::with(http2_upstream).await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]), Frame::get(1, "/stalled")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let stalled = upstream.request().await;
    stalled.answer_whole(ok(), Bytes::from(vec![b'x'; 200_000]), None);
    client.until(kind::HEADERS).await;
    for stream in [3, 5, 7] {
        client.send(&[Frame::get(stream, "/quick")]).await;
        upstream.request().await.says("quick");
        client.until(kind::HEADERS).await;
        // Behind the stalled one in the queue of those that wait for credit.
        client.send(&[Frame::window_update(stream, 100)]).await;
        let data = client.until(kind::DATA).await;
        assert_eq!((data.stream, &data.payload[..]), (stream, &b"quick"[..]));
    }
    // With credit it goes on, as far as that reaches.
    client.send(&[Frame::window_update(1, 7)]).await;
    assert_eq!(client.until_some(|frame| frame.stream == 1).await.payload, b"xxxxxxx");
    site.stop().await;
}

#[tokio::test]
async fn a_stream_that_a_client_does_not_read_is_reset_at_the_stream_idle_timeout() {
    let site = Site::with(|plan| {
        http2_upstream(plan);
        plan.manager.stream_idle_timeout = Some(Duration::from_millis(200));
    })
    .await;
    let mut client = Frames::connect(site.address).await;
    client.send(&[Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]), Frame::get(1, "/stalled")]).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    // More than the endpoint's window: what is here as a whole would be waited for otherwise.
    upstream.request().await.answer_whole(ok(), Bytes::from(vec![b'x'; 2_000_000]), None);
    assert_eq!(client.until(kind::RST_STREAM).await.stream, 1);
    site.edge.counts("downstream_rq_idle_timeout", 1).await;
    site.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_read_a_stream_holds_up_no_other() {
    let site = Site::with(http2_upstream).await;
    let mut client = site.http2_client().await;
    let mut stalled = client.send(post("/stalled"), false).await;
    let mut upstream = Http2Upstream::accept(&site.backend).await;
    let mut unread = upstream.request().await;
    let body = Bytes::from(vec![b'x'; 1_000_000]);
    let uploading = tokio::spawn(async move {
        send_all(&mut stalled.body, body).await;
        stalled.message().await
    });
    // The endpoint's window, and no more.
    let first = crate::kit::within("the first piece", unread.body.data()).await.unwrap().unwrap();
    for _ in 0..3 {
        let asked = client.send(get("/quick"), true).await;
        upstream.request().await.says("quick");
        assert_eq!(asked.message().await.text(), "quick");
    }
    assert!(!uploading.is_finished());
    unread.body.flow_control().release_capacity(first.len()).unwrap();
    assert_eq!(first.len() + unread.read().await.body.len(), 1_000_000);
    unread.says("done");
    assert_eq!(crate::kit::within("the upload", uploading).await.unwrap().text(), "done");
    site.stop().await;
}
