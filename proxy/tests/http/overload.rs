//! Memory is short: what requests hear of it, and that what is under way goes on.

use selvedge::overload::Action;

use crate::kit::Site;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_are_refused_while_that_action_is_active_and_those_under_way_are_not() {
    let site = Site::start().await;
    let (mut first, mut upstream, _) = site.sent(GET).await;
    site.edge.overload().set(Action::StopAcceptingRequests, 1.0);
    let (head, body) = site.answer(GET).await;
    assert_eq!((head.status(), body.as_str()), (503, "envoy overloaded"));
    site.logs(&["503 OM overload 0 16"]).await;
    assert_eq!(site.edge.count("http.test.downstream_rq_overload_close"), 1);
    upstream.send(OK).await;
    assert_eq!(first.message().await.1, "ok");

    site.edge.overload().set(Action::StopAcceptingRequests, 0.0);
    first.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    let (head, body) = first.message().await;
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    site.stop().await;
}

#[tokio::test]
async fn connections_end_with_their_next_answer_while_that_action_is_active() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let mut bystander = site.client().await;
    let (mut upstream, head) = {
        client.send(GET).await;
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        upstream.send(OK).await;
        (upstream, client.message().await.0)
    };
    assert_eq!(head.get("connection"), None);
    site.edge.overload().set(Action::DisableHttpKeepalive, 1.0);
    client.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    let (head, body) = client.message().await;
    assert_eq!((head.status(), head.get("connection"), body.as_str()), (200, Some("close"), "ok"));
    assert_eq!(client.closes().await, "");
    assert!(site.edge.count("http.test.downstream_cx_overload_disable_keepalive") > 0);

    site.edge.overload().set(Action::DisableHttpKeepalive, 0.0);
    for _ in 0..2 {
        bystander.send(GET).await;
        upstream.head().await;
        upstream.send(OK).await;
        let (head, _) = bystander.message().await;
        assert_eq!((head.status(), head.get("connection")), (200, None));
    }
    site.stop().await;
}
