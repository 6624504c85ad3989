//! What an error of accept(2) means.

use std::io;

use rustix::io::Errno;

/// What an error of accept(2) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// It concerns the connection that would have been accepted.
    Connection,
    /// No descriptor or no memory is left; there may be some later.
    Resources,
    /// The socket is of no use.
    Permanent,
}

/// accept(2) reports errors of the new connection's network as its own.
pub(super) fn classify(error: &io::Error) -> AcceptError {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => AcceptError::Resources,
        Some(Errno::BADF | Errno::FAULT | Errno::INVAL | Errno::NOTSOCK) => AcceptError::Permanent,
        _ => AcceptError::Connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_classes() {
        let class = |errno: Errno| classify(&errno.into());
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::PERM, Errno::NETDOWN, Errno::HOSTUNREACH] {
            assert_eq!(class(errno), AcceptError::Connection, "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(class(errno), AcceptError::Resources, "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(class(errno), AcceptError::Permanent, "{errno}");
        }
    }
}
