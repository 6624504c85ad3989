//! One way of a connection's two: bytes of one side passed on to the other.
//!
//! Bytes are copied through the worker's scratch memory. Where they come in large pieces and both sides are clear they go through
//! a pipe instead ([`LentPipe`]): the kernel hands its pages on, which costs half as much. For small pieces that would cost more,
//! as it takes another system call to find out that there are no more.

use std::task::{Context, Poll, ready};

use crate::io::{Io, LentPipe, SCRATCH_SIZE, Stream, StreamWriter};

/// Bytes are spliced while they come in pieces of this size on average. After a beginning it takes 128 KiB, if each receive finds
/// more than it can take.
const LARGE_PIECES: usize = 24 * 1024;
/// The average is one of about so many pieces.
const PIECES: usize = 4;
/// Bytes spliced in one turn of the worker, so that other connections get theirs.
const SPLICED_PER_TURN: u64 = 1024 * 1024;

/// One way of the two.
#[derive(Debug, Default)]
pub(super) struct Direction {
    count: u64,
    /// The source is done.
    ended: bool,
    /// Size of the pieces in which bytes come, on average.
    average: usize,
    /// What was received and could not be sent yet.
    pipe: Option<LentPipe>,
}

/// Which side of a direction broke.
pub(super) enum Broken {
    Source,
    Target,
}

impl Direction {
    /// Passes on what has come; ready when the source is done, or either side broke.
    pub(super) fn advance(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &StreamWriter,
        io: &Io,
    ) -> Poll<Result<(), Broken>> {
        let before = self.count;
        while !self.ended {
            if self.count - before > SPLICED_PER_TURN {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_room(context, to)).map_err(|_| Broken::Target)?;
            let count = ready!(self.pass_on(context, from, to, io))?;
            self.average = self.average - self.average / PIECES + count.min(SCRATCH_SIZE) / PIECES;
            self.count += count as u64;
            if count == 0 {
                to.finish();
                self.ended = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the target can be given more. A pipe goes back as soon as it is empty.
    fn poll_room(&mut self, context: &mut Context<'_>, to: &StreamWriter) -> Poll<std::io::Result<()>> {
        if let Some(pipe) = &mut self.pipe {
            ready!(to.poll_splice(context, pipe))?;
            self.pipe = None;
        }
        to.poll_room(context)
    }

    /// Receives once, and passes it on; 0 when the source is done.
    fn pass_on(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &StreamWriter,
        io: &Io,
    ) -> Poll<Result<usize, Broken>> {
        if self.average >= LARGE_PIECES && from.can_splice() && to.can_splice() {
            // What was put before goes first.
            ready!(to.poll_flushed(context)).map_err(|_| Broken::Target)?;
            if let Some(mut pipe) = io.pipes.lend() {
                let count = ready!(from.poll_splice(context, &mut pipe)).map_err(|_| Broken::Source)?;
                self.pipe = (count > 0).then_some(pipe);
                return Poll::Ready(Ok(count));
            }
            // Not asked for with every piece.
            self.average = 0;
        }
        let mut scratch = io.scratch.borrow_mut();
        let count = ready!(from.poll_read(context, &mut scratch)).map_err(|_| Broken::Source)?;
        if let Some(bytes) = scratch.get(..count).filter(|bytes| !bytes.is_empty()) {
            to.put_bulk(count, |out| out.extend_from_slice(bytes));
        }
        Poll::Ready(Ok(count))
    }

    /// Puts what is left in the pipe, so that it goes out with the last flush.
    pub(super) fn empty_pipe(&mut self, to: &StreamWriter, io: &Io) {
        let Some(mut pipe) = self.pipe.take() else { return };
        let mut scratch = io.scratch.borrow_mut();
        while let Ok(count) = pipe.read(&mut scratch)
            && let Some(bytes) = scratch.get(..count).filter(|bytes| !bytes.is_empty())
        {
            to.put_bulk(count, |out| out.extend_from_slice(bytes));
        }
    }

    /// Bytes that came since this was asked last.
    pub(super) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }
}
