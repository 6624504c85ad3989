//! How long a connection may be without streams.

use std::task::{Context, Poll};
use std::time::Duration;

use super::connection::Connection;
use crate::worker::timer::Alarm;

/// Sets the alarm of a connection anew when its last stream has ended, and for as long as streams are open.
#[derive(Debug, Default)]
pub struct IdleTime {
    /// No stream is open, and the alarm is set.
    runs: bool,
}

impl IdleTime {
    /// Ready when the time is over, which `time` says: whether streams are open is its argument.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        connection: &Connection,
        alarm: &Alarm,
        time: impl FnOnce(bool) -> Option<Duration>,
    ) -> Poll<()> {
        let active = connection.active() > 0;
        if active || !self.runs {
            self.runs = !active;
            if !active {
                connection.rest();
            }
            alarm.set_after(time(active));
        }
        if alarm.deadline().is_none() { Poll::Pending } else { alarm.poll_elapsed(context) }
    }
}
