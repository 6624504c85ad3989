//! Listening sockets: one per worker and address, bound by control so that an error is reported where an operator looks.
//!
//! The kernel spreads connections over the sockets (`SO_REUSEPORT`, socket(7)). A socket stays open across configuration changes for as
//! long as a listener uses its address, so that no connection in its queue is lost; `restart` hands it on to the next process.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashbrown::{HashMap, HashSet};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted, per worker; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The sockets of one address.
#[derive(Debug)]
pub struct ListeningSockets {
    address: SocketAddr,
    workers: usize,
    /// Each worker has those whose position it is, modulo the number of workers. Empty once another process has taken over.
    sockets: Mutex<Vec<TcpListener>>,
    /// Another process holds them, too.
    shared: AtomicBool,
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
        let mut sockets = Vec::with_capacity(workers);
        for _ in 0..workers {
            let socket = bind(address, true)?;
            socket.listen(BACKLOG)?;
            let socket = TcpListener::from(socket);
            address = socket.local_addr()?;
            sockets.push(socket);
        }
        Ok(Self::of(address, sockets, workers))
    }

    /// Goes on with the sockets of another process. Every one of them is kept, even if there are more than workers: closing one resets
    /// the connections that wait in its queue. Where there are fewer, more are bound, or, where that is not allowed, shared by workers;
    /// without descriptors for that the first workers do it alone.
    pub fn adopt(address: SocketAddr, inherited: Vec<TcpListener>, workers: usize) -> Self {
        let mut sockets = inherited;
        for position in 0..workers.saturating_sub(sockets.len()) {
            // It takes part in the spreading only when it listens, see `open`: until then nobody would accept from it.
            let bound = bind(address, true).map(TcpListener::from);
            let Some(socket) = bound.ok().or_else(|| sockets.get(position)?.try_clone().ok()) else { break };
            sockets.push(socket);
        }
        Self::of(address, sockets, workers)
    }

    fn of(address: SocketAddr, sockets: Vec<TcpListener>, workers: usize) -> Self {
        Self { address, workers, sockets: Mutex::new(sockets), shared: AtomicBool::new(false) }
    }

    /// Where they listen; a port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A worker's own sockets, for [`Self::open`].
    pub fn slots(&self, worker: usize) -> impl Iterator<Item = usize> + use<> {
        (worker..lock(&self.sockets).len()).step_by(self.workers.max(1))
    }

    /// A handle of a socket, which listens from now on.
    ///
    /// # Errors
    /// No descriptor is left, or there is no such socket.
    pub fn open(&self, slot: usize) -> io::Result<TcpListener> {
        let socket = lock(&self.sockets).get(slot).ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    }

    /// Handles of all.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn handles(&self) -> io::Result<Vec<TcpListener>> {
        lock(&self.sockets).iter().map(TcpListener::try_clone).collect()
    }

    /// Whether another process holds them, too: whoever waits in their queues is its client.
    pub fn are_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
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
    Ok(socket)
}

/// The sockets in use, by address. Clones are the same table.
#[derive(Debug, Default, Clone)]
pub struct SocketTable(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    open: HashMap<SocketAddr, Weak<ListeningSockets>>,
    /// Of the process before, and not used yet.
    inherited: HashMap<SocketAddr, Vec<TcpListener>>,
    handed_over: bool,
}

impl SocketTable {
    /// One that uses the sockets of another process before it binds any.
    pub fn inheriting(sockets: impl IntoIterator<Item = (SocketAddr, TcpListener)>) -> Self {
        let mut table = Table::default();
        for (address, socket) in sockets {
            table.inherited.entry(address).or_default().push(socket);
        }
        Self(Arc::new(Mutex::new(table)))
    }

    /// The sockets of an address: those that are open, or new ones.
    ///
    /// # Errors
    /// As [`ListeningSockets::bind`].
    pub fn get(&self, address: SocketAddr, workers: usize) -> io::Result<Arc<ListeningSockets>> {
        let mut table = lock(&self.0);
        if let Some(open) = table.open.get(&address).and_then(Weak::upgrade) {
            return Ok(open);
        }
        let sockets = match table.inherited.remove(&address) {
            // A new address is up to the process that has taken over.
            _ if table.handed_over => ListeningSockets::of(address, Vec::new(), workers),
            Some(inherited) => ListeningSockets::adopt(address, inherited, workers),
            None => ListeningSockets::bind(address, workers)?,
        };
        let sockets = Arc::new(sockets);
        table.open.insert(address, Arc::downgrade(&sockets));
        table.open.retain(|_, sockets| sockets.strong_count() > 0);
        Ok(sockets)
    }

    /// Those in use.
    pub fn open(&self) -> Vec<Arc<ListeningSockets>> {
        lock(&self.0).open.values().filter_map(Weak::upgrade).collect()
    }

    /// Handles of what was inherited and is not in use.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn unused_handles(&self) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
        let table = lock(&self.0);
        let unused =
            table.inherited.iter().flat_map(|(address, sockets)| sockets.iter().map(move |socket| (*address, socket)));
        unused.map(|(address, socket)| Ok((address, socket.try_clone()?))).collect()
    }

    /// Takes out what was inherited and is not in use; from now on new sockets are bound for these addresses.
    pub fn take_unused(&self) -> Vec<TcpListener> {
        lock(&self.0).inherited.drain().flat_map(|(_, sockets)| sockets).collect()
    }

    /// Notes that another process holds these addresses' sockets too, and only these.
    pub fn share(&self, addresses: &HashSet<SocketAddr>) {
        for sockets in self.open() {
            sockets.shared.store(addresses.contains(&sockets.address), Ordering::Relaxed);
        }
    }

    /// Closes all handles but those of the workers, which the end of accepting closes: a socket that this process only held would
    /// fill its queue if the process that accepts from it died. Nothing is bound any more.
    pub fn hand_over(&self) {
        lock(&self.0).handed_over = true;
        drop(self.take_unused());
        for sockets in self.open() {
            lock(&sockets.sockets).clear();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves a half-made change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_even_for_the_same_user() {
        let first = ListeningSockets::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let error = ListeningSockets::bind(first.address(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn sockets_are_kept_while_used_and_closed_after() {
        let table = SocketTable::default();
        let probe = ListeningSockets::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let address = probe.address();
        drop(probe);
        let first = table.get(address, 1).unwrap();
        let second = table.get(address, 1).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert!(TcpStream::connect(address).is_err());
        assert!(table.get(address, 1).is_ok());
    }

    /// The sockets of an address in one process, and the same in the next one with that many workers.
    fn handed_on(before: usize, after: usize) -> (ListeningSockets, Arc<ListeningSockets>) {
        let old = ListeningSockets::bind(([127, 0, 0, 1], 0).into(), before).unwrap();
        let inherited = old.handles().unwrap().into_iter().map(|socket| (old.address(), socket));
        let new = SocketTable::inheriting(inherited).get(old.address(), after).unwrap();
        (old, new)
    }

    #[test]
    fn every_inherited_socket_has_a_worker() {
        for (before, after) in [(4, 1), (4, 3), (2, 2), (1, 3)] {
            let (_old, new) = handed_on(before, after);
            let mut slots: Vec<usize> = (0..after).flat_map(|worker| new.slots(worker)).collect();
            slots.sort_unstable();
            assert_eq!(slots, Vec::from_iter(0..before.max(after)), "{before} -> {after}");
            assert!((0..after).all(|worker| new.slots(worker).next().is_some()));
        }
    }

    #[test]
    fn what_waits_is_accepted_by_the_next_process_whatever_its_number_of_workers() {
        let (old, new) = handed_on(3, 1);
        let clients = Vec::from_iter((0..32).map(|_| TcpStream::connect(old.address()).unwrap()));
        drop(old);
        let accepted = new
            .slots(0)
            .map(|slot| new.open(slot).unwrap())
            .flat_map(|socket| std::iter::from_fn(move || socket.accept().ok()));
        assert_eq!(accepted.count(), clients.len());
    }

    #[test]
    fn an_additional_socket_gets_connections_only_once_it_is_open() {
        let (old, new) = handed_on(1, 4);
        let clients = Vec::from_iter((0..32).map(|_| TcpStream::connect(old.address()).unwrap()));
        let socket = old.open(0).unwrap();
        assert_eq!(std::iter::from_fn(|| socket.accept().ok()).count(), clients.len());
        let last = new.open(3).unwrap();
        let accepted = (0..1000).find_map(|_| {
            let client = TcpStream::connect(old.address()).unwrap();
            last.accept().ok().map(|accepted| (accepted, client))
        });
        assert!(accepted.is_some());
    }

    #[test]
    fn after_the_hand_over_nothing_is_held_or_bound() {
        let (old, new) = handed_on(1, 1);
        let address = new.address();
        drop((old, new));
        let table = SocketTable::default();
        let sockets = table.get(address, 1).unwrap();
        table.share(&HashSet::from([address]));
        assert!(sockets.are_shared());
        table.share(&HashSet::new());
        assert!(!sockets.are_shared());
        table.hand_over();
        assert!(TcpStream::connect(address).is_err());
        drop(sockets);
        assert_eq!(table.get(address, 1).unwrap().slots(0).count(), 0);
    }
}
