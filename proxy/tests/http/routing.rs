//! Which route takes a request, and what routes answer themselves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use xds_model::matcher::{QueryCondition, QueryMatcher, StringMatcher, StringPattern};
use xds_model::route::{Redirect, RouteAction};

use crate::kit::{
    Head, Server, Site, cluster, direct, eventually, forward, header_match, prefix, redirect, table, virtual_host,
    weighted,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_request_that_no_route_takes_gets_404() {
    let site = Site::with(|plan| plan.host().domains = vec!["shop.example.com".to_owned()]).await;
    let (head, body) = site.answer(GET).await;
    assert_eq!((head.status(), body.as_str(), head.get("server")), (404, "", Some("istio-envoy")));
    site.logs(&["404 NR route_not_found 0 0"]).await;
    assert_eq!(site.edge.count("http.test.no_route"), 1);
    site.stop().await;
}

#[tokio::test]
async fn hosts_match_whatever_their_case_and_port() {
    let site = Site::with(|plan| plan.host().domains = vec!["shop.example.com".to_owned()]).await;
    let (_client, _upstream, head) = site.sent("GET / HTTP/1.1\r\nhost: Shop.Example.com:8080\r\n\r\n").await;
    assert_eq!(head.get("host"), Some("Shop.Example.com:8080"));
    site.stop().await;
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_gets_503_until_it_does() {
    let site = Site::with(|plan| plan.routes()[0].action = forward("later")).await;
    let server = Server::start("later").await;
    let mut client = site.client().await;
    assert_eq!(client.ask(GET).await.0.status(), 503);
    site.logs(&["503 NC cluster_not_found 0 0"]).await;
    site.edge.cluster(cluster("later", &[server.address])).await;
    eventually("the cluster is known", async || client.ask(GET).await.1 == "later").await;
    site.stop().await;
}

#[tokio::test]
async fn a_cluster_without_endpoints_gets_503() {
    let site = Site::with(|plan| plan.cluster = cluster("b", &[])).await;
    let (head, body) = site.answer(GET).await;
    assert_eq!((head.status(), body.as_str()), (503, "no healthy upstream"));
    site.logs(&["503 UH no_healthy_upstream 0 19"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_redirect_keeps_what_it_does_not_name() {
    let with = |status, host: &str| {
        RouteAction::Redirect(Box::new(Redirect { host: Some(host.to_owned()), ..redirect(status) }))
    };
    let site = Site::with(|plan| {
        plan.routes().insert(0, prefix("/other", with(307, "b.example.com")));
        plan.routes()[1].action = RouteAction::Redirect(Box::new(redirect(301)));
    })
    .await;
    let location = |head: Head| (head.status(), head.get("location").unwrap().to_owned());
    let mut client = site.client().await;
    let (head, _) = client.ask("GET /x?y=1 HTTP/1.1\r\nhost: a.example.com\r\n\r\n").await;
    assert_eq!(location(head), (301, "https://a.example.com/x?y=1".to_owned()));
    let (head, _) = client.ask("GET /other HTTP/1.1\r\nhost: a.example.com\r\n\r\n").await;
    assert_eq!(location(head), (307, "https://b.example.com/other".to_owned()));
    site.logs(&["301 - direct_response 0 0", "307 - direct_response 0 0"]).await;
    site.stop().await;
}

#[tokio::test]
async fn a_direct_response_needs_no_upstream() {
    let site = Site::with(|plan| plan.routes()[0].action = direct(418, "short and stout")).await;
    let mut client = site.client().await;
    for _ in 0..2 {
        let (head, body) = client.ask(GET).await;
        assert_eq!((head.status(), body.as_str()), (418, "short and stout"));
        assert_eq!(head.get("content-type"), Some("text/plain"));
    }
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.get("content-length"), Some("15"));
    assert_eq!(client.ask(GET).await.0.status(), 418);
    site.stop().await;
}

#[tokio::test]
async fn a_direct_response_that_has_no_body_by_its_status_sends_none() {
    for status in [204, 304] {
        let site = Site::with(|plan| {
            plan.routes().insert(0, prefix("/none", direct(status, "not to be sent")));
            plan.routes()[1].action = direct(200, "next");
        })
        .await;
        let mut client = site.client().await;
        client.send("GET /none HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(client.head().await.status(), status);
        let (head, body) = client.ask(GET).await;
        assert_eq!((head.line.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "next"));
        site.stop().await;
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_closes_the_connection_after_the_answer() {
    let site = Site::with(|plan| plan.routes()[0].action = direct(200, "enough")).await;
    let mut client = site.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n").await;
    let (head, body) = client.message().await;
    assert_eq!((head.get("connection"), body.as_str()), (Some("close"), "enough"));
    assert_eq!(client.closes().await, "");
    assert_eq!(site.edge.count("http.test.downstream_rq_total"), 1);
    site.stop().await;
}

#[tokio::test]
async fn weights_share_requests_out() {
    let (many, few, none) = (Server::start("many").await, Server::start("few").await, Server::start("none").await);
    let site = Site::with(|plan| {
        plan.routes()[0].action = weighted(&[("many", 3), ("few", 1), ("none", 0)]);
        for (name, server) in [("many", &many), ("few", &few), ("none", &none)] {
            plan.more_clusters.push(cluster(name, &[server.address]));
        }
    })
    .await;
    let mut client = site.client().await;
    let mut to_many = 0;
    for _ in 0..400 {
        let (head, body) = client.ask(GET).await;
        assert_eq!(head.status(), 200);
        to_many += i32::from(body == "many");
    }
    assert!((230..370).contains(&to_many), "{to_many} of 400");
    assert_eq!(none.connections.load(Ordering::Relaxed), 0);
    site.stop().await;
}

#[tokio::test]
async fn the_first_route_whose_conditions_all_hold_is_taken() {
    let site = Site::with(|plan| {
        let mut by_header = prefix("/", direct(200, "header"));
        by_header.matches.headers.push(header_match("x-kind", "gold"));
        let mut by_query = prefix("/", direct(200, "query"));
        let pattern = StringPattern::Prefix("v2".to_owned());
        let condition = QueryCondition::Value(StringMatcher { pattern, ignore_case: false });
        by_query.matches.query.push(QueryMatcher { name: "version".to_owned(), condition });
        plan.host().routes =
            vec![by_header, by_query, prefix("/cart", direct(200, "path")), prefix("/", direct(200, "rest"))];
    })
    .await;
    let mut client = site.client().await;
    for (target, field, expected) in [
        ("/cart?version=v2", "x-kind: gold\r\n", "header"),
        ("/cart?version=v2-beta", "x-kind: silver\r\n", "query"),
        ("/cart?version=v1", "", "path"),
        ("/", "", "rest"),
    ] {
        let (_, body) = client.ask(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n{field}\r\n")).await;
        assert_eq!(body, expected, "{target} {field}");
    }
    site.stop().await;
}

#[tokio::test]
async fn the_next_request_on_an_open_connection_sees_a_new_table() {
    let site = Site::with(|plan| plan.routes()[0].action = direct(200, "old")).await;
    let mut client = site.client().await;
    assert_eq!(client.ask(GET).await.1, "old");
    site.edge.routes(table(vec![prefix("/", direct(200, "new"))])).await;
    eventually("the new table is in force", async || client.ask(GET).await.1 == "new").await;
    assert_eq!(client.ask(GET).await.1, "new");
    // The host of the connection's requests moves to another place in the table.
    let mut moved = table(vec![prefix("/", direct(200, "another host"))]);
    moved.virtual_hosts.push(Arc::new(virtual_host("a", vec![prefix("/", direct(200, "moved"))])));
    site.edge.routes(moved).await;
    eventually("the hosts have moved", async || client.ask(GET).await.1 == "moved").await;
    site.edge.routes(table(Vec::new())).await;
    eventually("the empty table is in force", async || client.ask(GET).await.0.status() == 404).await;
    site.stop().await;
}

#[tokio::test]
async fn a_route_that_was_refused_gets_500_and_the_others_are_served() {
    let site = Site::with(|plan| {
        plan.routes()[0].action = direct(200, "fine");
        plan.routes().insert(0, prefix("/odd", RouteAction::Refused("mirrors are not supported".to_owned())));
    })
    .await;
    let mut client = site.client().await;
    assert_eq!(client.ask("GET /odd HTTP/1.1\r\nhost: a\r\n\r\n").await.0.status(), 500);
    assert_eq!(client.ask(GET).await.1, "fine");
    site.logs(&["500 - route_configuration_refused 0 0", "200 - direct_response 0 4"]).await;
    site.stop().await;
}

#[tokio::test]
async fn paths_are_normalised_before_routes_see_them() {
    let site = Site::with(|plan| plan.routes().insert(0, prefix("/admin", direct(403, "no")))).await;
    for target in ["/public/../admin", "/%61dmin", "/public/..\\admin", "/./admin"] {
        let (head, _) = site.answer(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        // What is not understood may be refused, never forwarded.
        assert!(matches!(head.status(), 400 | 403), "{target}: {}", head.status());
    }
    site.stop().await;
}
