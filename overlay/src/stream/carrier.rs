//! One leg of a stream, on its link.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use overlay_wire::stream::Leg;

use super::{PIECE, Shared};
use crate::link::LinkStream;
use crate::node::{LinkId, Links};
use crate::waiters::Waiter;

/// A leg, and what waits for room on its link.
pub(super) struct Carrier {
    pub(super) leg: Leg,
    pub(super) link: LinkId,
    pub(super) stream: LinkStream,
    /// What the link had no room for.
    output: Vec<u8>,
    written: usize,
    /// For what happens to the link.
    watcher: Waiter,
}

impl Carrier {
    pub(super) fn new(leg: Leg, link: LinkId, stream: LinkStream) -> Self {
        stream.want_datagrams();
        Self { leg, link, stream, output: Vec::new(), written: 0, watcher: Waiter::default() }
    }

    /// Whether its link is gone, or may be dead; wakes the task when that changes.
    pub(super) fn watch(&mut self, links: &Links, context: &Context<'_>) -> bool {
        links.watch(self.link, &mut self.watcher, context)
    }

    /// Fills the link's room with what the stream has for this leg.
    pub(super) fn send(&mut self, shared: &Shared, context: &Context<'_>, now: Duration) -> io::Result<()> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                let mut stream = shared.stream.borrow_mut();
                if !stream.has_output(self.leg, now) {
                    return Ok(());
                }
                stream.fill(self.leg, &mut self.output, PIECE, now);
                if self.output.is_empty() {
                    return Ok(());
                }
            }
            match self.stream.poll_room(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(room) => {
                    room?;
                    self.written += self.stream.try_write(&self.output[self.written..]);
                }
            }
        }
    }
}
