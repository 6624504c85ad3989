//! One way of a connection's two: bytes of one side passed on to the other, and its end.

use std::task::{Context, Poll, ready};

use crate::io::{Broken, Stream, StreamWriter, Transfer};

/// One way of the two.
#[derive(Debug, Default)]
pub(super) struct Direction {
    count: u64,
    /// The source is done.
    ended: bool,
    transfer: Transfer,
}

impl Direction {
    /// Passes on what has come; ready when the source is done, or either side broke.
    pub(super) fn advance(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &StreamWriter,
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            let count = ready!(self.transfer.poll_piece(context, from, to, u64::MAX))?;
            self.count += count as u64;
            if count == 0 {
                to.finish();
                self.ended = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Leaves nothing unsent.
    pub(super) fn end(&mut self, to: &StreamWriter) {
        self.transfer.end(to);
    }

    /// Bytes that came since this was asked last.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }
}
