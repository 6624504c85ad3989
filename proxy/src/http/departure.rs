//! Seeing that a client has gone away while it is not served.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::sink::Sink;
use super::source::Source;
use crate::worker::Worker;
use crate::worker::timer::Alarm;

/// How often a client is looked at from which nothing is read.
const LOOK: Duration = Duration::from_secs(1);

/// Watches a client. Where nothing is read from it the runtime does not tell of its end, so it is asked from time to time.
pub(super) struct Departure<'w> {
    worker: &'w Worker,
    /// Made when there is a time in which nothing is read.
    look: Option<Alarm>,
}

impl<'w> Departure<'w> {
    pub(super) fn new(worker: &'w Worker) -> Self {
        Self { worker, look: None }
    }

    /// Ready when the client has gone away. Reads ahead a little.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, source: &mut Source<'_>, sink: &Sink) -> Poll<()> {
        if source.poll_gone(context).is_ready() {
            return Poll::Ready(());
        }
        if source.is_read_ahead() { self.poll_unread(context, sink) } else { Poll::Pending }
    }

    /// As [`Self::poll`], for a time in which nothing is read.
    pub(super) fn poll_unread(&mut self, context: &mut Context<'_>, sink: &Sink) -> Poll<()> {
        let look = self.look.get_or_insert_with(|| Alarm::new(&self.worker.timers));
        while !sink.is_peer_done() {
            if look.deadline().is_none() {
                look.set_after(Some(LOOK));
            }
            ready!(look.poll_elapsed(context));
            look.set(None);
        }
        Poll::Ready(())
    }
}
