//! Connections as the rest of the proxy sees them.
//!
//! A [`Stream`] is one connection, clear or TLS. Its owner, always exactly one task, reads into pooled blocks that are lent only while
//! bytes are pending, and *puts* bytes into its output without waiting. What all tasks of a worker put during one turn is sent by the
//! [`Flusher`] at the end of the turn, once per connection: sending is what costs, and a batch of sends costs less than the
//! same sends between reads. TLS bytes are sealed there as well, once per flush.

mod acceptor;
mod block;
mod connection;
mod driver;
mod flusher;
mod input;
mod opening;
mod output;
mod overlay;
mod pipe;
mod receive;
mod ring;
mod ring_send;
mod ring_socket;
mod secure;
mod socket;
mod splice;
mod stream;
mod transfer;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

pub use acceptor::Acceptor;
pub use block::{BLOCK_SIZE, Blocks};
pub use driver::{Driver, DriverChoice};
pub use flusher::Flusher;
pub use input::Input;
pub use output::HIGH_WATER;
pub use pipe::{LentPipe, Pipes};
pub use stream::{Stream, StreamWriter, Traffic};
pub use transfer::{Broken, Transfer};

use self::ring::WorkerRing;
use crate::worker::clock::Clock;

/// Bytes that one receive may take from a socket into [`Io::scratch`].
pub const SCRATCH_SIZE: usize = 64 * 1024;

/// What all connections of a worker share.
#[derive(Debug)]
pub struct Io {
    /// The worker's clock; stale after every flush.
    pub clock: Rc<Clock>,
    /// Memory for pending bytes.
    pub blocks: Blocks,
    /// What bytes go through that are not looked at.
    pub pipes: Rc<Pipes>,
    /// Sends what was put.
    pub flusher: Flusher,
    /// One large buffer for bytes that are passed on before the next `await`.
    pub scratch: RefCell<Box<[u8]>>,
    /// What drives the sockets, unless the runtime does.
    ring: Option<WorkerRing>,
    /// Ciphertext on its way from a socket into a TLS session.
    ciphertext: RefCell<Box<[u8]>>,
}

impl Io {
    /// For one worker. [`Flusher::run`] must be running for anything to be sent.
    ///
    /// # Errors
    /// `driver` is a ring and nothing else, and the kernel gives none (any more).
    pub fn new(clock: Rc<Clock>, driver: Driver) -> io::Result<Rc<Self>> {
        let ring = match driver {
            Driver::Epoll => None,
            Driver::IoUring { required: true } => Some(WorkerRing::new()?),
            // The kernel had one when it was asked, but each takes memory and descriptors.
            Driver::IoUring { required: false } => WorkerRing::new()
                .inspect_err(|error| tracing::warn!("the sockets of a worker are driven by epoll: {error}"))
                .ok(),
        };
        Ok(Rc::new(Self {
            clock,
            ring,
            blocks: Blocks::default(),
            pipes: Rc::default(),
            flusher: Flusher::default(),
            scratch: RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice()),
            ciphertext: RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// Says to a copy of the tests that it is to run out of descriptors.
    const RUNS_OUT: &str = "SELVEDGE_TEST_NO_DESCRIPTORS";

    #[test]
    fn a_worker_that_is_refused_its_ring_goes_on_with_epoll() {
        if std::env::var_os(RUNS_OUT).is_some() {
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum }).unwrap();
            let io = |required| Io::new(Rc::new(Clock::new()), Driver::IoUring { required });
            assert!(io(true).is_err());
            assert!(io(false).unwrap().ring.is_none());
            println!("as it should be");
            return;
        }
        let this = "io::tests::a_worker_that_is_refused_its_ring_goes_on_with_epoll";
        let mut copy = Command::new(std::env::current_exe().unwrap());
        let ended = copy.args([this, "--exact", "--nocapture"]).env(RUNS_OUT, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("as it should be"), "{said}");
    }
}
