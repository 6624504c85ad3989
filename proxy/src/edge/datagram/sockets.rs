//! The addresses at which this process takes datagrams. All workers share each of them, and nobody else may: the kernel would lead a part of the clients
//! to whoever does (`SO_REUSEPORT`, socket(7)).

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Bytes that wait in the kernel for a worker that is busy; the system may allow less (`net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// What this process has open, by address. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Sockets(Arc<Mutex<HashMap<SocketAddr, usize>>>);

/// A socket of this process.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) socket: UdpSocket,
    address: SocketAddr,
    sockets: Sockets,
}

impl Sockets {
    /// Opens a socket. The first one of this process at an address is refused if another process has one, unless that may be the process before this one.
    pub(super) fn open(&self, address: SocketAddr, follows_another: bool) -> io::Result<Bound> {
        let mut open = self.lock();
        // One for all addresses is in the way of the others.
        let is_ours = open.keys().any(|ours| ours.port() == address.port());
        if !is_ours && !follows_another {
            bind(address, false)?;
        }
        let socket = UdpSocket::from_std(bind(address, true)?.into())?;
        *open.entry(address).or_default() += 1;
        Ok(Bound { socket, address, sockets: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, usize>> {
        // Nothing that is done under the lock can fail half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut open = self.sockets.lock();
        let left = open.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            open.remove(&self.address);
        } else {
            open.insert(self.address, left);
        }
    }
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn workers_share_an_address_and_another_process_does_not() {
        let address = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
        // Each as if it was another process.
        let (ours, theirs) = (Sockets::default(), Sockets::default());
        let first = ours.open(address, false).unwrap();
        let second = ours.open(address, false).unwrap();
        assert_eq!(theirs.open(address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(theirs.open(address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // One that takes over has it at the same time, for a while.
        let next = theirs.open(address, true).unwrap();
        drop(second);
        assert_eq!(ours.open(address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(next);
        ours.open(address, false).unwrap();
    }
}
