//! Connections as the rest of the proxy sees them.
//!
//! A [`Stream`] is one connection, clear or TLS. Its owner, always exactly one task, reads into pooled blocks that are lent only while
//! bytes are pending, and *puts* bytes into its output without waiting. What all tasks of a worker put during one turn is sent by the
//! [`Flusher`] at the end of the turn, once per connection: sending is what costs, and a batch of sends costs less than the
//! same sends between reads. TLS bytes are sealed there as well, once per flush.

mod block;
mod connection;
mod flusher;
mod input;
mod output;
mod pipe;
mod receive;
mod secure;
mod splice;
mod stream;

use std::cell::RefCell;
use std::rc::Rc;

pub use block::{BLOCK_SIZE, Blocks};
pub use flusher::Flusher;
pub use input::Input;
pub use output::HIGH_WATER;
pub use pipe::{LentPipe, Pipes};
pub use stream::{Stream, StreamWriter, Traffic};

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
    /// Ciphertext on its way from a socket into a TLS session.
    ciphertext: RefCell<Box<[u8]>>,
}

impl Io {
    /// For one worker. [`Flusher::run`] must be running for anything to be sent.
    pub fn new(clock: Rc<Clock>) -> Rc<Self> {
        Rc::new(Self {
            clock,
            blocks: Blocks::default(),
            pipes: Rc::default(),
            flusher: Flusher::default(),
            scratch: RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice()),
            ciphertext: RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice()),
        })
    }
}
