//! The limit on file descriptors, which is the limit on connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one. Shells and service managers keep the soft limit at 1024 for programs that
/// call `select`, which we never do; the hard limit is what the operator allows us.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        tracing::info!("limit of open files: {}", shown(current));
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::info!("limit of open files: was {}, is {}", shown(current), shown(maximum)),
        Err(error) => tracing::warn!(
            "limit of open files: stays at {}, cannot be raised to {}: {error}",
            shown(current),
            shown(maximum)
        ),
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
