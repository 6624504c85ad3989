//! Too many connections, or too little memory: who is served goes on being served, and who comes on top is told so.

use std::net::SocketAddr;

use selvedge::overload::{Action, ConnectionLimitSettings};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::{Backend, Behaviour, Edge, Options, closes, cluster, connect, eventually, listener, says, tcp_chain};

/// A gateway before a server that speaks first, with limits of connections.
struct Setup {
    edge: Edge,
    backend: Backend,
}

impl Setup {
    async fn new(connections: ConnectionLimitSettings) -> Self {
        let edge = Edge::with(Options { connections, ..Options::default() });
        let backend = Backend::start("b", Behaviour::GreetAndEcho).await;
        edge.cluster(cluster("b", &[backend.address])).await;
        Self { edge, backend }
    }

    async fn listener(&self, name: &str) -> SocketAddr {
        self.edge.listener(listener(name, vec![tcp_chain("b")])).await
    }

    async fn stop(self) {
        drop(self.backend);
        self.edge.stop().await;
    }
}

/// A client that is served.
async fn served(address: SocketAddr) -> TcpStream {
    let mut client = connect(address).await;
    says(&mut client, b"b\n").await;
    client
}

async fn echoes(client: &mut TcpStream) {
    client.write_all(b"still there?").await.unwrap();
    says(client, b"still there?").await;
}

async fn refused(address: SocketAddr) {
    assert_eq!(closes(&mut connect(address).await).await, b"");
}

/// Waits until all but `open` connections are closed: the gateway hears of a client's end after the client.
async fn only(setup: &Setup, open: u64) {
    eventually("the others are closed", async || setup.edge.workers.active_connections() == open).await;
}

#[tokio::test]
async fn all_listeners_together_have_a_limit() {
    let limits = ConnectionLimitSettings { global: Some(2), ..ConnectionLimitSettings::default() };
    let setup = Setup::new(limits).await;
    let (one, two) = (setup.listener("one").await, setup.listener("two").await);
    let mut exempt = listener("exempt", vec![tcp_chain("b")]);
    exempt.ignore_global_connection_limit = true;
    let exempt = setup.edge.listener(exempt).await;
    let (mut first, second) = (served(one).await, served(two).await);
    for _ in 0..10 {
        refused(one).await; // on both workers
    }
    setup.edge.counts("downstream_global_cx_overflow", 10).await;
    drop(served(exempt).await);
    echoes(&mut first).await;
    drop(second);
    only(&setup, 1).await;
    let _again = served(two).await;
    setup.stop().await;
}

#[tokio::test]
async fn a_listener_has_a_limit_over_its_workers() {
    let limits = ConnectionLimitSettings {
        listener: Some(1),
        listeners: [("wide".to_owned(), 2)].into(),
        ..ConnectionLimitSettings::default()
    };
    let setup = Setup::new(limits).await;
    let (narrow, wide) = (setup.listener("narrow").await, setup.listener("wide").await);
    let mut first = served(narrow).await;
    for _ in 0..10 {
        refused(narrow).await;
    }
    let (_second, _third) = (served(wide).await, served(wide).await);
    refused(wide).await;
    setup.edge.counts("downstream_cx_overflow", 11).await;
    echoes(&mut first).await;
    drop(first);
    only(&setup, 2).await;
    served(narrow).await;
    setup.stop().await;
}

#[tokio::test]
async fn a_source_has_a_limit_and_behind_a_load_balancer_it_is_the_client() {
    let limits = ConnectionLimitSettings { source: Some(1), ..ConnectionLimitSettings::default() };
    let setup = Setup::new(limits).await;
    let plain = setup.listener("plain").await;
    let mut balanced = listener("balanced", vec![tcp_chain("b")]);
    balanced.proxy_protocol = true;
    let balanced = setup.edge.listener(balanced).await;
    let mut first = served(plain).await;
    refused(plain).await;
    setup.edge.counts("downstream_source_cx_overflow", 1).await;

    let behind = async |source: &str| {
        let mut client = connect(balanced).await;
        client.write_all(format!("PROXY TCP4 {source} 192.0.2.9 1000 80\r\n").as_bytes()).await.unwrap();
        client
    };
    let mut one = behind("192.0.2.1").await;
    says(&mut one, b"b\n").await;
    assert_eq!(closes(&mut behind("192.0.2.1").await).await, b"");
    says(&mut behind("192.0.2.2").await, b"b\n").await;
    setup.edge.counts("downstream_source_cx_overflow", 2).await;
    echoes(&mut first).await;
    drop(one);
    only(&setup, 1).await;
    says(&mut behind("192.0.2.1").await, b"b\n").await;
    setup.stop().await;
}

#[tokio::test]
async fn while_accepting_is_stopped_new_clients_wait_and_others_are_served() {
    let setup = Setup::new(ConnectionLimitSettings::default()).await;
    let address = setup.listener("one").await;
    let mut exempt = listener("exempt", vec![tcp_chain("b")]);
    exempt.bypass_overload_manager = true;
    let exempt = setup.edge.listener(exempt).await;
    let mut first = served(address).await;
    setup.edge.overload().set(Action::StopAcceptingConnections, 1.0, "a test");
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(connect(address).await); // into the kernel's queue
    }
    for _ in 0..20 {
        echoes(&mut first).await;
        drop(served(exempt).await);
    }
    let waiting_is_served = waiting.iter().any(|client| client.try_read(&mut [0; 1]).is_ok());
    assert!(!waiting_is_served);
    setup.edge.overload().set(Action::StopAcceptingConnections, 0.0, "a test");
    for client in &mut waiting {
        says(client, b"b\n").await;
    }
    setup.stop().await;
}

#[tokio::test]
async fn connections_are_rejected_while_that_action_is_active() {
    let setup = Setup::new(ConnectionLimitSettings::default()).await;
    let address = setup.listener("one").await;
    let mut first = served(address).await;
    setup.edge.overload().set(Action::RejectIncomingConnections, 1.0, "a test");
    refused(address).await;
    setup.edge.counts("downstream_cx_overload_reject", 1).await;
    echoes(&mut first).await;
    setup.edge.overload().set(Action::RejectIncomingConnections, 0.0, "a test");
    drop(served(address).await);
    setup.stop().await;
}
