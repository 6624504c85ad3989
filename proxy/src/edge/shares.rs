//! What other edges may take of the descriptors that the process may have, so that some are left for everything else: links, calls and flows have as much each.

use overlay::node::Limits;
use rustix::process::{Resource, getrlimit};

/// The part of the descriptors that one kind of them has, on all workers together.
const PART: u64 = 16;
/// Of the links that an edge takes, an edge may have this part: there may be others.
const PART_OF_PEER: usize = 4;
/// Links of one peer that there are room for in any case: those from all `uplinks`, of two processes, one of which takes over. An edge has no more than half
/// of all links with edges, nevertheless (`links_per_edge`).
const LINKS_OF_PEER: usize = 16;

/// How many of a kind a worker may have, of so many workers: `most` where there are descriptors enough.
pub(super) fn share(workers: usize, most: usize) -> usize {
    share_of(getrlimit(Resource::Nofile).current, workers, most)
}

/// The bounds of a worker's node, of so many workers.
pub(super) fn limits(workers: usize) -> Limits {
    limits_of(getrlimit(Resource::Nofile).current, workers)
}

/// Of so many descriptors; there may be no end of them.
fn share_of(descriptors: Option<u64>, workers: usize, most: usize) -> usize {
    let part = descriptors.and_then(|all| usize::try_from(all / PART).ok());
    part.map_or(most, |part| (part / workers.max(1)).clamp(1, most))
}

fn limits_of(descriptors: Option<u64>, workers: usize) -> Limits {
    let limits = Limits::default();
    let links_per_tenant = share_of(descriptors, workers, limits.links_per_tenant);
    Limits {
        links_per_tenant,
        links_per_peer: (links_per_tenant / PART_OF_PEER).clamp(LINKS_OF_PEER, limits.links_per_peer),
        handshakes: share_of(descriptors, workers, limits.handshakes),
        ..limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_workers_have_of_one_edge_leaves_descriptors_for_others() {
        let of_one_worker = [None, Some(1 << 20), Some(1 << 16), Some(1024), Some(0)];
        assert_eq!(of_one_worker.map(|all| share_of(all, 1, 4_096)), [4_096, 4_096, 4_096, 64, 1]);
        assert_eq!([1, 4, 64, 128].map(|workers| share_of(Some(1024), workers, 4_096)), [64, 16, 1, 1]);
        assert_eq!(share_of(Some(1 << 20), 64, 4_096), 1_024);
    }

    #[test]
    fn links_and_handshakes_of_all_workers_leave_descriptors_for_others() {
        let bounds = |descriptors, workers| {
            let limits = limits_of(descriptors, workers);
            [limits.links_per_tenant, limits.links_per_edge(), limits.handshakes]
        };
        assert_eq!(bounds(None, 4), [4_096, 128, 256]);
        assert_eq!(bounds(Some(1 << 20), 4), [4_096, 128, 256]);
        assert_eq!(bounds(Some(1 << 16), 16), [256, 64, 256]);
        assert_eq!(bounds(Some(1024), 1), [64, 16, 64]);
        assert_eq!(bounds(Some(1024), 4), [16, 8, 16]);
        assert_eq!(bounds(Some(1024), 16), [4, 2, 4]);
        assert_eq!(bounds(Some(1024), 64), [1, 1, 1]);
        let hubs = |workers| limits_of(Some(1024), workers).links_per_peer;
        assert_eq!([1, 4, 64].map(hubs), [LINKS_OF_PEER; 3], "links to hubs are few, and needed");
    }
}
