//! What the gateway writes into heads, and what it takes out of them.

use std::time::Duration;

use xds_model::header::HeaderAppend;
use xds_model::http::{HttpFilter, ServerHeader};
use xds_model::route::PathRewrite;

use crate::kit::{Head, Plan, Site, mutation};

/// What the backend gets for a request with these fields.
async fn forwarded(fields: &str, change: impl FnOnce(&mut Plan)) -> Head {
    let site = Site::with(change).await;
    let (_client, _upstream, head) = site.sent(&format!("GET /old/x?q=1 HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
    site.stop().await;
    head
}

/// What the client gets for a response with these fields.
async fn returned(fields: &str, change: impl FnOnce(&mut Plan)) -> Head {
    let site = Site::with(change).await;
    let (mut client, mut upstream, _) = site.sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n")).await;
    let head = client.head().await;
    site.stop().await;
    head
}

#[tokio::test]
async fn the_peer_is_appended_to_x_forwarded_for() {
    let head = forwarded("x-forwarded-for: 1.1.1.1\r\n", |_| ()).await;
    // In place of a loopback address: our own.
    assert_eq!(head.get("x-forwarded-for"), Some("1.1.1.1,10.1.2.3"));
    // Nobody in front of us is believed.
    assert_eq!(head.get("x-envoy-external-address"), Some("127.0.0.1"));
    assert_eq!(forwarded("", |_| ()).await.get("x-forwarded-for"), Some("10.1.2.3"));
}

#[tokio::test]
async fn the_client_is_who_the_outermost_trusted_hop_saw() {
    let two_hops = |plan: &mut Plan| plan.manager.xff_num_trusted_hops = 2;
    let head = forwarded(
        "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2\r\nx-forwarded-proto: https\r\n",
        two_hops,
    )
    .await;
    assert_eq!(head.get("x-envoy-external-address"), Some("1.1.1.1"));
    assert_eq!(head.get("x-forwarded-proto"), Some("https"));
    let head = forwarded("x-forwarded-for: 2.2.2.2\r\n", two_hops).await;
    assert_eq!(head.get("x-envoy-external-address"), Some("127.0.0.1"));
}

#[tokio::test]
async fn x_forwarded_proto_is_ours() {
    let head = forwarded("x-forwarded-proto: https\r\n", |_| ()).await;
    assert_eq!(head.get("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn a_client_does_not_choose_its_request_id() {
    let head = forwarded("x-request-id: mine\r\n", |_| ()).await;
    let id = head.get("x-request-id").unwrap();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    let kept = forwarded("x-request-id: mine\r\n", |plan| plan.manager.preserve_external_request_id = true).await;
    assert_eq!(kept.get("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn the_request_id_comes_back_where_it_is_asked_for() {
    let site = Site::with(|plan| plan.manager.always_set_request_id_in_response = true).await;
    let (mut client, mut upstream, request) = site.sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.get("x-request-id"), request.get("x-request-id"));
    site.stop().await;
}

#[tokio::test]
async fn what_only_the_mesh_may_say_is_taken_out() {
    let names = [
        "x-envoy-retry-on",
        "x-envoy-max-retries",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-decorator-operation",
        "x-envoy-ip-tags",
        "x-envoy-force-trace",
        "x-envoy-internal",
        "x-envoy-expected-rq-timeout-ms",
    ];
    let fields: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
    let head = forwarded(&fields, |_| ()).await;
    for name in names {
        assert_eq!(head.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn the_attempt_count_is_ours() {
    let head = forwarded("x-envoy-attempt-count: 7\r\n", |_| ()).await;
    assert_eq!(head.get("x-envoy-attempt-count"), Some("1"));
    let head = forwarded("", |plan| plan.host().include_request_attempt_count = false).await;
    assert_eq!(head.get("x-envoy-attempt-count"), None);
}

#[tokio::test]
async fn the_upstream_is_told_how_long_it_has() {
    let head = forwarded("", |plan| plan.forward().timeout = Some(Duration::from_millis(30_500))).await;
    assert_eq!(head.get("x-envoy-expected-rq-timeout-ms"), Some("30500"));
}

#[tokio::test]
async fn a_rewrite_leaves_the_original_path_and_host_in_headers() {
    let head = forwarded("", |plan| {
        plan.routes()[0].matches.path = xds_model::route::PathMatch::Prefix("/old".to_owned());
        plan.forward().path_rewrite = Some(PathRewrite::Prefix("/new".to_owned()));
        plan.forward().host_rewrite = Some("b.internal".to_owned());
        plan.forward().append_x_forwarded_host = true;
    })
    .await;
    assert_eq!((head.line.as_str(), head.get("host")), ("GET /new/x?q=1 HTTP/1.1", Some("b.internal")));
    assert_eq!(head.get("x-envoy-original-path"), Some("/old/x?q=1"));
    assert_eq!(head.get("x-envoy-original-host"), Some("a"));
    assert_eq!(head.get("x-forwarded-host"), Some("a"));
}

#[tokio::test]
async fn routes_change_headers_both_ways() {
    let change = |plan: &mut Plan| {
        let headers = &mut plan.routes()[0].headers;
        headers.request.remove.push("x-remove".to_owned());
        headers.request.add.push(mutation("x-add", "%REQ(x-seen)%!", HeaderAppend::AppendIfExistsOrAdd));
        headers.request.add.push(mutation("x-set", "new", HeaderAppend::OverwriteIfExistsOrAdd));
        headers.response.remove.push("x-remove".to_owned());
        headers.response.add.push(mutation("x-code", "%RESPONSE_CODE%", HeaderAppend::OverwriteIfExistsOrAdd));
        headers.response.add.push(mutation("x-kept", "new", HeaderAppend::AddIfAbsent));
    };
    let head = forwarded("x-remove: 1\r\nx-seen: yes\r\nx-set: old\r\n", change).await;
    assert_eq!((head.get("x-remove"), head.get("x-add"), head.get("x-set")), (None, Some("yes!"), Some("new")));
    let head = returned("x-remove: 1\r\nx-kept: old\r\n", change).await;
    assert_eq!((head.get("x-remove"), head.get("x-code"), head.get("x-kept")), (None, Some("200"), Some("old")));
}

#[tokio::test]
async fn server_is_ours_and_date_is_there() {
    let head = returned("server: theirs\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", |_| ()).await;
    assert_eq!(head.get("server"), Some("istio-envoy"));
    assert_eq!(head.get("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let head = returned("", |_| ()).await;
    assert!(head.get("date").unwrap().ends_with(" GMT"));
    assert!(head.get("x-envoy-upstream-service-time").unwrap().parse::<u64>().is_ok());
    let head = returned("server: theirs\r\n", |plan| plan.manager.server_header = ServerHeader::AppendIfAbsent).await;
    assert_eq!(head.get("server"), Some("theirs"));
    let head = returned("", |plan| plan.manager.server_header = ServerHeader::PassThrough).await;
    assert_eq!(head.get("server"), None);
}

#[tokio::test]
async fn what_concerns_one_connection_stays_on_it() {
    let head = forwarded(
        "connection: keep-alive, x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip, trailers\r\n",
        |_| (),
    )
    .await;
    for name in ["connection", "x-mine", "keep-alive", "proxy-connection"] {
        assert_eq!(head.get(name), None, "{name}");
    }
    assert_eq!(head.get("te"), Some("trailers"));
    let head =
        returned("connection: keep-alive\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n", |_| ()).await;
    for name in ["connection", "keep-alive", "proxy-connection"] {
        assert_eq!(head.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_client_cannot_have_our_headers_taken_out() {
    let site = Site::start().await;
    for name in ["x-forwarded-for", "host", "x-envoy-internal", "x-request-id"] {
        let (head, _) = site.answer(&format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: {name}\r\n\r\n")).await;
        assert_eq!(head.status(), 400, "{name}");
    }
    site.stop().await;
}

#[tokio::test]
async fn nobody_without_a_certificate_says_who_showed_one() {
    let head = forwarded("x-forwarded-client-cert: Hash=1;URI=spiffe://a/b\r\n", |_| ()).await;
    assert_eq!(head.get("x-forwarded-client-cert"), None);
}

#[tokio::test]
async fn metadata_of_workloads_does_not_cross_the_edge() {
    let exchange = |plan: &mut Plan| plan.manager.filters.push(HttpFilter::MetadataExchange);
    let fields = "x-envoy-peer-metadata: abc\r\nx-envoy-peer-metadata-id: def\r\n";
    for head in [forwarded(fields, exchange).await, returned(fields, exchange).await] {
        assert_eq!((head.get("x-envoy-peer-metadata"), head.get("x-envoy-peer-metadata-id")), (None, None));
    }
}

#[tokio::test]
async fn every_request_of_a_connection_tells_of_its_client() {
    let site = Site::with(|plan| plan.manager.append_x_forwarded_port = true).await;
    let mut client = site.client().await;
    let mut upstream = None;
    let mut heads = Vec::new();
    for more in ["", "", "", "x-forwarded-for: 192.0.2.9\r\n", ""] {
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{more}\r\n")).await;
        let upstream = match &mut upstream {
            Some(upstream) => upstream,
            none => none.insert(site.backend.accept().await),
        };
        heads.push(upstream.head().await);
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.message().await.0.status(), 200);
    }
    let told = |head: &Head| {
        let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-envoy-internal"];
        names.map(|name| head.get(name).map(str::to_owned))
    };
    assert!(told(&heads[0])[..3].iter().all(Option::is_some));
    for later in [1, 2, 4] {
        assert_eq!(told(&heads[later]), told(&heads[0]), "request {later}");
    }
    let listed = heads[3].get("x-forwarded-for").unwrap();
    assert_eq!(listed, format!("192.0.2.9,{}", heads[0].get("x-forwarded-for").unwrap()));
    let ids: std::collections::BTreeSet<_> = heads.iter().map(|head| head.get("x-request-id")).collect();
    assert_eq!(ids.len(), heads.len());
    site.stop().await;
}
