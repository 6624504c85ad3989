//! PINGs that find out whether the peer is still there.

use std::rc::Rc;
use std::task::{Context, Poll};

use xds_model::http2::Http2Keepalive;

use super::connection::Connection;
use crate::worker::Core;
use crate::worker::timer::Alarm;

/// Sends PINGs at regular times, and sees to their answers (Envoy, `connection_keepalive`).
#[derive(Debug)]
pub struct Keepalive {
    settings: Http2Keepalive,
    alarm: Alarm,
    /// Answers so far when the PING was sent that waits for its own.
    waiting: Option<u64>,
}

impl Keepalive {
    /// `None` if there is nothing to do.
    pub fn new(settings: Option<Http2Keepalive>, core: &Rc<Core>) -> Option<Self> {
        let settings = settings.filter(|settings| settings.interval.is_some())?;
        let keepalive = Self { settings, alarm: Alarm::new(&core.timers), waiting: None };
        keepalive.rest(core);
        Some(keepalive)
    }

    /// Ready when the peer has not answered in time.
    pub fn poll(&mut self, context: &mut Context<'_>, connection: &Connection, core: &Rc<Core>) -> Poll<()> {
        loop {
            let answers = connection.state.borrow().pongs;
            if self.waiting.is_some_and(|before| answers > before) {
                self.waiting = None;
                self.rest(core);
            }
            if self.alarm.poll_elapsed(context).is_pending() {
                return Poll::Pending;
            }
            if self.waiting.is_some() {
                return Poll::Ready(());
            }
            connection.ping();
            self.waiting = Some(answers);
            self.alarm.set_after(Some(self.settings.timeout));
        }
    }

    /// Until the next PING, which does not come with those of all other connections.
    fn rest(&self, core: &Rc<Core>) {
        let Some(interval) = self.settings.interval else { return };
        let share = core.random.next() % (u64::from(self.settings.interval_jitter) + 1);
        let jitter = interval.mul_f64(share as f64 / 100.0);
        self.alarm.set_after(Some(interval + jitter));
    }
}
