//! Bytes through the gateway.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use xds_model::cluster::CircuitBreaker;
use xds_model::listener::{FilterChain, TcpProxy, TerminalFilter};

use crate::kit::{
    Backend, Behaviour, Edge, closes, cluster, connect, eventually, listener, log_to, says, tcp_chain, weighted, within,
};

fn with_proxy(mut chain: FilterChain, change: impl FnOnce(&mut TcpProxy)) -> FilterChain {
    if let TerminalFilter::Tcp(proxy) = &mut chain.terminal {
        change(proxy);
    }
    chain
}

#[tokio::test]
async fn a_server_may_speak_first_and_bytes_pass_both_ways() {
    let edge = Edge::start(2);
    let backend = Backend::start("first", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("first", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("first")])).await;
    let mut client = connect(address).await;
    says(&mut client, b"first\n").await;
    client.write_all(b"hello").await.unwrap();
    says(&mut client, b"hello").await;
    client.shutdown().await.unwrap();
    assert_eq!(closes(&mut client).await, b"");
    edge.counts("tcp.test.downstream_cx_rx_bytes_total", 5).await;
    edge.counts("tcp.test.downstream_cx_tx_bytes_total", 11).await;
    eventually("nothing is open", async || edge.workers.active_connections() == 0).await;
    edge.stop().await;
}

#[tokio::test]
async fn one_direction_goes_on_when_the_other_has_ended() {
    let edge = Edge::start(2);
    let backend = Backend::start("last words", Behaviour::EchoThenName).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("b")])).await;
    let mut client = connect(address).await;
    client.write_all(b"question ").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(closes(&mut client).await, b"question last words\n");
    edge.stop().await;
}

#[tokio::test]
async fn connections_are_shared_out_by_weight() {
    let edge = Edge::start(2);
    let (one, three) =
        (Backend::start("1", Behaviour::GreetAndEcho).await, Backend::start("3", Behaviour::GreetAndEcho).await);
    edge.cluster(cluster("one", &[one.address])).await;
    edge.cluster(cluster("three", &[three.address])).await;
    let address = edge.listener(listener("tcp", vec![weighted(&[("one", 1), ("three", 3)])])).await;
    for _ in 0..200 {
        let mut client = connect(address).await;
        within("a greeting", client.read_u8()).await.unwrap();
    }
    let ones = one.connections.load(Ordering::Relaxed);
    assert_eq!(ones + three.connections.load(Ordering::Relaxed), 200);
    // 50 are expected, with a standard deviation of 6.
    assert!((20..=80).contains(&ones), "{ones} of 200");
    edge.stop().await;
}

#[tokio::test]
async fn a_slow_reader_holds_up_its_sender() {
    const MOST: u64 = 24 << 20;
    let edge = Edge::start(2);
    let backend = Backend::start("flood", Behaviour::Flood).await;
    edge.cluster(cluster("flood", &[backend.address])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("flood")])).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = socket.connect(address).await.unwrap();
    // The kernel's buffers take some megabytes; then nothing may move any more.
    let mut before = u64::MAX;
    eventually("the sender is held up", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sent = backend.sent.load(Ordering::Relaxed);
        assert!(sent < MOST, "{sent} bytes were taken from the sender");
        sent > 0 && std::mem::replace(&mut before, sent) == sent
    })
    .await;
    assert!(edge.count("tcp.test.downstream_cx_tx_bytes_total") < MOST);
    // And it goes on as soon as the client reads.
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    while received < before + (4 << 20) {
        received += within("more bytes", client.read(&mut buffer)).await.unwrap() as u64;
    }
    edge.stop().await;
}

/// A peer that does not read must not keep what has ended: neither the socket nor the bytes for it.
#[tokio::test]
async fn a_connection_that_ends_is_gone_although_its_client_reads_nothing() {
    let edge = Edge::start(2);
    let backend = Backend::start("flood", Behaviour::Flood).await;
    edge.cluster(cluster("flood", &[backend.address])).await;
    let short = Some(Duration::from_millis(300));
    let idle = with_proxy(tcp_chain("flood"), |proxy| proxy.idle_timeout = short);
    let address = edge.listener(listener("idle", vec![idle])).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let client = socket.connect(address).await.unwrap();
    edge.counts("tcp.test.idle_timeout", 1).await;
    eventually("nobody holds the socket", async || !is_held(address, client.local_addr().unwrap())).await;
    edge.stop().await;
}

/// Whether a process has a descriptor of the TCP connection with these ends, seen from the first: a row of /proc/net/tcp with an
/// inode (proc_net_tcp.txt of the kernel). What is left of a closed connection has none.
fn is_held(local: SocketAddr, remote: SocketAddr) -> bool {
    let hexadecimal = |address: SocketAddr| match address {
        SocketAddr::V4(address) => format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port()),
        SocketAddr::V6(_) => panic!("the tests listen on IPv4"),
    };
    let (local, remote) = (hexadecimal(local), hexadecimal(remote));
    std::fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns[1..3] == [local.as_str(), remote.as_str()] && columns[9] != "0"
    })
}

#[tokio::test]
async fn silence_and_age_end_a_connection() {
    let edge = Edge::start(2);
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    edge.cluster(cluster("b", &[backend.address])).await;
    let short = Some(Duration::from_millis(50));
    let idle = with_proxy(tcp_chain("b"), |proxy| proxy.idle_timeout = short);
    let address = edge.listener(listener("idle", vec![idle])).await;
    assert_eq!(closes(&mut connect(address).await).await, b"b\n");
    edge.counts("tcp.test.idle_timeout", 1).await;
    let old = with_proxy(tcp_chain("b"), |proxy| proxy.max_downstream_connection_duration = short);
    let address = edge.listener(listener("old", vec![old])).await;
    assert_eq!(closes(&mut connect(address).await).await, b"b\n");
    edge.counts("tcp.test.max_downstream_connection_duration", 1).await;
    edge.stop().await;
}

#[tokio::test]
async fn failures_are_logged_with_envoys_flags() {
    let edge = Edge::start(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    let closed = {
        let gone = Backend::start("gone", Behaviour::GreetAndEcho).await;
        gone.address
    };
    edge.cluster(cluster("good", &[backend.address])).await;
    edge.cluster(cluster("empty", &[])).await;
    eventually("the port is closed", async || tokio::net::TcpStream::connect(closed).await.is_err()).await;
    edge.cluster(cluster("refusing", &[closed])).await;
    let mut narrow = cluster("narrow", &[backend.address]);
    narrow.limits = CircuitBreaker { max_connections: 1, ..CircuitBreaker::UNLIMITED };
    edge.cluster(narrow).await;
    let mut addresses = Vec::new();
    for target in ["good", "missing", "empty", "refusing", "narrow"] {
        let chain = with_proxy(tcp_chain(target), |proxy| {
            proxy.access_log = vec![log_to(&path, "%UPSTREAM_CLUSTER% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%")];
        });
        addresses.push(edge.listener(listener(target, vec![chain])).await);
    }
    let mut good = connect(addresses[0]).await;
    says(&mut good, b"b\n").await;
    drop(good);
    let mut holding = connect(addresses[4]).await;
    says(&mut holding, b"b\n").await;
    for address in &addresses[1..] {
        assert_eq!(closes(&mut connect(*address).await).await, b"");
    }
    drop(holding);
    let mut expected =
        ["good - 0 2", "missing NC 0 0", "empty UH 0 0", "refusing UF,URX 0 0", "narrow UO 0 0", "narrow - 0 2"]
            .map(str::to_owned);
    expected.sort();
    let mut lines = Vec::new();
    eventually("all log lines", async || {
        lines = std::fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.len() >= expected.len()
    })
    .await;
    lines.sort();
    assert_eq!(lines, expected);
    edge.counts("tcp.test.downstream_cx_no_route", 1).await;
    edge.stop().await;
}
