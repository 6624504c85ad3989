//! What can be seen of the overload.

use crate::telemetry::counter::counters;

counters! {
    /// `overload.<action>.*`, as Envoy names them.
    pub(super) struct ActionCounters {
        /// 1 while the action is wholly active.
        active: Gauge,
        /// How far it is active, percent.
        scale_percent: Gauge,
    }
}

counters! {
    /// `overload.<monitor>.*`, as Envoy names them.
    pub(super) struct MonitorCounters {
        /// Use of the resource, percent.
        pressure: Gauge,
        /// Times that it could not be measured.
        failed_updates: Counter,
    }
}
