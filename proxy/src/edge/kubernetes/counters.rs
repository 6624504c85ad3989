//! Counters of what is written into a cluster.

use crate::telemetry::counter::counters;

counters! {
    /// `kubernetes.*`.
    pub struct KubernetesCounters {
        /// Objects written or removed.
        writes: Counter,
        /// Those that could not be.
        writes_failed: Counter,
        /// Services of other edges that are not taken because something in the cluster is in their way.
        conflicts: Gauge,
    }
}
