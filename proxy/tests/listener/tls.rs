//! TLS that the gateway terminates.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xds_model::listener::FilterChain;
use xds_model::matcher::{StringMatcher, StringPattern};
use xds_model::tls::{DownstreamTls, SanMatcher, TlsVersion};

use crate::kit::{
    Authority, Backend, Behaviour, ClientOptions, Edge, ONLY_TLS12, ONLY_TLS13, certificate_secret, closes, cluster,
    connect, connect_tls, eventually, listener, log_to, passthrough, says, secret, server_tls, trust, uri, within,
};

const HOST: &str = "shop.example.com";
const CLIENT: &str = "spiffe://cluster.local/ns/edge/sa/client";

fn terminating(tls: DownstreamTls) -> FilterChain {
    let mut chain = passthrough(&[HOST], "b");
    chain.tls = Some(tls);
    chain
}

fn mutual(authority: &str) -> DownstreamTls {
    DownstreamTls { validation: Some(trust(authority)), require_client_certificate: true, ..server_tls("server") }
}

/// A gateway with a backend that greets, an authority, and secrets `server` and `ca` of it.
async fn prepare() -> (Edge, Backend, Authority) {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let authority = Authority::new("ours");
    edge.secret(certificate_secret("server", &authority.server(HOST))).await;
    edge.secret(secret("ca", authority.pem())).await;
    (edge, backend, authority)
}

/// What the server makes of the client becomes known, with TLS 1.3, at the first read.
async fn greeted(address: std::net::SocketAddr, options: &ClientOptions<'_>) -> Result<(), std::io::Error> {
    let mut client = connect_tls(address, HOST, options).await?;
    let mut greeting = [0; 2];
    within("a greeting", client.read_exact(&mut greeting)).await?;
    assert_eq!(&greeting, b"b\n");
    Ok(())
}

#[tokio::test]
async fn simple_tls_is_terminated_and_its_facts_are_logged() {
    let (edge, _backend, authority) = prepare().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut chain = terminating(server_tls("server"));
    if let xds_model::listener::TerminalFilter::Tcp(proxy) = &mut chain.terminal {
        let format =
            "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN%";
        proxy.access_log = vec![log_to(&path, format)];
    }
    let address = edge.listener(listener("tls", vec![chain])).await;
    for versions in [ONLY_TLS13, ONLY_TLS12] {
        let options = ClientOptions { versions, ..authority.client() };
        let mut client = connect_tls(address, HOST, &options).await.unwrap();
        says(&mut client, b"b\n").await;
        client.write_all(b"hello").await.unwrap();
        says(&mut client, b"hello").await;
        assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        client.shutdown().await.unwrap();
        assert_eq!(closes(&mut client).await, b"");
    }
    let mut log = String::new();
    eventually("two log lines", async || {
        log = std::fs::read_to_string(&path).unwrap_or_default();
        log.lines().count() == 2
    })
    .await;
    let expected = [
        "TLSv1.3 TLS_AES_256_GCM_SHA384 shop.example.com -",
        "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 shop.example.com -",
    ];
    for line in expected {
        assert!(log.lines().any(|logged| logged == line), "{line} in {log}");
    }
    edge.counts("ssl.handshake", 2).await;
    edge.counts("ssl.no_certificate", 2).await;
    edge.stop().await;
}

#[tokio::test]
async fn a_client_whose_protocols_are_all_unknown_gets_none() {
    let (edge, _backend, authority) = prepare().await;
    let address = edge.listener(listener("tls", vec![terminating(server_tls("server"))])).await;
    let mut client =
        connect_tls(address, HOST, &ClientOptions { offers: &["smtp"], ..authority.client() }).await.unwrap();
    says(&mut client, b"b\n").await;
    assert_eq!(client.get_ref().1.alpn_protocol(), None);
    edge.stop().await;
}

#[tokio::test]
async fn mutual_tls_refuses_with_an_alert_and_counts_why() {
    let (edge, _backend, authority) = prepare().await;
    let foreign = Authority::new("foreign");
    let mut tls = mutual("ca");
    if let Some(validation) = &mut tls.validation {
        let value = StringMatcher { pattern: StringPattern::Exact(CLIENT.to_owned()), ignore_case: false };
        validation.subject_alt_names = vec![SanMatcher { kind: None, value }];
    }
    let address = edge.listener(listener("tls", vec![terminating(tls)])).await;
    let (good, other, bad) = (
        authority.issue(vec![uri(CLIENT)]),
        authority.issue(vec![uri("spiffe://else")]),
        foreign.issue(vec![uri(CLIENT)]),
    );
    greeted(address, &ClientOptions { shows: Some(&good), ..authority.client() }).await.unwrap();
    for (shows, alert, counter) in [
        (None, "CertificateRequired", "ssl.fail_verify_no_cert"),
        (Some(&other), "CertificateUnknown", "ssl.fail_verify_san"),
        (Some(&bad), "UnknownCA", "ssl.fail_verify_error"),
    ] {
        let refused = greeted(address, &ClientOptions { shows, ..authority.client() }).await.unwrap_err();
        assert!(refused.to_string().contains(alert), "{alert}: {refused}");
        edge.counts(counter, 1).await;
    }
    assert_eq!(edge.count("ssl.connection_error"), 0);
    assert_eq!(edge.count("ssl.handshake"), 1);
    edge.stop().await;
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let (edge, _backend, authority) = prepare().await;
    let tls = DownstreamTls { require_client_certificate: false, ..mutual("ca") };
    let address = edge.listener(listener("tls", vec![terminating(tls)])).await;
    let (good, bad) = (authority.issue(vec![uri(CLIENT)]), Authority::new("foreign").issue(vec![uri(CLIENT)]));
    greeted(address, &authority.client()).await.unwrap();
    greeted(address, &ClientOptions { shows: Some(&good), ..authority.client() }).await.unwrap();
    greeted(address, &ClientOptions { shows: Some(&bad), ..authority.client() }).await.unwrap_err();
    edge.stop().await;
}

#[tokio::test]
async fn a_chain_without_its_secret_waits_alone() {
    let (edge, _backend, authority) = prepare().await;
    let mut waiting = terminating(server_tls("late"));
    waiting.matches.server_names = vec!["late.example.com".to_owned()];
    let address = edge.listener(listener("tls", vec![terminating(server_tls("server")), waiting])).await;
    let closed = connect_tls(address, "late.example.com", &authority.client()).await.unwrap_err();
    assert_eq!(closed.kind(), std::io::ErrorKind::UnexpectedEof, "{closed}");
    edge.counts("downstream_context_secrets_not_ready", 1).await;
    greeted(address, &authority.client()).await.unwrap();

    edge.secret(certificate_secret("late", &authority.server("late.example.com"))).await;
    eventually("the chain serves", async || {
        connect_tls(address, "late.example.com", &authority.client()).await.is_ok()
    })
    .await;
    edge.stop().await;
}

#[tokio::test]
async fn what_is_not_tls_or_too_slow_or_too_old_is_refused() {
    let (edge, _backend, authority) = prepare().await;
    let mut tls = server_tls("server");
    tls.parameters.minimum = Some(TlsVersion::V1_3);
    let mut chain = terminating(tls);
    chain.matches.server_names.clear();
    chain.transport_socket_connect_timeout = Some(std::time::Duration::from_millis(100));
    let mut model = listener("tls", vec![chain]);
    model.tls_inspector = false;
    let address = edge.listener(model).await;
    let mut clear = connect(address).await;
    clear.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    closes(&mut clear).await;
    edge.counts("ssl.connection_error", 1).await;
    let old = ClientOptions { versions: ONLY_TLS12, ..authority.client() };
    let refused = connect_tls(address, HOST, &old).await.unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    edge.counts("ssl.connection_error", 2).await;
    closes(&mut connect(address).await).await;
    edge.counts("downstream_cx_transport_socket_connect_timeout", 1).await;
    eventually("nothing is active", async || edge.count("downstream_cx_active") == 0).await;
    assert_eq!(edge.count("downstream_cx_total"), 3);
    edge.stop().await;
}
