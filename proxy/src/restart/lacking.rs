//! What a configuration that is in force still lacks, by name: a process that lacks more than the one before it would serve worse.

use std::collections::BTreeSet;

use crate::config::{ConfigStatus, ListenerState};

/// Listeners that cannot be served in their newest version, or not by all workers yet, secrets that are missing, clusters whose endpoints are not known.
pub(super) fn lacking(status: &ConfigStatus) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for listener in &status.listeners {
        match &listener.state {
            ListenerState::Active if listener.is_everywhere => {}
            ListenerState::Active => drop(names.insert(format!("listener {} on all workers", listener.name))),
            ListenerState::WaitingForSecrets(secrets) => {
                names.extend(secrets.iter().map(|secret| format!("secret {secret} of listener {}", listener.name)));
            }
            // Why, the log has said.
            ListenerState::Failed(_) => drop(names.insert(format!("listener {}", listener.name))),
        }
    }
    let unknown = status.clusters.iter().filter(|cluster| cluster.endpoints.is_none());
    names.extend(unknown.map(|cluster| format!("endpoints of cluster {}", cluster.name)));
    names
}
