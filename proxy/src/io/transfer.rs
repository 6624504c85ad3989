//! Bytes of one connection passed on to another without being looked at.
//!
//! They are copied through the worker's scratch memory. Where they come in large pieces and both sides are clear they go through
//! a pipe instead ([`LentPipe`]): the kernel hands its pages on, which costs half as much. For small pieces that would cost more,
//! as it takes another system call to find out that there are no more.

use std::io;
use std::task::{Context, Poll, ready};

use super::{BLOCK_SIZE, LentPipe, SCRATCH_SIZE, Stream, StreamWriter};

/// Bytes are spliced while they come in pieces of this size on average. After a beginning it takes 128 KiB, if each receive finds
/// more than it can take.
const LARGE_PIECES: usize = 24 * 1024;
/// The average is one of about so many pieces.
const PIECES: usize = 4;
/// Bytes passed on in one turn of the worker, so that other connections get theirs.
const MOST_PER_TURN: u64 = 1024 * 1024;

/// Passes bytes on, one way.
#[derive(Debug, Default)]
pub struct Transfer {
    /// Size of the pieces in which bytes come, on average.
    average: usize,
    /// What was received and could not be sent yet.
    pipe: Option<LentPipe>,
    /// Bytes passed on since this last waited for something.
    in_turn: u64,
}

/// Which side of a transfer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// That from which bytes come.
    Source,
    /// That to which they go.
    Target,
}

impl Transfer {
    /// Passes on what has come, `most` bytes of it; 0 when the source will send no more. Some of it may wait to be sent: see
    /// [`Self::poll_sent`].
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &StreamWriter,
        most: u64,
    ) -> Poll<Result<usize, Broken>> {
        if self.in_turn > MOST_PER_TURN {
            self.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let passed = self.poll_pass(context, from, to, usize::try_from(most).unwrap_or(usize::MAX));
        match &passed {
            Poll::Ready(Ok(count)) => {
                self.average = self.average - self.average / PIECES + count.min(&SCRATCH_SIZE) / PIECES;
                self.in_turn += *count as u64;
            }
            _ => self.in_turn = 0,
        }
        passed
    }

    /// Waits until the target has all that was passed on, or has put it where it is sent at the end of the turn.
    ///
    /// # Errors
    /// The target broke.
    pub fn poll_sent(&mut self, context: &mut Context<'_>, to: &StreamWriter) -> Poll<io::Result<()>> {
        // A pipe goes back as soon as it is empty.
        if let Some(pipe) = &mut self.pipe {
            ready!(to.poll_splice(context, pipe))?;
            self.pipe = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Puts what is left in the pipe, so that it goes out with the last flush.
    pub fn end(&mut self, to: &StreamWriter) {
        let Some(mut pipe) = self.pipe.take() else { return };
        let io = to.io();
        let mut scratch = io.scratch.borrow_mut();
        while let Ok(count) = pipe.read(&mut scratch)
            && let Some(bytes) = scratch.get(..count).filter(|bytes| !bytes.is_empty())
        {
            to.put_bulk(count, |out| out.extend_from_slice(bytes));
        }
    }

    fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        from: &mut Stream,
        to: &StreamWriter,
        most: usize,
    ) -> Poll<Result<usize, Broken>> {
        ready!(self.poll_sent(context, to)).map_err(|_| Broken::Target)?;
        ready!(to.poll_room(context)).map_err(|_| Broken::Target)?;
        if self.average >= LARGE_PIECES && most >= LARGE_PIECES && from.can_splice() && to.can_splice() {
            // What was put before goes first.
            ready!(to.poll_flushed(context)).map_err(|_| Broken::Target)?;
            if let Some(mut pipe) = to.io().pipes.lend() {
                let count = ready!(from.poll_splice(context, &mut pipe, most)).map_err(|_| Broken::Source)?;
                self.pipe = (count > 0).then_some(pipe);
                if count == most {
                    // Whether more came is asked now: whoever uses the connection next must know.
                    let _ = from.poll_fill(context, BLOCK_SIZE);
                }
                return Poll::Ready(Ok(count));
            }
            // Not asked for with every piece.
            self.average = 0;
        }
        copy(context, from, to, most)
    }
}

/// Receives once, and puts it. Is asked for as much as there may be, although it is too much: only from what is less than that does
/// the worker know that it was all.
fn copy(context: &mut Context<'_>, from: &mut Stream, to: &StreamWriter, most: usize) -> Poll<Result<usize, Broken>> {
    let mut scratch = to.io().scratch.borrow_mut();
    let size = if from.input().is_empty() { scratch.len() } else { most.min(scratch.len()) };
    let Some(scratch) = scratch.get_mut(..size) else { return Poll::Ready(Ok(0)) };
    let count = ready!(from.poll_read(context, scratch)).map_err(|_| Broken::Source)?;
    let (bytes, rest) = scratch.get(..count).unwrap_or_default().split_at(count.min(most));
    if !bytes.is_empty() {
        to.put_bulk(bytes.len(), |out| out.extend_from_slice(bytes));
    }
    if !rest.is_empty() {
        from.input_mut().append(rest);
    }
    Poll::Ready(Ok(bytes.len()))
}
