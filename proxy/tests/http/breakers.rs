//! Circuit breakers.

use std::time::Duration;

use tokio::task::JoinSet;
use xds_model::cluster::CircuitBreaker;
use xds_model::route::{RetryOn, RetryPolicy};

use crate::kit::{Plan, Site, retry_policy, within};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// As [`OK`], on a connection that is not used again.
const LAST_OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
const UNLIMITED: CircuitBreaker = CircuitBreaker::UNLIMITED;
const OVERFLOW: &str = "503 UO upstream_reset_before_response_started{overflow} 0 81";

/// Sends a request on each of `count` connections; the statuses come as the answers do.
async fn ask(site: &Site, count: usize) -> JoinSet<u16> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let mut client = site.client().await;
        asked.spawn(async move { client.ask(GET).await.0.status() });
    }
    asked
}

/// A request of [`QUICK`] waits no longer than this.
fn give_up_at(plan: &mut Plan, timeout: Duration) {
    let mut quick = plan.routes()[0].clone();
    quick.matches.path = xds_model::route::PathMatch::Exact("/quick".to_owned());
    plan.routes().push(quick);
    plan.forward().timeout = Some(timeout);
    plan.routes().rotate_right(1);
}

async fn next(answers: &mut JoinSet<u16>) -> u16 {
    within("an answer", answers.join_next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn of_six_requests_at_once_one_is_served_one_waits_and_four_are_refused() {
    let limits = CircuitBreaker { max_connections: 1, max_pending_requests: 1, ..UNLIMITED };
    let site = Site::with(|plan| plan.cluster.limits = limits).await;
    let (mut first, mut upstream, _) = site.sent(GET).await;
    let mut others = ask(&site, 5).await;
    for _ in 0..4 {
        assert_eq!(next(&mut others).await, 503);
    }
    assert_eq!(site.edge.count("cluster.b.upstream_rq_pending_active"), 1);
    upstream.send(OK).await;
    assert_eq!(first.message().await.0.status(), 200);
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(next(&mut others).await, 200);
    let served = "200 - via_upstream 0 2";
    site.logs(&[OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW, served, served]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_cx_total"), 1);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_pending_overflow"), 4);
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_counts_once_however_often_it_looks() {
    let limits = CircuitBreaker { max_connections: 1, ..UNLIMITED };
    let site = Site::with(|plan| {
        plan.cluster.limits = limits;
        give_up_at(plan, Duration::from_millis(500));
    })
    .await;
    let (mut first, mut upstream, _) = site.sent(GET).await;
    let mut others = ask(&site, 2).await;
    site.edge.counts("cluster.b.upstream_rq_pending_active", 2).await;
    // Whoever waits looks again all the time, and this one waits until its timeout.
    assert_eq!(site.answer(QUICK).await.0.status(), 504);
    assert_eq!(site.edge.count("cluster.b.upstream_cx_overflow"), 3);
    upstream.send(OK).await;
    assert_eq!(first.message().await.0.status(), 200);
    for _ in 0..2 {
        upstream.head().await;
        upstream.send(OK).await;
        assert_eq!(next(&mut others).await, 200);
    }
    assert_eq!(site.edge.count("cluster.b.upstream_cx_overflow"), 3);
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_is_given_up_at_its_timeout() {
    let limits = CircuitBreaker { max_connections: 1, ..UNLIMITED };
    let site = Site::with(|plan| {
        plan.cluster.limits = limits;
        give_up_at(plan, Duration::from_millis(200));
    })
    .await;
    let (_first, _upstream, _) = site.sent(GET).await;
    assert_eq!(site.answer(QUICK).await.0.status(), 504);
    site.logs(&["504 UT response_timeout 0 24"]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_pending_active"), 0);
    site.stop().await;
}

#[tokio::test]
async fn requests_under_way_are_counted_over_all_workers() {
    let limits = CircuitBreaker { max_requests: 2, ..UNLIMITED };
    let site = Site::with(|plan| {
        plan.cluster.limits = limits;
        plan.options.workers = 4;
    })
    .await;
    let mut answers = ask(&site, 12).await;
    for _ in 0..10 {
        assert_eq!(next(&mut answers).await, 503);
    }
    for _ in 0..2 {
        let mut upstream = site.backend.accept().await;
        upstream.head().await;
        upstream.send(LAST_OK).await;
        assert_eq!(next(&mut answers).await, 200);
    }
    // The breaker has closed again.
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(LAST_OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn retries_under_way_are_bounded() {
    let site = Site::with(|plan| {
        plan.cluster.limits = CircuitBreaker { max_retries: 1, ..UNLIMITED };
        plan.forward().retry = Some(retry_policy(RetryOn { server_error: true, ..RetryOn::default() }));
    })
    .await;
    let (mut one, mut upstream, _) = site.sent(GET).await;
    upstream.send(BUSY).await;
    let mut retry = site.backend.accept().await;
    retry.head().await;
    // While that retry is under way there is no other.
    let (mut two, mut upstream, _) = site.sent(GET).await;
    upstream.send(BUSY).await;
    assert_eq!(two.message().await.0.status(), 503);
    retry.send(LAST_OK).await;
    assert_eq!(one.message().await.0.status(), 200);
    assert_eq!(site.edge.count("cluster.b.upstream_rq_retry_overflow"), 1);
    // Now there may be.
    let (mut three, mut upstream, _) = site.sent(GET).await;
    upstream.send(BUSY).await;
    let mut retry = site.backend.accept().await;
    retry.head().await;
    retry.send(LAST_OK).await;
    assert_eq!(three.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_its_next_try_is_not_under_way() {
    let site = Site::with(|plan| {
        plan.cluster.limits = CircuitBreaker { max_requests: 1, ..UNLIMITED };
        let policy = retry_policy(RetryOn { server_error: true, ..RetryOn::default() });
        // The pause is random: it is over before the end of this test once in thousands of times.
        let (back_off_base, back_off_max) = (Duration::from_secs(36_000), Duration::from_secs(36_000));
        plan.forward().retry = Some(RetryPolicy { back_off_base, back_off_max, ..policy });
    })
    .await;
    let (waiting, mut upstream, _) = site.sent(GET).await;
    upstream.send(BUSY).await;
    site.edge.counts("cluster.b.upstream_rq_retry", 1).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(LAST_OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    drop(waiting);
    site.stop().await;
}

#[tokio::test]
async fn a_request_is_under_way_until_its_response_is_complete() {
    let site = Site::with(|plan| plan.cluster.limits = CircuitBreaker { max_requests: 1, ..UNLIMITED }).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await;
    assert_eq!(client.head().await.status(), 200);
    client.says("ha").await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_active"), 1);
    assert_eq!(site.answer(GET).await.0.status(), 503);
    upstream.send("lf").await;
    client.says("lf").await;
    site.logs(&[OVERFLOW, "200 - via_upstream 0 4"]).await;
    assert_eq!(site.edge.count("cluster.b.upstream_rq_active"), 0);
    client.send(GET).await;
    upstream.head().await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}

#[tokio::test]
async fn a_request_is_over_when_its_client_goes_away_within_the_response() {
    let site = Site::with(|plan| plan.cluster.limits = CircuitBreaker { max_requests: 1, ..UNLIMITED }).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha").await;
    assert_eq!(client.head().await.status(), 200);
    drop(client);
    site.edge.counts("cluster.b.upstream_rq_active", 0).await;
    let (mut client, mut upstream, _) = site.sent(GET).await;
    upstream.send(OK).await;
    assert_eq!(client.message().await.0.status(), 200);
    site.stop().await;
}
