//! HTTP filters whose configurations are resources of their own (ECDS).

use std::sync::atomic::Ordering;

use xds_model::http::{DiscoveredFilter, ExtensionConfig, HttpConnectionManager, HttpFilter, TypedFilter};

use crate::kit::{Edge, LogFile, Server, Wire, cluster, direct, eventually, forward, listener, manager, prefix, table};

const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn rbac(filter: Option<HttpFilter>) -> TypedFilter {
    TypedFilter { type_name: RBAC.to_owned(), filter }
}

fn with_filter(default: Option<TypedFilter>) -> HttpConnectionManager {
    let filter = DiscoveredFilter { name: "guard".to_owned(), types: vec![RBAC.to_owned()], default, warming: None };
    HttpConnectionManager { filters: vec![HttpFilter::Discovered(Box::new(filter))], ..manager() }
}

fn guard(filter: Option<HttpFilter>) -> ExtensionConfig {
    ExtensionConfig { name: "guard".to_owned(), config: rbac(filter), is_confidential: false }
}

/// Asks until the answer has this status, and returns its body. Nothing that happens meanwhile may end the connection.
async fn ask_until(client: &mut Wire, status: u16) -> String {
    let mut last = String::new();
    eventually(&format!("status {status}"), async || {
        let (head, body) = client.ask(GET).await;
        assert_eq!(head.get("connection"), None, "{body}");
        last = body;
        head.status() == status
    })
    .await;
    last
}

#[tokio::test]
async fn the_configuration_of_a_filter_changes_under_a_live_connection() {
    let edge = Edge::start(1);
    edge.routes(table(vec![prefix("/", direct(200, "open"))])).await;
    let address = edge.listener(listener(with_filter(None))).await;
    let mut client = Wire::connect(address).await;
    let (head, body) = client.ask(GET).await;
    assert_eq!((head.status(), body.as_str()), (500, ""));
    edge.extension(guard(Some(HttpFilter::DenyAll))).await;
    assert_eq!(ask_until(&mut client, 403).await, "RBAC: access denied");
    edge.extension(guard(None)).await;
    assert_eq!(ask_until(&mut client, 200).await, "open");
    edge.remove_extension("guard").await;
    ask_until(&mut client, 500).await;
    assert_eq!(edge.count("http.test.downstream_cx_total"), 1);
}

#[tokio::test]
async fn without_a_configuration_the_default_serves() {
    let edge = Edge::start(1);
    edge.routes(table(vec![prefix("/", direct(200, "open"))])).await;
    let address = edge.listener(listener(with_filter(Some(rbac(Some(HttpFilter::DenyAll)))))).await;
    let mut client = Wire::connect(address).await;
    assert_eq!(client.ask(GET).await.0.status(), 403);
    edge.extension(guard(None)).await;
    ask_until(&mut client, 200).await;
    // Of a type that the listener does not take.
    let mut other = guard(None);
    other.config.type_name = "another.Filter".to_owned();
    edge.extension(other).await;
    ask_until(&mut client, 403).await;
    edge.extension(guard(None)).await;
    ask_until(&mut client, 200).await;
    edge.remove_extension("guard").await;
    ask_until(&mut client, 403).await;
}

#[tokio::test]
async fn a_filter_answers_before_the_route_does_and_the_log_knows_the_route() {
    let edge = Edge::start(1);
    let log = LogFile::new();
    let server = Server::start("upstream").await;
    edge.cluster(cluster("there", &[server.address])).await;
    edge.routes(table(vec![prefix("/there", forward("there")), prefix("/direct", direct(200, "open"))])).await;
    edge.extension(guard(Some(HttpFilter::DenyAll))).await;
    let mut with_log = with_filter(None);
    let line = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%\n";
    with_log.access_log = vec![log.text(line)];
    let address = edge.listener(listener(with_log)).await;
    let mut client = Wire::connect(address).await;
    for path in ["/there", "/direct", "/unknown"] {
        let (head, body) = client.ask(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!((head.status(), body.as_str()), (403, "RBAC: access denied"), "{path}");
    }
    let denied = "403 - rbac_access_denied_matched_policy[none]";
    let expected =
        [format!("{denied} route /there there"), format!("{denied} route /direct -"), format!("{denied} - -")];
    assert_eq!(log.lines(3).await, expected);
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}
