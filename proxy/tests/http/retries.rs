//! Requests that are sent again.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use xds_model::cluster::{Balancer, Cluster, Discovery};
use xds_model::endpoint::{ClusterLoadAssignment, LocalityEndpoints};
use xds_model::route::{RetryOn, RetryPolicy};

use crate::kit::{Backend, Plan, Refusing, Server, Site, assignment, cluster, retry_policy};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

const ON_CONNECT: RetryOn = RetryOn {
    connect_failure: true,
    refused_stream: false,
    reset: false,
    reset_before_request: false,
    gateway_error: false,
    server_error: false,
    rate_limited: false,
    retriable_4xx: false,
    retriable_status_codes: false,
    grpc_cancelled: false,
    grpc_deadline_exceeded: false,
    grpc_internal: false,
    grpc_resource_exhausted: false,
    grpc_unavailable: false,
};
const ON_STATUS: RetryOn = RetryOn { retriable_status_codes: true, ..ON_CONNECT };
const ON_ERROR: RetryOn = RetryOn { server_error: true, ..ON_CONNECT };

fn retrying(retry_on: RetryOn) -> impl FnOnce(&mut Plan) {
    move |plan| plan.forward().retry = Some(retry_policy(retry_on))
}

#[tokio::test]
async fn a_refused_connect_is_tried_again_on_another_endpoint() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let site = Site::with(|plan| {
        // Chance alone would take the refusing one twice in a row sooner or later.
        plan.cluster = cluster("b", &[refusing.address, server.address]);
        plan.cluster.balancer = Balancer::Random;
        let policy = RetryPolicy { num_retries: 1, host_selection_attempts: 100, ..retry_policy(ON_CONNECT) };
        plan.forward().retry = Some(policy);
    })
    .await;
    let mut client = site.client().await;
    for _ in 0..50 {
        assert_eq!(client.ask(GET).await.1, "up");
    }
    assert_ne!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    site.logs(&["200 - via_upstream 0 2"; 50]).await;
    site.stop().await;
}

#[tokio::test]
async fn tries_leave_priorities_that_failed() {
    let servers = [Server::answering("500 Internal Server Error").await, Server::start("far").await];
    let site = Site::with(|plan| {
        let places = servers.iter().map(|server| assignment("b", &[server.address]));
        let localities = (0..).zip(places.flat_map(|place| place.localities));
        let localities = localities.map(|(priority, group)| LocalityEndpoints { priority, ..group }).collect();
        let places = ClusterLoadAssignment { localities, ..assignment("b", &[]) };
        plan.cluster = Cluster { discovery: Discovery::Static(places), ..cluster("b", &[]) };
        let leave_priorities_after = NonZeroU32::new(2);
        plan.forward().retry = Some(RetryPolicy { leave_priorities_after, ..retry_policy(ON_ERROR) });
    })
    .await;
    for _ in 0..10 {
        assert_eq!(site.answer(GET).await.1, "far");
    }
    // Two tries near, and one far.
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 20);
    site.stop().await;
}

#[tokio::test]
async fn what_has_begun_to_be_answered_is_not_tried_again() {
    let site = Site::with(retrying(ON_STATUS)).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(format!("HTTP/1.1 103 Early Hints\r\n\r\n{BUSY}")).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.message().await.1, "busy");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    site.logs(&["503 - via_upstream 0 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn retries_come_to_an_end() {
    let refusing = [Refusing::new(), Refusing::new()];
    let site = Site::with(|plan| {
        plan.cluster = cluster("b", &[refusing[0].address, refusing[1].address]);
        retrying(ON_CONNECT)(plan);
    })
    .await;
    let (head, body) = site.answer(GET).await;
    assert_eq!(head.status(), 503);
    let details = "upstream_reset_before_response_started{remote_connection_failure}";
    site.logs(&[&format!("503 URX,UF {details} 0 {}", body.len())]).await;
    let edge = &site.edge;
    assert_eq!((edge.count("b.upstream_rq_retry"), edge.count("b.upstream_rq_retry_limit_exceeded")), (2, 1));
    site.stop().await;
}

#[tokio::test]
async fn without_a_policy_nothing_is_tried_again() {
    let site = Site::start().await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(BUSY).await;
    assert_eq!(client.message().await.1, "busy");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    site.stop().await;
}

#[tokio::test]
async fn a_body_is_sent_again_with_its_request() {
    for (framing, body) in [("content-length: 5", "hello"), ("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")] {
        let site = Site::with(retrying(ON_STATUS)).await;
        let mut client = site.client().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}")).await;
        let mut first = site.backend.accept().await;
        let (head, received) = first.message().await;
        assert_eq!((head.get("x-envoy-attempt-count"), received.as_str()), (Some("1"), "hello"));
        first.send(BUSY).await;
        let mut second = site.backend.accept().await;
        let (head, received) = second.message().await;
        assert_eq!((head.get("x-envoy-attempt-count"), received.as_str()), (Some("2"), "hello"));
        second.send(OK).await;
        assert_eq!(client.message().await.1, "ok");
        site.logs(&["200 - via_upstream 5 2"]).await;
        site.stop().await;
    }
}

#[tokio::test]
async fn a_body_that_is_still_coming_goes_on_with_the_next_try() {
    let site = Site::with(retrying(ON_STATUS)).await;
    let (mut client, mut first, _) = site.sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nhalf").await;
    first.says("half").await;
    first.send(BUSY).await;
    let mut second = site.backend.accept().await;
    second.head().await;
    second.says("half").await;
    client.send("rest").await;
    second.says("rest").await;
    second.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_to_keep_is_not_sent_again() {
    let site = Site::with(retrying(ON_STATUS)).await;
    let body = "x".repeat(1024 * 1024 + 1);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (mut client, mut upstream, head) = site.sent(&request).await;
    assert_eq!(upstream.body(&head).await, body);
    upstream.send(BUSY).await;
    assert_eq!(client.message().await.1, "busy");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry"), 0);
    assert_eq!(site.edge.count("cluster.b.retry_or_shadow_abandoned"), 1);
    site.stop().await;
}

#[tokio::test]
async fn of_many_uploads_only_as_many_are_kept_as_the_process_may() {
    const UPLOADS: usize = 40;
    const KEPT: u64 = 8;
    /// No try takes the connection of another.
    const CLOSE: &str = "\r\nconnection: close\r\n\r\n";
    let site = Site::with(|plan| {
        plan.options.workers = 2;
        // Each body takes two.
        plan.options.replay_blocks = 2 * KEPT as u32 + 1;
        retrying(ON_STATUS)(plan);
    })
    .await;
    let body = "x".repeat(32 * 1024);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for round in 1..=2 {
        let mut clients = Vec::new();
        let mut first_tries = Vec::new();
        for _ in 0..UPLOADS {
            let (client, mut upstream, head) = site.sent(&request).await;
            assert_eq!(upstream.body(&head).await, body);
            clients.push(client);
            first_tries.push(upstream);
        }
        for upstream in &mut first_tries {
            upstream.send(BUSY.replace("\r\n\r\n", CLOSE)).await;
        }
        for _ in 0..KEPT {
            let mut upstream = site.backend.accept().await;
            assert_eq!(upstream.message().await.1, body);
            upstream.send(OK.replace("\r\n\r\n", CLOSE)).await;
        }
        let mut answers = Vec::new();
        for client in &mut clients {
            answers.push(client.message().await.1);
        }
        assert_eq!(answers.iter().filter(|answer| *answer == "ok").count() as u64, KEPT);
        let count = |counter: &str| site.edge.count(&format!("cluster.b.{counter}"));
        assert_eq!(count("upstream_rq_retry"), round * KEPT);
        assert_eq!(count("retry_or_shadow_abandoned"), round * (UPLOADS as u64 - KEPT), "all room was given back");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_for_another() {
    let site = Site::with(|plan| {
        retrying(ON_ERROR)(plan);
        plan.forward().retry.as_mut().unwrap().per_try_timeout = Some(Duration::from_millis(200));
    })
    .await;
    let (mut client, mut silent, _) = site.sent(GET).await;
    let mut second = site.backend.accept().await;
    assert_eq!(silent.closes().await, "");
    assert_eq!(second.head().await.get("x-envoy-attempt-count"), Some("2"));
    second.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    assert_eq!(site.edge.count("cluster.b.upstream_rq_per_try_timeout"), 1);
    site.logs(&["200 - via_upstream 0 2"]).await;
    site.stop().await;
}

#[tokio::test]
async fn the_routes_timeout_holds_for_all_tries_together() {
    let site = Site::with(|plan| {
        retrying(ON_ERROR)(plan);
        plan.forward().retry.as_mut().unwrap().num_retries = 1_000_000;
        plan.forward().timeout = Some(Duration::from_millis(300));
    })
    .await;
    let mut client = site.client().await;
    client.send(GET).await;
    let backend = async {
        loop {
            let mut upstream = site.backend.accept().await;
            // The last one may be given up before it has sent anything.
            drop(upstream.stream.readable().await);
            drop(upstream.stream.write_all(BUSY.as_bytes()).await);
        }
    };
    let (head, _) = tokio::select! {
        answer = client.message() => answer,
        () = backend => unreachable!(),
    };
    assert_eq!(head.status(), 504);
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_the_upstream_may_have_seen_is_not_sent_twice_without_a_policy() {
    for request in [GET, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab"] {
        let site = Site::start().await;
        let (mut client, mut upstream, _) = site.sent(GET).await;
        upstream.send(OK).await;
        assert_eq!(client.message().await.1, "ok");
        client.send(request).await;
        upstream.message().await;
        drop(upstream);
        assert_eq!(client.message().await.0.status(), 503);
        assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
        site.stop().await;
    }
}

#[tokio::test]
async fn a_reset_is_tried_again_where_the_policy_says_so() {
    let other = Backend::start().await;
    let site = Site::with(|plan| {
        plan.cluster = cluster("b", &[plan.backend.address, other.address]);
        retrying(RetryOn { reset: true, ..ON_CONNECT })(plan);
    })
    .await;
    let mut client = site.client().await;
    client.send(GET).await;
    // Whichever comes first is reset; the retry avoids it.
    let (mut first, rest) = tokio::select! {
        first = site.backend.accept() => (first, &other),
        first = other.accept() => (first, &site.backend),
    };
    first.head().await;
    first.reset();
    let mut second = rest.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(client.message().await.1, "ok");
    site.stop().await;
}
