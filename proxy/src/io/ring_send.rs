//! What a ring does for a connection, and tells it.

use std::io;
use std::rc::{Rc, Weak};

use ring::{Owner, ReceiveEnd};
use rustix::io::Errno;

use super::connection::Connection;
use super::output::{HIGH_WATER, Output};
use super::ring_socket::RingSocket;
use super::socket::Socket;

/// A connection as its ring knows it.
pub(super) struct OwnedByRing(Weak<Connection>);

impl OwnedByRing {
    pub(super) fn new(connection: &Weak<Connection>) -> Self {
        Self(connection.clone())
    }

    fn tell<R>(&self, tell: impl FnOnce(&Rc<Connection>, &RingSocket) -> R) -> Option<R> {
        let connection = self.0.upgrade()?;
        match &connection.socket {
            Socket::Ring(socket) => Some(tell(&connection, socket)),
            Socket::Epoll(_) | Socket::Overlay(_) => None,
        }
    }
}

impl Owner for OwnedByRing {
    fn received(&self, bytes: &[u8]) -> bool {
        self.tell(|_, socket| socket.received(bytes)).unwrap_or(false)
    }

    fn receive_ended(&self, end: ReceiveEnd) {
        self.tell(|_, socket| socket.receive_ended(end));
    }

    fn sent(&self, count: usize) {
        self.tell(|connection, _| connection.ring_sent(count));
    }

    fn send_ended(&self, bytes: Vec<u8>, result: Result<(), Errno>) {
        self.tell(|connection, _| connection.ring_send_ended(bytes, result));
    }

    fn readable(&self) {
        self.tell(|_, socket| socket.readable());
    }

    fn writable(&self) {
        self.tell(|_, socket| socket.writable());
    }
}

impl Connection {
    /// Gives the ring what is there. Nothing else is sent until it comes back.
    pub(super) fn give_to_ring(&self, socket: &RingSocket, output: &mut Output) {
        match self.take_sendable(output) {
            Ok(bytes) if bytes.is_empty() => {
                self.io.blocks.give_output(bytes);
                self.all_sent(output);
            }
            Ok(bytes) => {
                output.blocked = true;
                socket.send(bytes);
            }
            Err(_) => {
                output.fail(&self.io.blocks);
                output.wake();
            }
        }
    }

    fn take_sendable(&self, output: &mut Output) -> io::Result<Vec<u8>> {
        match &mut *self.secure.borrow_mut() {
            None => Ok(output.take_unsent()),
            Some(secure) => {
                let mut sealed = self.io.blocks.take_large_output();
                secure.seal(output, &mut sealed, &self.io.blocks)?;
                Ok(sealed)
            }
        }
    }

    fn ring_sent(&self, count: usize) {
        // Of sealed bytes it is not known how many they were before.
        if !self.is_secure() {
            let mut output = self.output.borrow_mut();
            output.under_way = output.under_way.saturating_sub(count);
            if output.backlog() <= HIGH_WATER {
                output.wake();
            }
        }
    }

    fn ring_send_ended(self: &Rc<Self>, bytes: Vec<u8>, result: Result<(), Errno>) {
        let mut output = self.output.borrow_mut();
        output.blocked = false;
        self.io.blocks.give_output(bytes);
        if let Err(error) = result {
            self.broke(&error.into());
            output.fail(&self.io.blocks);
            output.wake();
            return;
        }
        output.under_way = 0;
        let wants_write = self.session(|session| session.wants_write()).unwrap_or(false);
        if output.unsent().is_empty() && !wants_write {
            self.all_sent(&mut output);
            return;
        }
        if output.backlog() <= HIGH_WATER {
            output.wake();
        }
        drop(output);
        self.queue();
    }

    fn all_sent(&self, output: &mut Output) {
        if output.finish {
            self.shut(output);
        }
        output.wake();
    }
}
