//! Listening sockets: one per worker and address, bound by control so that an error is reported where an operator looks.
//!
//! The kernel spreads connections over the sockets (`SO_REUSEPORT`, socket(7)). A socket stays open across configuration changes for as
//! long as a listener uses its address, so that no connection in its queue is lost.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per worker; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The sockets of one address.
#[derive(Debug)]
pub struct ListeningSockets {
    address: SocketAddr,
    per_worker: Vec<TcpListener>,
}

impl ListeningSockets {
    /// Binds one socket for each worker.
    ///
    /// # Errors
    /// The address is in use or not ours, or the port is privileged.
    pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        // Without this check a second process could share the port unnoticed: SO_REUSEPORT allows it to the same user.
        drop(bind(address, false)?);
        let mut address = address;
        let mut per_worker = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = bind(address, true)?;
            address = socket.local_addr()?;
            per_worker.push(socket);
        }
        Ok(Self { address, per_worker })
    }

    /// Where they listen; a port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle of a worker's own socket.
    ///
    /// # Errors
    /// No descriptor is left, or there is no such worker.
    pub fn for_worker(&self, worker: usize) -> io::Result<TcpListener> {
        self.per_worker.get(worker).ok_or(io::ErrorKind::NotFound)?.try_clone()
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // istiod sends listeners for both families where both are wanted.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit it; small responses must not wait for acknowledgements.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// The sockets in use, by address.
#[derive(Debug, Default)]
pub struct SocketTable {
    open: HashMap<SocketAddr, Weak<ListeningSockets>>,
}

impl SocketTable {
    /// The sockets of an address: those that are open, or new ones.
    ///
    /// # Errors
    /// As [`ListeningSockets::bind`].
    pub fn get(&mut self, address: SocketAddr, workers: usize) -> io::Result<Arc<ListeningSockets>> {
        if let Some(open) = self.open.get(&address).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let sockets = Arc::new(ListeningSockets::bind(address, workers)?);
        self.open.insert(address, Arc::downgrade(&sockets));
        self.open.retain(|_, sockets| sockets.strong_count() > 0);
        Ok(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_even_for_the_same_user() {
        let first = ListeningSockets::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let error = ListeningSockets::bind(first.address(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn sockets_are_kept_while_used_and_closed_after() {
        let mut table = SocketTable::default();
        let probe = ListeningSockets::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let address = probe.address();
        drop(probe);
        let first = table.get(address, 1).unwrap();
        let second = table.get(address, 1).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(table.get(address, 1).is_ok());
    }
}
