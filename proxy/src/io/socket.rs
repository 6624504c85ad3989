//! A socket, or what stands in for one, and who drives it.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::Input;
use super::overlay::OverlaySocket;
use super::receive::{Received, receive};
use super::ring_socket::RingSocket;

/// What carries a connection's bytes.
pub(super) enum Socket {
    /// A socket, registered with the runtime's epoll.
    Epoll(TcpStream),
    /// A socket, driven by the worker's ring.
    Ring(RingSocket),
    /// No socket: another edge is reached over the overlay.
    Overlay(OverlaySocket),
}

impl Socket {
    /// Takes bytes that are there; `WouldBlock` if there are none.
    pub(super) fn receive(&self, into: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Epoll(socket) => receive(socket, into),
            Self::Ring(socket) => socket.take(into),
            Self::Overlay(socket) => socket.receive(into),
        }
    }

    /// Moves what was received already into `input`, in which nothing is pending, if that is no more than `limit` bytes or
    /// a block. Returns how many.
    pub(super) fn hand_over(&self, input: &mut Input, limit: usize) -> Option<usize> {
        match self {
            Self::Epoll(_) | Self::Overlay(_) => None,
            Self::Ring(socket) => socket.hand_over(input, limit),
        }
    }

    /// Sends what the socket takes at once, while nothing else is being sent.
    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Epoll(socket) => socket.try_write(bytes),
            Self::Ring(socket) => socket.try_send(bytes),
            Self::Overlay(socket) => socket.try_send(bytes),
        }
    }

    /// Says that nothing more will be sent. The connection may be gone already, which is what we want.
    pub(super) fn finish(&self) {
        match (self, self.descriptor()) {
            (Self::Overlay(socket), _) => socket.finish(),
            (_, Some(socket)) => drop(SockRef::from(&socket).shutdown(Shutdown::Write)),
            (_, None) => {}
        }
    }

    /// Ends both directions: whoever waits for the socket is woken.
    pub(super) fn give_up(&self) {
        match (self, self.descriptor()) {
            (Self::Overlay(socket), _) => socket.give_up(),
            (_, Some(socket)) => drop(SockRef::from(&socket).shutdown(Shutdown::Both)),
            (_, None) => {}
        }
    }

    /// When it is closed, what is unsent is thrown away, and the peer learns that something is missing.
    pub(super) fn reset_when_closed(&self) {
        match (self, self.descriptor()) {
            (Self::Overlay(socket), _) => socket.give_up(),
            // Without it the end would look like a proper one; the connection ends in any case.
            (_, Some(socket)) => drop(SockRef::from(&socket).set_linger(Some(Duration::ZERO))),
            (_, None) => {}
        }
    }

    /// The descriptor, for what only the kernel can do.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Epoll(socket) => Some(socket.as_fd()),
            Self::Ring(socket) => Some(socket.as_fd()),
            Self::Overlay(_) => None,
        }
    }
}
