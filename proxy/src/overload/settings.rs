//! What is watched and what follows, and what holds where nobody said anything.

use std::time::Duration;

use super::action::{Action, Monitor, Trigger, TriggeredAction};
use super::connections::ConnectionLimitSettings;
use crate::http::MinimumRate;

/// Everything about overload that is fixed for the life of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverloadSettings {
    /// How many connections there may be.
    pub connections: ConnectionLimitSettings,
    /// What clients must send and take of bodies, if anything.
    pub minimum_rate: Option<MinimumRate>,
    /// What memory in use leads to.
    pub manager: OverloadManagerSettings,
}

/// `envoy.config.overload.v3.OverloadManager`.
#[derive(Clone, Debug, PartialEq)]
pub struct OverloadManagerSettings {
    /// Between measurements.
    pub refresh_interval: Duration,
    /// What is measured.
    pub monitors: Vec<Monitor>,
    /// What follows.
    pub actions: Vec<TriggeredAction>,
}

/// What Envoy's documentation recommends for an edge; its own default is 1 s.
const REFRESH_INTERVAL: Duration = Duration::from_millis(250);

/// First connections go that do nothing, then requests are refused, and last what would only wait for nothing is not let in.
const DEFAULT_ACTIONS: &[(Action, f64)] = &[
    (Action::DisableHttpKeepalive, 0.90),
    (Action::StopAcceptingRequests, 0.95),
    (Action::StopAcceptingConnections, 0.98),
];

impl OverloadManagerSettings {
    /// The usual actions for one monitor.
    pub fn watching(monitor: Monitor) -> Self {
        let of = |&(action, threshold): &(Action, f64)| TriggeredAction {
            action,
            triggers: vec![(monitor.name(), Trigger::Threshold(threshold))],
        };
        Self {
            refresh_interval: REFRESH_INTERVAL,
            monitors: vec![monitor],
            actions: DEFAULT_ACTIONS.iter().map(of).collect(),
        }
    }
}

impl Default for OverloadManagerSettings {
    /// Watches the memory of the control group, which does nothing where it has no limit. Otherwise the kernel would kill the
    /// process, and with it all that it serves.
    fn default() -> Self {
        Self::watching(Monitor::CgroupMemory { max_memory_bytes: None })
    }
}
