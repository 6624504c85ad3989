//! Changes of everything under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use xds_model::listener::{Listener, TerminalFilter};

use crate::kit::{
    Edge, LogFile, Server, Wire, assignment, cluster, eds_cluster, eventually, forward, listener, manager, prefix,
    table, weighted, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const CONNECTIONS: usize = 8;

/// Clients that ask for as long as they are not told to stop, each on one connection.
struct Load {
    clients: JoinSet<Wire>,
    served: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn start(address: std::net::SocketAddr) -> Self {
        let (served, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut client = Wire::connect(address).await;
            let (served, stop) = (served.clone(), stop.clone());
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let (head, body) = client.ask(GET).await;
                    assert_eq!((head.status(), head.get("connection")), (200, None), "{body}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
                client
            });
        }
        Self { clients, served, stop }
    }

    /// Waits until more requests were served.
    async fn goes_on(&self, most: u64) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("the load goes on", async || self.served.load(Ordering::Relaxed) >= before + most).await;
    }

    async fn stop(mut self) -> Vec<Wire> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ended = Vec::new();
        while let Some(client) = within("the end of a client", self.clients.join_next()).await {
            ended.push(client.unwrap());
        }
        ended
    }
}

/// What changes: one of the resources in each round, to something else in every round of its kind.
pub(crate) struct Changes {
    pub(crate) edge: Edge,
    listener: Listener,
    log: LogFile,
    servers: [Server; 2],
}

impl Changes {
    pub(crate) async fn start() -> (Self, std::net::SocketAddr) {
        let edge = Edge::start(2);
        let servers = [Server::start("one").await, Server::start("two").await];
        let addresses = [servers[0].address, servers[1].address];
        edge.cluster(cluster("fixed", &addresses)).await;
        edge.cluster(eds_cluster("found")).await;
        edge.endpoints(assignment("found", &addresses)).await;
        edge.routes(table(vec![prefix("/", weighted(&[("fixed", 1), ("found", 1)]))])).await;
        let listener = listener(manager());
        let address = edge.listener(listener.clone()).await;
        (Self { edge, listener, log: LogFile::new(), servers }, address)
    }

    pub(crate) async fn round(&mut self, round: usize) {
        let addresses = [self.servers[0].address, self.servers[1].address];
        let variant = round / 4;
        let some = &addresses[variant % 2..=variant % 2 + usize::from(variant.is_multiple_of(4))];
        match round % 4 {
            0 => self.change_listener(variant).await,
            1 => {
                let action = match variant % 3 {
                    0 => forward("fixed"),
                    1 => forward("found"),
                    _ => weighted(&[("fixed", 1), ("found", 1)]),
                };
                self.edge.routes(table(vec![prefix("/", action)])).await;
            }
            2 => {
                let mut model = cluster("fixed", some);
                model.connect_timeout = Duration::from_secs(10 + variant as u64);
                self.edge.cluster(model).await;
            }
            _ => self.edge.endpoints(assignment("found", some)).await,
        }
    }

    async fn change_listener(&mut self, variant: usize) {
        let TerminalFilter::Http(manager) = &mut self.listener.filter_chains[0].terminal else { unreachable!() };
        manager.access_log.clear();
        if variant.is_multiple_of(2) {
            manager.access_log.push(self.log.text("%RESPONSE_CODE%\n"));
        }
        manager.server_name = format!("version {variant}");
        self.edge.listener(self.listener.clone()).await;
    }
}

#[tokio::test]
async fn fifty_changes_under_load_fail_no_request_and_close_no_connection() {
    let (mut changes, address) = Changes::start().await;
    let load = Load::start(address).await;
    load.goes_on(1).await;
    for round in 0..50 {
        changes.round(round).await;
        load.goes_on(4 * CONNECTIONS as u64).await;
    }
    let clients = load.stop().await;
    assert_eq!((clients.len(), clients.iter().filter(|client| client.is_closed()).count()), (CONNECTIONS, 0));
    assert_eq!(changes.edge.workers.active_connections(), CONNECTIONS as u64);
    assert_eq!(changes.edge.count("server.connection_panics"), 0);
    assert_eq!(changes.edge.count("downstream_cx_drained"), 0);
}

#[tokio::test]
async fn counters_go_on_when_a_listener_changes() {
    let (mut changes, address) = Changes::start().await;
    let mut client = Wire::connect(address).await;
    for _ in 0..5 {
        client.ask(GET).await;
    }
    changes.change_listener(1).await;
    eventually("the change is in force", async || client.ask(GET).await.0.get("server") == Some("version 1")).await;
    assert_eq!(changes.edge.count("http.test.downstream_cx_active"), 1);
    drop(client);
    changes.edge.counts("http.test.downstream_cx_active", 0).await;
    assert!(changes.edge.count("http.test.downstream_rq_total") >= 6);
}
