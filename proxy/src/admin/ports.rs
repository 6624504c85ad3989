//! The listening sockets of the admin interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinSet;

use super::{Access, Admin, serve};
use crate::drain::Phase;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The sockets, bound and not served yet, or served.
#[derive(Debug, Default)]
pub struct Ports {
    bound: Mutex<Vec<(TcpListener, Access)>>,
    /// Of the process before; not used by this one.
    unused: Mutex<Vec<TcpListener>>,
}

impl Ports {
    /// Binds them; those of another process are used where they are the same.
    ///
    /// # Errors
    /// A port is taken.
    pub fn bind(wanted: &[(SocketAddr, Access)], inherited: Vec<(SocketAddr, TcpListener)>) -> anyhow::Result<Self> {
        let mut inherited = inherited;
        let mut bound = Vec::new();
        for (address, access) in wanted {
            let found = inherited.iter().position(|(inherited, _)| stands_for(*inherited, *address));
            let listener = match found {
                Some(position) => inherited.swap_remove(position).1,
                None => bind(*address).with_context(|| {
                    format!("cannot listen on {address} (admin interface); is another gateway running?")
                })?,
            };
            bound.push((listener, *access));
        }
        let unused = inherited.into_iter().map(|(_, socket)| socket).collect();
        Ok(Self { bound: Mutex::new(bound), unused: Mutex::new(unused) })
    }

    /// Serves them from the time on that this process serves at all, until another one does.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn serve(&self, admin: &Arc<Admin>, tasks: &mut JoinSet<()>) -> io::Result<()> {
        for (listener, access) in &*lock(&self.bound) {
            let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
            let (admin, access, mut phase) = (admin.clone(), *access, admin.drain.subscribe());
            tasks.spawn(async move {
                // The sender is in what we hold ourselves.
                drop(phase.wait_for(|phase| *phase >= Phase::Serving).await);
                tokio::select! {
                    () = serve(listener, access, admin) => {}
                    _ = phase.wait_for(|phase| *phase == Phase::HandedOver) => {}
                }
            });
        }
        Ok(())
    }

    /// Handles of all, with their addresses.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn handles(&self) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
        lock(&self.bound).iter().map(|(listener, _)| Ok((listener.local_addr()?, listener.try_clone()?))).collect()
    }

    /// Takes out the sockets of the process before that this one does not use.
    pub fn take_unused(&self) -> Vec<TcpListener> {
        std::mem::take(&mut lock(&self.unused))
    }

    /// Lets go of them. What serves them ends with the phase.
    pub fn close(&self) {
        lock(&self.bound).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves a half-made change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a socket is what [`bind`] makes for an address.
fn stands_for(socket: SocketAddr, address: SocketAddr) -> bool {
    let fallback = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    socket == address || (address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED) && socket == fallback)
}

/// `[::]` stands for all addresses of both families, as it does in Istio's agent, and for IPv4's where the kernel has no IPv6.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match listen(address) {
        Err(error) if no_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says: probes come over IPv4 as well.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The kernel was built or booted without IPv6, or it is switched off for this network namespace.
fn no_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}
