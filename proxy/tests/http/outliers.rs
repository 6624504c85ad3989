//! Endpoints that fail are left out for a while.

use std::time::Duration;

use xds_model::cluster::{Balancer, Consecutive, OutlierDetection};

use crate::kit::{Plan, Refusing, Server, Site, cluster, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const NEVER: Consecutive = Consecutive { failures: 0, enforcing: 0 };
const LONG: Duration = Duration::from_secs(600);

/// Three failures in a row eject, for longer than any test.
const THREE: OutlierDetection = OutlierDetection {
    consecutive_5xx: Consecutive { failures: 3, enforcing: 100 },
    consecutive_gateway_failure: NEVER,
    consecutive_local_origin_failure: NEVER,
    split_external_local_origin_errors: false,
    interval: Duration::from_millis(20),
    base_ejection_time: LONG,
    max_ejection_time: LONG,
    max_ejection_time_jitter: Duration::ZERO,
    max_ejection_percent: 100,
    always_eject_one_host: false,
};

async fn site(endpoints: &[std::net::SocketAddr], detection: OutlierDetection, change: impl FnOnce(&mut Plan)) -> Site {
    Site::with(|plan| {
        plan.cluster = cluster("b", endpoints);
        plan.cluster.balancer = Balancer::RoundRobin;
        plan.cluster.outlier_detection = Some(detection);
        change(plan);
    })
    .await
}

/// The statuses of so many answers.
async fn statuses(site: &Site, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(site.answer(GET).await.0.status());
    }
    statuses
}

fn failed(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status != 200).count()
}

#[tokio::test]
async fn an_endpoint_that_refuses_three_times_in_a_row_is_left_out() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let site = site(&[refusing.address, server.address], THREE, |_| ()).await;
    assert_eq!(failed(&statuses(&site, 30).await), 3);
    assert_eq!(site.edge.count("cluster.b.outlier_detection.ejections_enforced_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn all_workers_count_together_and_leave_out_the_same() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let site = site(&[refusing.address, server.address], THREE, |plan| plan.options.workers = 4).await;
    assert_eq!(failed(&statuses(&site, 60).await), 3);
    site.stop().await;
}

#[tokio::test]
async fn answers_of_5xx_count_and_others_end_the_row() {
    let (failing, server) = (Server::answering("500 Internal Server Error").await, Server::start("up").await);
    let ejects = site(&[failing.address, server.address], THREE, |_| ()).await;
    assert_eq!(failed(&statuses(&ejects, 30).await), 3);
    ejects.stop().await;

    let missing = Server::answering("404 Not Found").await;
    let keeps = site(&[missing.address, server.address], THREE, |_| ()).await;
    assert_eq!(failed(&statuses(&keeps, 30).await), 15);
    keeps.stop().await;
}

#[tokio::test]
async fn who_is_left_out_comes_back() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let short = OutlierDetection { base_ejection_time: Duration::from_millis(50), ..THREE };
    let site = site(&[refusing.address, server.address], short, |_| ()).await;
    eventually("a second ejection", async || {
        let _ = statuses(&site, 2).await;
        site.edge.count("outlier_detection.ejections_enforced_total") >= 2
    })
    .await;
    site.stop().await;
}

#[tokio::test]
async fn no_more_are_left_out_than_allowed() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let few = OutlierDetection { max_ejection_percent: 10, ..THREE };
    let site = site(&[refusing.address, server.address], few, |_| ()).await;
    assert_eq!(failed(&statuses(&site, 30).await), 15);
    assert_eq!(site.edge.count("outlier_detection.ejections_overflow"), 5);
    site.stop().await;
}

#[tokio::test]
async fn without_anybody_left_it_is_answered_here_unless_there_is_panic() {
    let refusing = Refusing::new();
    let none_left = site(&[refusing.address], THREE, |_| ()).await;
    assert_eq!(statuses(&none_left, 4).await, [503; 4]);
    let refused = "503 UF upstream_reset_before_response_started{remote_connection_failure} 0";
    let log = none_left.log.lines(4).await;
    assert!(log[..3].iter().all(|line| line.starts_with(refused)), "{log:?}");
    assert!(log[3].starts_with("503 UH no_healthy_upstream 0"), "{log:?}");
    none_left.stop().await;

    let panics = site(&[refusing.address], THREE, |plan| plan.cluster.panic_threshold = 50).await;
    assert_eq!(statuses(&panics, 4).await, [503; 4]);
    let log = panics.log.lines(4).await;
    assert!(log.iter().all(|line| line.starts_with(refused)), "{log:?}");
    panics.stop().await;
}
