//! Log lines about connections that are closed because a limit is reached. The counters have all of them.

use std::net::IpAddr;

use crate::overload::ConnectionLimitSettings;
use crate::telemetry::seldom::Seldom;
use crate::worker::Core;

/// Why a new connection is closed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reached {
    /// The listener has enough.
    Listener,
    /// All listeners together have enough.
    Global,
    /// This source has enough.
    Source(IpAddr),
    /// The overload manager rejects new connections.
    Overload,
}

/// The lines of one listener on one worker, each kind once in a minute.
#[derive(Debug, Default)]
pub(super) struct LimitWarnings {
    listener: Seldom,
    global: Seldom,
    source: Seldom,
    overload: Seldom,
}

impl LimitWarnings {
    /// A connection of `listener` is closed.
    pub(super) fn closed(&self, listener: &str, reached: Reached, core: &Core) {
        let kind = match reached {
            Reached::Listener => &self.listener,
            Reached::Global => &self.global,
            Reached::Source(_) => &self.source,
            Reached::Overload => &self.overload,
        };
        let Some(count) = kind.happened(core.io.clock.now()) else { return };
        let settings = core.process.overload.connections.settings();
        let limit = limit(settings, listener, reached).unwrap_or_default();
        match reached {
            Reached::Listener => {
                tracing::warn!(
                    listener,
                    limit,
                    count,
                    "new connections are closed: the listener has as many as it may"
                );
            }
            Reached::Global => {
                tracing::warn!(
                    listener,
                    limit,
                    count,
                    "new connections are closed: all listeners together have as many as they may"
                );
            }
            Reached::Source(source) => {
                tracing::warn!(listener, limit, count, %source, "a connection is closed: its source has as many as it may");
            }
            Reached::Overload => tracing::warn!(listener, count, "new connections are closed: overload"),
        }
    }
}

fn limit(settings: &ConnectionLimitSettings, listener: &str, reached: Reached) -> Option<u32> {
    match reached {
        Reached::Listener => settings.listeners.get(listener).copied().or(settings.listener),
        Reached::Global => settings.global,
        Reached::Source(_) => settings.source,
        Reached::Overload => None,
    }
}
