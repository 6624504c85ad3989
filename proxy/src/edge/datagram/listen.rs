//! The sockets of a worker: one for each UDP service that is taken. The kernel spreads clients over those of all workers.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::Listener;
use super::flows::Flows;
use super::tables::DatagramService;
use crate::edge::node::EdgeNode;
use crate::telemetry::seldom::Seldom;
use crate::worker::Worker;

/// After a socket could not be opened, or broke.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long the process before this one, which has handed over, may have its sockets still.
const BOTH: Duration = Duration::from_secs(10);

/// Serves what the tables say, for as long as it is run.
pub(in crate::edge) async fn listen(worker: Rc<Worker>, edge: Rc<EdgeNode>) {
    let (mut tables, begun) = (edge.tables.clone(), Instant::now());
    let mut sockets: HashMap<DatagramService, Open> = HashMap::new();
    let mut complaints: HashMap<DatagramService, Seldom> = HashMap::new();
    loop {
        let wanted: Vec<DatagramService> =
            tables.borrow_and_update().datagrams.imports.iter().map(|import| import.service.clone()).collect();
        sockets.retain(|service, open| wanted.contains(service) && !open.has_ended());
        complaints.retain(|service, _| {
            let is_wanted = wanted.contains(service);
            if !is_wanted {
                edge.problems.set(&what(service), edge.number, None);
            }
            is_wanted
        });
        for service in wanted {
            if sockets.contains_key(&service) {
                continue;
            }
            let follows_another = edge.follows_another && begun.elapsed() < BOTH;
            match edge.sockets.open(service.listen, follows_another) {
                Ok(bound) => {
                    edge.problems.set(&what(&service), edge.number, None);
                    let (worker, edge) = (worker.clone(), edge.clone());
                    let listener = Listener { worker, edge, service: service.clone(), bound };
                    sockets.insert(service, Open::new(listener));
                }
                Err(error) => {
                    edge.problems.set(&what(&service), edge.number, Some(format!("cannot be served: {error}")));
                    let DatagramService { host, port, listen } = service.clone();
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

/// In `/problems`.
fn what(DatagramService { host, port, listen }: &DatagramService) -> String {
    format!("datagrams of {host} port {port} at {listen}")
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
