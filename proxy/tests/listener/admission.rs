//! What happens before a connection's chain is known.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::kit::{
    Authority, Backend, Behaviour, Edge, closes, cluster, connect, eventually, listener, log_to, passthrough, says,
    tcp_chain,
};

/// A ClientHello for a name, as rustls writes it.
fn client_hello(name: &str) -> Vec<u8> {
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(config.into(), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let edge = Edge::start(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let mut chain = tcp_chain("b");
    if let xds_model::listener::TerminalFilter::Tcp(proxy) = &mut chain.terminal {
        let format =
            "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%";
        proxy.access_log = vec![log_to(&path, format)];
    }
    let mut model = listener("proxy", vec![chain]);
    model.proxy_protocol = true;
    let address = edge.listener(model).await;

    let mut client = connect(address).await;
    // In pieces, and with the first bytes of the application behind it.
    client.write_all(b"PROXY TCP4 192.0.2.7 198.51.").await.unwrap();
    client.flush().await.unwrap();
    client.write_all(b"100.1 4711 443\r\nhello").await.unwrap();
    says(&mut client, b"b\nhello").await;
    drop(client);
    let mut unknown = connect(address).await;
    unknown.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    says(&mut unknown, b"b\n").await;
    drop(unknown);

    let mut lines = Vec::new();
    eventually("both log lines", async || {
        lines = std::fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.len() == 2
    })
    .await;
    assert!(lines.contains(&"192.0.2.7:4711 198.51.100.1:443 127.0.0.1".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("127.0.0.1:")), "{lines:?}");
    edge.stop().await;
}

#[tokio::test]
async fn where_it_is_configured_a_proxy_header_is_required() {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let mut model = listener("proxy", vec![tcp_chain("b")]);
    model.proxy_protocol = true;
    let address = edge.listener(model).await;
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n"] {
        let mut client = connect(address).await;
        client.write_all(bytes).await.unwrap();
        assert_eq!(closes(&mut client).await, b"");
    }
    edge.counts("downstream_listener_filter_error", 2).await;
    let mut client = connect(address).await;
    client.write_all(b"PROXY ").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(closes(&mut client).await, b"");
    edge.counts("downstream_listener_filter_remote_close", 1).await;
    assert_eq!(edge.count("downstream_cx_total"), 0);
    edge.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let edge = Edge::start(2);
    let mut model = listener("silent", vec![passthrough(&["a.example.com"], "b")]);
    model.listener_filters_timeout = Some(Duration::from_millis(50));
    let address = edge.listener(model).await;
    assert_eq!(closes(&mut connect(address).await).await, b"");
    edge.counts("downstream_pre_cx_timeout", 1).await;
    eventually("it is not pending any more", async || edge.count("downstream_pre_cx_active") == 0).await;
    edge.stop().await;
}

#[tokio::test]
async fn the_most_specific_server_name_decides_even_byte_by_byte() {
    let edge = Edge::start(2);
    let mut backends = Vec::new();
    let chains = [
        ("exact", &["shop.example.com"][..]),
        ("narrow", &["*.shop.example.com"]),
        ("wide", &["*.example.com"]),
        ("any", &[]),
    ];
    for (name, _) in chains {
        let backend = Backend::start(name, Behaviour::GreetAndEcho).await;
        edge.cluster(cluster(name, &[backend.address])).await;
        backends.push(backend);
    }
    let chains = chains.iter().map(|(name, names)| passthrough(names, name)).collect();
    let address = edge.listener(listener("sni", chains)).await;
    for (server_name, chain) in [
        ("shop.example.com", "exact"),
        ("SHOP.example.com", "exact"),
        ("a.b.shop.example.com", "narrow"),
        ("www.example.com", "wide"),
        ("example.com", "any"),
    ] {
        let hello = client_hello(server_name);
        let mut client = connect(address).await;
        client.set_nodelay(true).unwrap();
        for byte in &hello {
            client.write_all(&[*byte]).await.unwrap();
        }
        says(&mut client, format!("{chain}\n").as_bytes()).await;
        says(&mut client, &hello).await; // passed on whole
    }
    let mut clear = connect(address).await;
    clear.write_all(b"not TLS").await.unwrap();
    says(&mut clear, b"any\nnot TLS").await;
    edge.stop().await;
}

#[tokio::test]
async fn a_connection_that_no_chain_takes_is_closed_and_logged() {
    let edge = Edge::start(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut model = listener("sni", vec![passthrough(&["a.example.com"], "b")]);
    model.access_log = vec![log_to(
        &path,
        "%RESPONSE_FLAGS% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQUESTED_SERVER_NAME% %UPSTREAM_HOST%",
    )];
    let address = edge.listener(model).await;
    let authority = Authority::new("unused");
    let refused = crate::kit::connect_tls(address, "other.example.com", &authority.client()).await.unwrap_err();
    // Closed without an alert.
    assert_eq!(refused.kind(), std::io::ErrorKind::UnexpectedEof, "{refused}");
    edge.counts("no_filter_chain_match", 1).await;
    eventually("the log line", async || {
        std::fs::read_to_string(&path).unwrap_or_default() == "NR 0 filter_chain_not_found other.example.com -\n"
    })
    .await;
    edge.stop().await;
}
