//! What keeps the process alive when there is too much of everything: limits of connections, and actions that follow from how
//! much memory is in use. Names and meanings are those of Envoy's overload manager (`envoy.config.overload.v3`).
//!
//! [`monitor`] measures, on the thread of control, and says which actions are active; every worker reads that with one load
//! ([`Overload::is_active`], [`Overload::sheds`]). Who acts: accepting ([`crate::listener`]) and the connection manager
//! ([`crate::http`]).

mod action;
mod connections;
mod counters;
mod memory;
mod monitor;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub use action::{Action, Monitor, Trigger, TriggeredAction};
pub use connections::{ConnectionLimitSettings, ConnectionLimits, Full, Place, SourcePermit};
pub use memory::MemoryFiles;
pub use monitor::watch_memory;
pub use settings::{OverloadManagerSettings, OverloadSettings};

use self::counters::ActionCounters;
use crate::telemetry::counter::Registry;
use crate::worker::random::Random;

/// The state of an action that is wholly active.
const SATURATED: u32 = 1_000_000;

/// The overload of the process, as all workers see it.
#[derive(Debug)]
pub struct Overload {
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// How far each action is active, in millionths.
    states: [AtomicU32; Action::ALL.len()],
    counters: [Arc<ActionCounters>; Action::ALL.len()],
    /// Since when accepting has stopped.
    stopped: watch::Sender<Option<Instant>>,
    /// Since when connections of HTTP are to end.
    keepalive_disabled: watch::Sender<Option<Instant>>,
}

impl Overload {
    /// With these limits, and no action active.
    pub fn new(connections: &ConnectionLimitSettings, registry: &Registry) -> Self {
        Self {
            connections: ConnectionLimits::new(connections),
            states: Default::default(),
            counters: Action::ALL
                .map(|action| registry.register(ActionCounters::new(format!("overload.{}.", action.name())))),
            stopped: watch::Sender::new(None),
            keepalive_disabled: watch::Sender::new(None),
        }
    }

    /// Whether an action is wholly active.
    pub fn is_active(&self, action: Action) -> bool {
        self.state(action) == SATURATED
    }

    /// Whether an action applies to one case out of many: always if it is wholly active, else as often as it is active in part.
    pub fn sheds(&self, action: Action, random: &Random) -> bool {
        match self.state(action) {
            0 => false,
            SATURATED => true,
            state => random.below(SATURATED.into()) < state.into(),
        }
    }

    /// Says how far an action is active, from 0 to 1; `because` of what, for the log.
    pub fn set(&self, action: Action, share: f64, because: &str) {
        // The share is between 0 and 1, so the cast keeps the value.
        let state = (share.clamp(0.0, 1.0) * f64::from(SATURATED)) as u32;
        let before = self.states.get(action as usize).map(|cell| cell.swap(state, Ordering::Relaxed));
        if let Some(counters) = self.counters.get(action as usize) {
            counters.active.set(u64::from(state == SATURATED));
            counters.scale_percent.set((u64::from(state) * 100).div_ceil(SATURATED.into()));
        }
        if before.is_some_and(|before| (before == SATURATED) != (state == SATURATED)) {
            let now = if state == SATURATED { "is active" } else { "is over" };
            tracing::warn!("overload: {} {now}: {because}", action.name());
        }
        let told = match action {
            Action::StopAcceptingConnections => &self.stopped,
            Action::DisableHttpKeepalive => &self.keepalive_disabled,
            Action::StopAcceptingRequests | Action::RejectIncomingConnections => return,
        };
        let active = state == SATURATED;
        told.send_if_modified(|since| {
            let is_new = since.is_some() != active;
            if is_new {
                *since = active.then(Instant::now);
            }
            is_new
        });
    }

    /// For how long nobody has been accepted.
    pub fn stopped_for(&self) -> Duration {
        self.stopped.borrow().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Told when connections of HTTP are to end, all of them, and when that is over: since when they are.
    pub fn keepalive_disabled(&self) -> watch::Receiver<Option<Instant>> {
        self.keepalive_disabled.subscribe()
    }

    /// Returns when connections may be accepted, which is at once unless accepting has stopped.
    pub async fn accepting(&self) {
        if self.is_active(Action::StopAcceptingConnections) {
            // The sender is ours, so this does not fail.
            let _ = self.stopped.subscribe().wait_for(Option::is_none).await;
        }
    }

    fn state(&self, action: Action) -> u32 {
        self.states.get(action as usize).map_or(0, |state| state.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overload(registry: &Registry) -> Overload {
        Overload::new(&ConnectionLimitSettings::default(), registry)
    }

    #[test]
    fn an_action_in_part_sheds_in_part() {
        let (overload, random) = (overload(&Registry::default()), Random::new());
        let action = Action::DisableHttpKeepalive;
        let shed = |overload: &Overload| (0..1000).filter(|_| overload.sheds(action, &random)).count();
        assert_eq!((shed(&overload), overload.is_active(action)), (0, false));
        overload.set(action, 0.5, "a test");
        // 500 are expected, with a standard deviation of 16.
        assert!((400..600).contains(&shed(&overload)) && !overload.is_active(action));
        overload.set(action, 1.0, "a test");
        assert_eq!((shed(&overload), overload.is_active(action)), (1000, true));
        assert!(!overload.is_active(Action::StopAcceptingRequests), "each has a state of its own");
    }

    #[test]
    fn what_is_active_can_be_seen() {
        let registry = Registry::default();
        let overload = overload(&registry);
        let shown = |name: &str| {
            registry.collect()[&format!("overload.envoy.overload_actions.stop_accepting_requests.{name}")].1
        };
        overload.set(Action::StopAcceptingRequests, 0.25, "a test");
        assert_eq!((shown("active"), shown("scale_percent")), (0, 25));
        overload.set(Action::StopAcceptingRequests, 2.0, "a test");
        assert_eq!((shown("active"), shown("scale_percent")), (1, 100));
    }

    #[tokio::test]
    async fn accepting_goes_on_when_it_may() {
        let overload = Arc::new(overload(&Registry::default()));
        overload.accepting().await;
        overload.set(Action::StopAcceptingConnections, 1.0, "a test");
        let waiting = tokio::spawn({
            let overload = overload.clone();
            async move { overload.accepting().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        overload.set(Action::StopAcceptingConnections, 0.9, "a test");
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_known_for_how_long_nobody_has_been_accepted() {
        let overload = overload(&Registry::default());
        for _ in 0..3 {
            overload.set(Action::StopAcceptingConnections, 1.0, "a test");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(overload.stopped_for(), Duration::from_secs(3));
        overload.set(Action::StopAcceptingConnections, 0.9, "a test");
        assert_eq!(overload.stopped_for(), Duration::ZERO);
    }
}
