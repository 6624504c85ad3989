//! A ring, sockets in it, and what their owners heard.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use selvedge_ring::{Key, Options, Owner, ReceiveEnd, Ring, Turn};

/// Much longer than anything takes.
const DEADLINE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// The bytes that were to be sent, and what came of it.
type SendEnd = (Vec<u8>, Result<(), Errno>);

/// What an owner heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) received: RefCell<Vec<u8>>,
    /// It has enough when it has received so many bytes.
    pub(crate) enough: Cell<Option<usize>>,
    pub(crate) receive_end: Cell<Option<ReceiveEnd>>,
    pub(crate) sent: Cell<usize>,
    pub(crate) send_end: RefCell<Option<SendEnd>>,
    pub(crate) readable: Cell<bool>,
    pub(crate) writable: Cell<bool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ear(pub(crate) Rc<Heard>);

impl Owner for Ear {
    fn received(&self, bytes: &[u8]) -> bool {
        let mut received = self.0.received.borrow_mut();
        received.extend_from_slice(bytes);
        self.0.enough.get().is_none_or(|enough| received.len() < enough)
    }

    fn receive_ended(&self, end: ReceiveEnd) {
        assert_eq!(self.0.receive_end.replace(Some(end)), None, "it ends once");
    }

    fn sent(&self, count: usize) {
        self.0.sent.set(self.0.sent.get() + count);
    }

    fn send_ended(&self, bytes: Vec<u8>, result: Result<(), Errno>) {
        assert!(self.0.send_end.replace(Some((bytes, result))).is_none(), "it ends once");
    }

    fn readable(&self) {
        self.0.readable.set(true);
    }

    fn writable(&self) {
        self.0.writable.set(true);
    }
}

pub(crate) const SMALL: Options = Options { operations: 8, buffers: 8, buffer_size: 1024 };

pub(crate) fn ring(options: Options) -> Ring<Ear> {
    Ring::new(options).unwrap_or_else(|reason| panic!("these tests need io_uring: {reason}"))
}

/// Both ends of a connection.
pub(crate) fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let ours = listener.accept().unwrap().0;
    // As the proxy has them.
    ours.set_nonblocking(true).unwrap();
    (ours, peer)
}

/// A socket in the ring: its peer, its name and what its owner heard.
pub(crate) fn add(ring: &mut Ring<Ear>) -> (TcpStream, Key, Ear) {
    let (ours, peer) = connection();
    let ear = Ear::default();
    let key = ring.add(Rc::new(OwnedFd::from(ours)), ear.clone());
    (peer, key, ear)
}

/// Bytes of which none is at the place of another nearby.
pub(crate) fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at + seed) ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// Takes turns, sleeping in between as a worker does, until `done`.
pub(crate) fn turn_until(ring: &mut Ring<Ear>, what: &str, mut done: impl FnMut(&mut Ring<Ear>) -> bool) {
    loop {
        let turn = ring.turn().unwrap();
        if done(ring) {
            return;
        }
        if turn == Turn::Done && ring.is_done() {
            sleep(ring, what);
        }
    }
}

/// Sleeps until the ring has something.
fn sleep(ring: &Ring<Ear>, what: &str) {
    let wakeups = ring.wakeups();
    let awake = poll(&mut [PollFd::new(&wakeups, PollFlags::IN)], Some(&DEADLINE)).unwrap();
    assert!(awake > 0, "nothing happens any more before {what}");
    // A worker hears of edges, and reads nothing.
    let _ = rustix::io::read(wakeups, &mut [0; 8]);
}
