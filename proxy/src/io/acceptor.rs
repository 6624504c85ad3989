//! Accepting connections that belong to nobody yet: their driver is chosen later.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use ring::Readiness;
use rustix::net::{SocketFlags, acceptfrom_with};

/// A listening socket of which the runtime hears when a connection waits.
#[derive(Debug)]
pub struct Acceptor(Readiness);

impl Acceptor {
    /// The socket must not block.
    ///
    /// # Errors
    /// The system refuses to watch it.
    pub fn new(socket: TcpListener) -> io::Result<Self> {
        Readiness::new(socket.into()).map(Self)
    }

    /// The next connection, and where it comes from.
    ///
    /// # Errors
    /// Those of accept(2).
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.0.poll(context, |socket| {
            let (connection, peer) = acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
            let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
            let peer = SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::ConnectionAborted)?;
            Ok((connection.into(), peer))
        })
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
