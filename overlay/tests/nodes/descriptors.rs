//! Strangers take all file descriptors that they can get: edges that are linked stay so, and a hub can be asked how it is.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::timeout;

use crate::kit::edge;
use crate::site::{JoinedEdge, LONG, Site, eventually};

/// Tells this test binary that it is the hub.
const IS_HUB: &str = "SELVEDGE_TEST_HUB_WITH_FEW_DESCRIPTORS";
/// Descriptors that the hub may have beyond those that it has when an edge is linked.
const SPARE: u64 = 40;
const STRANGERS: usize = 100;

/// Not a test by itself: a hub with an edge and few descriptors, in a process of its own, until its standard input ends.
#[tokio::test]
async fn hub_with_few_descriptors() {
    if std::env::var_os(IS_HUB).is_none() {
        return;
    }
    let test = async {
        let site = Site::found().await;
        let edge = JoinedEdge::new(&site.token(edge("a")).await, site.hub.address()).await;
        eventually("the edge is linked", async || edge.node.links().len() == 1).await;
        let asked = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(used + SPARE), maximum }).unwrap();
        println!("\nlistening {} {}", site.hub.address(), asked.local_addr().unwrap());
        spawn_local(async move {
            while let Ok((mut stream, _)) = asked.accept().await {
                stream.write_all(b"!").await.unwrap();
            }
        });
        spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        let counters = site.hub.shards().counters().remove(0);
        println!("closed {}", counters.handshakes_closed.get());
        println!("links {} {}", edge.node.links().len(), counters.links_total.get());
    };
    LocalSet::new().run_until(test).await;
}

struct HubProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl HubProcess {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "descriptors::hub_with_few_descriptors"])
            .env(IS_HUB, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The words of the next line of output that begins like this.
    fn line(&mut self, begin: &str) -> Vec<String> {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no line {begin}");
            if let Some(rest) = line.trim().strip_prefix(begin) {
                return rest.split_whitespace().map(str::to_owned).collect();
            }
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn strangers_take_no_descriptor_that_a_hub_needs_itself() {
    let test = async {
        let mut hub = HubProcess::start();
        let addresses: Vec<SocketAddr> = hub.line("listening ").iter().map(|word| word.parse().unwrap()).collect();
        let mut strangers = Vec::new();
        for _ in 0..STRANGERS {
            strangers.push(TcpStream::connect(addresses[0]).await.unwrap());
        }
        // The last one is closed when there are descriptors for it no more than there were for others.
        assert!(strangers[STRANGERS - 1].read_u8().await.is_err());
        let mut asking = TcpStream::connect(addresses[1]).await.unwrap();
        assert_eq!(asking.read_u8().await.unwrap(), b'!');
        drop(hub.child.stdin.take());
        let closed: usize = hub.line("closed ")[0].parse().unwrap();
        assert!(closed > 0, "nobody was closed for want of descriptors");
        assert_eq!(hub.line("links "), ["1", "1"]);
    };
    timeout(LONG, test).await.unwrap();
}
