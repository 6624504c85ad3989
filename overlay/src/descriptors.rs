//! The file descriptors of the process that are not for who connects to it: so that whatever comes, it can dial, write its files, and be asked.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, getrlimit};

/// Of this many descriptors one is kept, up to [`MOST_KEPT`].
const KEPT_SHARE: u64 = 16;
const MOST_KEPT: u64 = 64;

/// The first of the descriptors that are kept, as the limit is now (prlimit(1) may change it).
pub fn first_kept() -> u64 {
    getrlimit(Resource::Nofile).current.map_or(u64::MAX, first_kept_of)
}

fn first_kept_of(limit: u64) -> u64 {
    limit - (limit / KEPT_SHARE).min(MOST_KEPT)
}

/// Whether a connection has a descriptor that is kept, and is to be closed. The kernel gives out the lowest that is free.
pub fn is_kept(connection: &impl AsRawFd, first_kept: u64) -> bool {
    u64::try_from(connection.as_raw_fd()).is_ok_and(|descriptor| descriptor >= first_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_is_kept_and_no_more_than_so_many() {
        assert_eq!([8, 64, 1024, 1 << 20].map(|limit| limit - first_kept_of(limit)), [0, 4, 64, 64]);
    }

    #[test]
    fn what_is_above_the_first_kept_one_is_kept() {
        let descriptor = u64::try_from(2).unwrap();
        assert!(!is_kept(&std::io::stderr(), descriptor + 1) && is_kept(&std::io::stderr(), descriptor));
    }
}
