//! The sockets of a worker: one for each UDP service that is taken. The kernel spreads clients over those of all workers (`SO_REUSEPORT`, socket(7)).

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::client::Listener;
use super::flows::Flows;
use super::tables::Service;
use crate::edge::node::EdgeNode;
use crate::telemetry::seldom::Seldom;
use crate::worker::Worker;

/// After a socket could not be opened, or broke.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Bytes that wait in the kernel for a worker that is busy; the system may allow less (`net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// Serves what the tables say, for as long as it is run.
pub(in crate::edge) async fn listen(worker: Rc<Worker>, edge: Rc<EdgeNode>) {
    let mut tables = edge.tables.clone();
    let mut sockets: HashMap<Service, Open> = HashMap::new();
    let mut complaints: HashMap<Service, Seldom> = HashMap::new();
    loop {
        let wanted: Vec<Service> =
            tables.borrow_and_update().datagrams.imports.iter().map(|import| import.service.clone()).collect();
        sockets.retain(|service, open| wanted.contains(service) && !open.has_ended());
        complaints.retain(|service, _| wanted.contains(service));
        for service in wanted {
            if sockets.contains_key(&service) {
                continue;
            }
            match open(service.listen) {
                Ok(socket) => {
                    let (worker, edge) = (worker.clone(), edge.clone());
                    let listener = Listener { worker, edge, service: service.clone(), socket };
                    sockets.insert(service, Open::new(listener));
                }
                Err(error) => {
                    let Service { host, port, listen } = service.clone();
                    if complaints.entry(service).or_default().happened(worker.io.clock.now()).is_some() {
                        tracing::error!(host = &*host, port, "cannot serve datagrams at {listen}: {error}");
                    }
                }
            }
        }
        tokio::select! {
            changed = tables.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

/// A socket that is received from, and its flows: until it is dropped.
struct Open {
    flows: Rc<Flows>,
    listen: SocketAddr,
    receiving: JoinSet<()>,
}

impl Open {
    fn new(listener: Listener) -> Self {
        let (flows, listen) = (listener.edge.datagrams.flows.clone(), listener.service.listen);
        let mut receiving = JoinSet::new();
        receiving.spawn_local(receive(Rc::new(listener)));
        Self { flows, listen, receiving }
    }

    fn has_ended(&mut self) -> bool {
        self.receiving.try_join_next().is_some()
    }
}

impl Drop for Open {
    /// A flow keeps the socket, to which the kernel would go on to lead its share of clients.
    fn drop(&mut self) {
        self.flows.end(self.listen);
    }
}

async fn receive(listener: Rc<Listener>) {
    let error = listener.receive().await;
    tracing::error!("no datagrams can be received at {}: {error}", listener.service.listen);
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
