//! Where the hash of a request decides where it goes.

use std::collections::BTreeSet;
use std::time::Duration;

use xds_model::cluster::Balancer;
use xds_model::hash_policy::{HashCookie, HashPolicy, HashSource};
use xds_model::route::{RetryOn, RetryPolicy};

use crate::kit::{Refusing, Server, Site, cluster, retry_policy};

const RING: Balancer = Balancer::RingHash { minimum_size: 1024, maximum_size: 8_388_608 };

async fn site(endpoints: &[std::net::SocketAddr], balancer: Balancer, source: HashSource, tries: bool) -> Site {
    Site::with(|plan| {
        plan.options.workers = 2;
        plan.cluster = cluster("b", endpoints);
        plan.cluster.balancer = balancer;
        plan.forward().hash_policies = vec![HashPolicy { source, is_terminal: false }];
        // Points of one endpoint follow each other now and then: it is drawn often enough.
        let policy = retry_policy(RetryOn { connect_failure: true, ..RetryOn::default() });
        plan.forward().retry = tries.then_some(RetryPolicy { host_selection_attempts: 60, ..policy });
    })
    .await
}

fn user() -> HashSource {
    HashSource::Header("x-user".to_owned())
}

fn session() -> HashSource {
    let (name, path) = ("session".to_owned(), "/".to_owned());
    let lifetime = Some(Duration::from_secs(60));
    HashSource::Cookie(HashCookie { name, lifetime, path, attributes: Vec::new() })
}

/// Who answers a request with this header line.
async fn who(site: &Site, line: &str) -> String {
    let (head, body) = site.answer(&format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n")).await;
    assert_eq!(head.status(), 200);
    body
}

#[tokio::test]
async fn equal_requests_go_to_one_endpoint_on_all_workers() {
    let servers = [Server::start("one").await, Server::start("two").await, Server::start("three").await];
    let endpoints = servers.each_ref().map(|server| server.address);
    for balancer in [RING, Balancer::Maglev { table_size: 65537 }] {
        let site = site(&endpoints, balancer, user(), false).await;
        let mut all = BTreeSet::new();
        for user in 0..30 {
            let line = format!("x-user: {user}");
            let first = who(&site, &line).await;
            for _ in 0..4 {
                assert_eq!(who(&site, &line).await, first, "{line}");
            }
            all.insert(first);
        }
        assert_eq!(all.len(), 3);
        site.stop().await;
    }
}

#[tokio::test]
async fn a_client_without_a_cookie_gets_one_that_leads_back() {
    let servers = [Server::start("one").await, Server::start("two").await, Server::start("three").await];
    let site = site(&servers.each_ref().map(|server| server.address), RING, session(), false).await;
    for _ in 0..10 {
        let (head, body) = site.answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (pair, attributes) = head.get("set-cookie").and_then(|cookie| cookie.split_once("; ")).unwrap_or_default();
        assert_eq!(attributes, "Max-Age=60; Path=/; HttpOnly");
        for _ in 0..4 {
            let (head, again) = site.answer(&format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {pair}\r\n\r\n")).await;
            assert_eq!(again, body);
            assert_eq!(head.get("set-cookie"), None);
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn where_others_balance_no_cookie_is_made() {
    let server = Server::start("one").await;
    let site = site(&[server.address], Balancer::RoundRobin, session(), false).await;
    let (head, _) = site.answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(head.get("set-cookie"), None);
    site.stop().await;
}

#[tokio::test]
async fn a_further_try_goes_to_the_next_endpoint() {
    let (refusing, server) = (Refusing::new(), Server::start("up").await);
    let site = site(&[refusing.address, server.address], RING, user(), true).await;
    for user in 0..20 {
        assert_eq!(who(&site, &format!("x-user: {user}")).await, "up");
    }
    assert!(site.edge.count("cluster.b.upstream_rq_retry") > 0);
    site.stop().await;
}
