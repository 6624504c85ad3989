//! Pipes, through which bytes go from one socket to another without being copied (splice(2)).

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe is asked to hold: the most that the kernel lets everybody have. It may grant less.
const PIPE_SIZE: usize = 1024 * 1024;
/// Pipes of a worker. One is lent only while bytes are in it, so only that many receivers that are slower than their senders
/// have one; it may hold as much of the kernel's memory as its size.
const MOST_PIPES: usize = 32;
/// Pipes kept without use: each takes two descriptors, of which others need some.
const MOST_SPARE: usize = 4;

/// The pipes of a worker.
#[derive(Debug, Default)]
pub struct Pipes {
    spare: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
}

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// A pipe and how many bytes are in it. Goes back when it is dropped, unless there are any.
#[derive(Debug)]
pub struct LentPipe {
    pipe: Option<Pipe>,
    held: usize,
    pipes: Rc<Pipes>,
}

impl Pipes {
    /// An empty pipe; `None` if there are enough, or no more can be had.
    pub fn lend(self: &Rc<Self>) -> Option<LentPipe> {
        if self.lent.get() >= MOST_PIPES {
            return None;
        }
        let spare = self.spare.borrow_mut().pop();
        let pipe = spare.or_else(Pipe::new)?;
        self.lent.set(self.lent.get() + 1);
        Some(LentPipe { pipe: Some(pipe), held: 0, pipes: self.clone() })
    }

    /// How many are spare, and lent.
    #[cfg(test)]
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.spare.borrow().len(), self.lent.get())
    }
}

impl Pipe {
    fn new() -> Option<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // Where it stays smaller it is slower, and works.
        let _ = fcntl_setpipe_size(&writer, PIPE_SIZE);
        Some(Self { reader, writer })
    }
}

impl LentPipe {
    /// Whether no bytes are in it.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Receives `most` bytes from `socket` into the pipe, which must be empty: otherwise it might be what is full. 0 at the end.
    pub(super) fn fill(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let pipe = self.pipe.as_ref().ok_or(Errno::BADF)?;
        let count =
            splice(socket, None, &pipe.writer, None, most.min(PIPE_SIZE), SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?;
        self.held += count;
        Ok(count)
    }

    /// Sends to `socket` what is in the pipe, as far as it takes it.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let pipe = self.pipe.as_ref().ok_or(Errno::BADF)?;
        let count = splice(&pipe.reader, None, socket, None, self.held, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held -= count.min(self.held);
        Ok(count)
    }

    /// Takes bytes out; 0 if there are none.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let pipe = self.pipe.as_ref().filter(|_| self.held > 0);
        let count = pipe.map_or(Ok(0), |pipe| rustix::io::read(&pipe.reader, into))?;
        self.held -= count.min(self.held);
        Ok(count)
    }
}

impl Drop for LentPipe {
    fn drop(&mut self) {
        self.pipes.lent.set(self.pipes.lent.get() - 1);
        if let Some(pipe) = self.pipe.take().filter(|_| self.held == 0) {
            let mut spare = self.pipes.spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(pipe);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_used_again_and_bounded() {
        let pipes = Rc::new(Pipes::default());
        drop((pipes.lend().unwrap(), pipes.lend().unwrap()));
        assert_eq!(pipes.count(), (2, 0));
        let all: Vec<_> = std::iter::from_fn(|| pipes.lend()).collect();
        assert_eq!(all.len(), MOST_PIPES);
        drop(all);
        assert_eq!(pipes.count(), (MOST_SPARE, 0));
    }

    #[test]
    fn a_pipe_that_is_not_empty_does_not_go_back() {
        let pipes = Rc::new(Pipes::default());
        let mut pipe = pipes.lend().unwrap();
        assert_eq!(pipe.read(&mut [0; 4]).unwrap(), 0, "and does not wait");
        pipe.held = 1;
        drop(pipe);
        assert_eq!(pipes.count(), (0, 0));
    }
}
