//! Telling systemd, or whoever started the process, that it serves (`Type=notify`, sd_notify(3)).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket; starts with `@` if it is not in the file system.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that the process serves. Does nothing where nobody asked for it.
pub fn notify_ready() {
    let Some(name) = std::env::var_os(VARIABLE) else { return };
    let send = || -> io::Result<()> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(b"READY=1", &address).map(drop)
    };
    if let Err(error) = send() {
        tracing::warn!("cannot tell the service manager behind {}: {error}", name.display());
    }
}
