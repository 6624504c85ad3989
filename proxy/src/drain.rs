//! How the process ends: one place that says how far a drain has come, told to everything that has to act on it.
//!
//! SIGTERM and SIGINT run a drain from beginning to end; `/drain_listeners` and `/drain` only move the phase (`/quitquitquit` ends the
//! process at once). Readiness fails first, so that load balancers look elsewhere; connections are still accepted for
//! `terminationDrainDuration`, or for the minimum where the last connection ends the process. What is open at the end is closed.
//!
//! A process that takes over from another one begins before that, and one that was taken over from ends differently: `restart` moves
//! the phase then.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::bootstrap::DrainSettings;

/// How often the number of open connections is looked at while a drain waits for it to reach zero.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How far a drain has come. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all: another process still serves. Its sockets are held, and nothing is accepted yet.
    TakingOver,
    /// Not at all.
    Serving,
    /// Not ready any more. Open connections end with their next response; new ones are still accepted.
    Draining,
    /// Nothing is accepted any more.
    Closing,
    /// Another process accepts in our place. Open connections end with their next response.
    HandedOver,
}

/// Moves the phase forward.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: watch::Sender<Phase>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }
}

impl Drain {
    /// In a process that has to wait for another one.
    pub fn taking_over() -> Self {
        Self { phase: watch::Sender::new(Phase::TakingOver) }
    }

    /// For those who act on it.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Moves forward; never back.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let forward = phase > *current;
            if forward {
                *current = phase;
            }
            forward
        });
    }

    /// Drains as Istio's agent does: returns when the process may go. `open` counts open connections.
    pub async fn run(&self, settings: &DrainSettings, open: impl Fn() -> u64) {
        let begin = Instant::now();
        self.advance(Phase::Draining);
        if !settings.exit_on_zero_active_connections {
            tokio::time::sleep(settings.termination_drain_duration).await;
            self.advance(Phase::Closing);
            return;
        }
        tokio::time::sleep(settings.minimum_drain_duration).await;
        self.advance(Phase::Closing);
        let end = begin + settings.drain_duration.max(settings.minimum_drain_duration);
        while open() > 0 && Instant::now() < end {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The drain after another process has taken over: returns when nothing is open any more, at the latest after `drainDuration`,
    /// which Istio has for this purpose. `open` counts open connections, and what may still accept some.
    pub async fn run_after_hand_over(&self, settings: &DrainSettings, open: impl Fn() -> u64) {
        self.advance(Phase::HandedOver);
        let end = Instant::now() + settings.drain_duration;
        while open() > 0 && Instant::now() < end {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn settings(exit_on_zero: bool) -> DrainSettings {
        DrainSettings {
            drain_duration: Duration::from_secs(45),
            termination_drain_duration: Duration::from_secs(5),
            exit_on_zero_active_connections: exit_on_zero,
            minimum_drain_duration: Duration::from_secs(3),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_termination_drain_duration_is_waited_out() {
        let (drain, begin) = (Drain::default(), Instant::now());
        drain.run(&settings(false), || 1).await;
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert_eq!(drain.phase(), Phase::Closing);
    }

    #[tokio::test(start_paused = true)]
    async fn with_exit_on_zero_the_last_connection_ends_it_but_not_before_the_minimum() {
        let (drain, begin) = (Drain::default(), Instant::now());
        drain.run(&settings(true), || 0).await;
        assert_eq!(begin.elapsed().as_secs(), 3);

        let (drain, begin, polls) = (Drain::default(), Instant::now(), AtomicU64::new(0));
        drain.run(&settings(true), || u64::from(polls.fetch_add(1, Ordering::Relaxed) < 100)).await;
        assert_eq!(begin.elapsed().as_secs(), 13);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_ends_is_given_the_drain_duration() {
        let (drain, begin) = (Drain::default(), Instant::now());
        drain.run(&settings(true), || 1).await;
        assert_eq!(begin.elapsed().as_secs(), 45);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_hand_over_the_last_connection_ends_it_whatever_the_settings_are() {
        for (exit_on_zero, polls_with_open, seconds) in [(false, 20, 2), (true, 20, 2), (false, u64::MAX, 45)] {
            let (drain, begin, polls) = (Drain::taking_over(), Instant::now(), AtomicU64::new(0));
            let open = || u64::from(polls.fetch_add(1, Ordering::Relaxed) < polls_with_open);
            drain.run_after_hand_over(&settings(exit_on_zero), open).await;
            assert_eq!((begin.elapsed().as_secs(), drain.phase()), (seconds, Phase::HandedOver));
        }
    }

    #[test]
    fn a_phase_never_goes_back() {
        let drain = Drain::default();
        drain.advance(Phase::Closing);
        drain.advance(Phase::Draining);
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
