//! Why there is no ring.

use std::io;

use rustix::io::Errno;

/// Why the kernel gives us no ring, in words for the one who runs it.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is no such system call.
    #[error("this kernel has no io_uring, or a seccomp profile hides it (as those of container runtimes do): {0}")]
    Missing(io::Error),
    /// It is there, but not for us.
    #[error(
        "io_uring is not permitted: by kernel.io_uring_disabled (sysctl), a seccomp profile or a security module: {0}"
    )]
    NotPermitted(io::Error),
    /// It lacks what is needed.
    #[error("this kernel's io_uring is too old: Linux 6.1 is needed: {0}")]
    TooOld(io::Error),
    /// It may not have the memory.
    #[error(
        "the memory of a ring is not granted: RLIMIT_MEMLOCK (ulimit -l) or the memory of the container is too small: {0}"
    )]
    Memory(io::Error),
    /// Another reason.
    #[error("the kernel gives no io_uring: {0}")]
    Other(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSYS) => Self::Missing(error),
            Some(Errno::PERM | Errno::ACCESS) => Self::NotPermitted(error),
            Some(Errno::INVAL | Errno::OPNOTSUPP) => Self::TooOld(error),
            Some(Errno::NOMEM) => Self::Memory(error),
            _ => Self::Other(error),
        }
    }
}

impl From<Errno> for Unavailable {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_what_can_be_done() {
        for (errno, words) in [
            (Errno::NOSYS, "seccomp"),
            (Errno::PERM, "kernel.io_uring_disabled"),
            (Errno::INVAL, "Linux 6.1"),
            (Errno::NOMEM, "RLIMIT_MEMLOCK"),
            (Errno::MFILE, "open files"),
        ] {
            let said = Unavailable::from(errno).to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
