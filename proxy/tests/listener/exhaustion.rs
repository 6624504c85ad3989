//! No file descriptor is left: who is served goes on being served, and who cannot be is told so.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{Backend, Behaviour, Edge, closes, cluster, connect, eventually, listener, says, tcp_chain, within};

/// Tells this test binary that it is the gateway: where the backend is.
const BACKEND: &str = "SELVEDGE_TEST_EXHAUSTION_BACKEND";
/// Descriptors that the gateway may have beyond those that it has when it is ready.
const SPARE: u64 = 40;

/// Not a test by itself: the gateway with few descriptors, in a process of its own, until its standard input ends.
#[tokio::test]
async fn gateway_with_few_descriptors() {
    let Ok(backend) = std::env::var(BACKEND) else { return };
    let edge = Edge::start(1);
    edge.cluster(cluster("b", &[backend.parse().unwrap()])).await;
    let address = edge.listener(listener("tcp", vec![tcp_chain("b")])).await;
    drop(connect(address).await);
    eventually("the connection is taken", async || edge.count("downstream_cx_total") > 0).await;
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(used + SPARE), maximum }).unwrap();
    println!("\nlistening {address}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    println!("overflow {}", edge.count("downstream_cx_overflow"));
    edge.stop().await;
}

struct Gateway {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Gateway {
    fn start(backend: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "exhaustion::gateway_with_few_descriptors"])
            .env(BACKEND, backend.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The rest of the next line of output that begins like this.
    fn line(&mut self, begin: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no line {begin}");
            if let Some(rest) = line.trim().strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn without_descriptors_live_connections_go_on_and_new_ones_see_the_end() {
    let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
    let mut gateway = Gateway::start(backend.address);
    let address: SocketAddr = gateway.line("listening ").parse().unwrap();
    let mut first = connect(address).await;
    says(&mut first, b"b\n").await;

    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(connect(address).await);
    }
    let (mut served, mut refused) = (Vec::new(), 0);
    for mut client in clients {
        // Every one of them gets a greeting or the end; none waits for nothing.
        match within("an answer or the end", client.read_u8()).await {
            Ok(_) => served.push(client),
            Err(_) => refused += 1,
        }
    }
    assert!(!served.is_empty() && refused >= 50, "{} served, {refused} refused", served.len());
    first.write_all(b"still there?").await.unwrap();
    says(&mut first, b"still there?").await;

    drop(served);
    eventually("new clients are served again", async || {
        matches!(within("an answer or the end", connect(address).await.read_u8()).await, Ok(b'b'))
    })
    .await;
    drop(gateway.child.stdin.take());
    let overflow: u64 = gateway.line("overflow ").parse().unwrap();
    assert!(overflow > 0);
    assert_eq!(closes(&mut first).await, b"");
}
