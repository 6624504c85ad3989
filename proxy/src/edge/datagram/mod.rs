//! UDP services of other edges, and those of this one for them: Istio knows of neither, so `edge.yaml` says where they are taken.
//!
//! ```text
//! client -> listen.rs: a socket of each worker -> flows.rs: the flow of that client -> client.rs: an edge (choice.rs), a flow of the overlay
//! -> the other edge: answer.rs -> a socket towards an endpoint
//! ```
//!
//! A flow stays at its edge and its endpoint, until nothing was sent for a minute or the edge is gone.

mod answer;
mod choice;
mod client;
mod config;
mod flows;
mod inbox;
mod listen;
mod rest;
mod sockets;
mod tables;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use overlay::node::Tally;

pub(super) use self::answer::answer;
use self::choice::Choice;
pub use self::config::DatagramImport;
pub(super) use self::config::check;
use self::flows::Flows;
pub(super) use self::listen::listen;
pub(in crate::edge) use self::sockets::Sockets;
pub use self::tables::DatagramTables;
pub(super) use self::tables::Here;
use super::node::EdgeNode;
use crate::telemetry::seldom::Seldom;
use crate::worker::Worker;
use crate::worker::tasks::Tasks;

/// The class of traffic of flows: tunnels of their own, so that however many there are, connections find theirs.
pub(super) const CLASS: u8 = 1;
/// A flow that carries nothing for so long ends (the default of Envoy's `idle_timeout` of its UDP proxy).
const IDLE: Duration = Duration::from_secs(60);
/// What UDP carries, and a little more.
const LARGEST: usize = 64 * 1024;

/// Buries flows that have ended. A panic ends its flow alone.
pub(super) async fn supervise(worker: Rc<Worker>, edge: Rc<EdgeNode>) {
    edge.datagrams.tasks.supervise(|| worker.counters.connection_panics.increment()).await;
}

/// What the flows of one worker share.
pub(super) struct Datagrams {
    /// Of clients here.
    flows: Rc<Flows>,
    choice: Choice,
    /// Flows of other edges that are served here.
    incoming_of: Rc<Tally<String>>,
    /// Which endpoint is next.
    turn: Cell<usize>,
    /// Where datagrams are received, one after the other.
    room: RefCell<Box<[u8]>>,
    /// The tasks of flows.
    pub(super) tasks: Tasks,
    /// Log lines about flows that find no edge.
    nowhere: Seldom,
}

impl Default for Datagrams {
    fn default() -> Self {
        Self {
            flows: Rc::default(),
            choice: Choice::default(),
            incoming_of: Rc::default(),
            turn: Cell::new(0),
            room: RefCell::new(vec![0; LARGEST].into()),
            tasks: Tasks::default(),
            nowhere: Seldom::default(),
        }
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Datagrams").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}
