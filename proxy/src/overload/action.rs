//! Resources that are watched, actions, and when they follow.

/// What is done against overload. Workers read their states by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connections of HTTP close, idle ones at once and others with their next answer, so that they do not keep their memory.
    DisableHttpKeepalive,
    /// Requests are answered with 503.
    StopAcceptingRequests,
    /// Connections wait in the kernel.
    StopAcceptingConnections,
    /// Connections are accepted and closed at once.
    RejectIncomingConnections,
}

impl Action {
    /// All of them, by index.
    pub const ALL: [Self; 4] = [
        Self::DisableHttpKeepalive,
        Self::StopAcceptingRequests,
        Self::StopAcceptingConnections,
        Self::RejectIncomingConnections,
    ];

    /// Envoy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DisableHttpKeepalive => "envoy.overload_actions.disable_http_keepalive",
            Self::StopAcceptingRequests => "envoy.overload_actions.stop_accepting_requests",
            Self::StopAcceptingConnections => "envoy.overload_actions.stop_accepting_connections",
            Self::RejectIncomingConnections => "envoy.overload_actions.reject_incoming_connections",
        }
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// A resource whose use is watched. Its pressure is the share of its limit that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monitor {
    /// `envoy.resource_monitors.fixed_heap`: memory of this process, resident.
    FixedHeap {
        /// Its limit, bytes.
        max_heap_size_bytes: u64,
    },
    /// `envoy.resource_monitors.cgroup_memory`: memory of our control group that cannot be taken back, which includes that of
    /// sockets and leaves out the cache of files and of the file system.
    CgroupMemory {
        /// Its limit, bytes; the control group's own if it has a smaller one.
        max_memory_bytes: Option<u64>,
    },
}

impl Monitor {
    /// Envoy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedHeap { .. } => "envoy.resource_monitors.fixed_heap",
            Self::CgroupMemory { .. } => "envoy.resource_monitors.cgroup_memory",
        }
    }
}

/// How far a pressure makes an action active.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger {
    /// Wholly, from this pressure on.
    Threshold(f64),
    /// In part from one pressure on, wholly from another.
    Scaled {
        /// Not at all up to this.
        scaling: f64,
        /// Wholly from this on.
        saturation: f64,
    },
}

impl Trigger {
    /// From 0 to 1.
    pub fn share(self, pressure: f64) -> f64 {
        match self {
            Self::Threshold(threshold) => f64::from(u8::from(pressure >= threshold)),
            Self::Scaled { saturation, .. } if pressure >= saturation => 1.0,
            Self::Scaled { scaling, .. } if pressure <= scaling => 0.0,
            Self::Scaled { scaling, saturation } => (pressure - scaling) / (saturation - scaling),
        }
    }
}

/// An action and what makes it active: any one of its triggers, each with the name of a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggeredAction {
    /// What is done.
    pub action: Action,
    /// When.
    pub triggers: Vec<(&'static str, Trigger)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_follow_the_pressure() {
        let threshold = Trigger::Threshold(0.9);
        assert_eq!([0.0, 0.89, 0.9, 7.0].map(|pressure| threshold.share(pressure)), [0.0, 0.0, 1.0, 1.0]);
        let scaled = Trigger::Scaled { scaling: 0.5, saturation: 0.75 };
        assert_eq!([0.4, 0.5, 0.625, 0.75, 1.2].map(|pressure| scaled.share(pressure)), [0.0, 0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn the_index_of_an_action_is_its_place() {
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!((action as usize, Action::named(action.name())), (index, Some(action)));
        }
        assert_eq!(Action::named("envoy.overload_actions.made_up"), None);
    }
}
