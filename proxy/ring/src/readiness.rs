//! A descriptor that the runtime's epoll watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of which the runtime of this thread hears when it becomes readable.
#[derive(Debug)]
pub struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Within a runtime.
    ///
    /// # Errors
    /// The system refuses to watch it.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open, and the same descriptor, for as long as it lives. Nobody gets it out of here.
        let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Self(watched?))
    }

    /// Calls `attempt` when it may be readable, until it does something else than fail with `WouldBlock`.
    pub fn poll<R>(
        &self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let mut ready = std::task::ready!(self.0.poll_read_ready(context))?;
            if let Ok(result) = ready.try_io(|descriptor| attempt(descriptor.as_fd())) {
                return Poll::Ready(result);
            }
        }
    }

    /// Hears that it became readable, and waits for the next time.
    pub fn hear(&self, context: &mut Context<'_>) {
        drop(self.poll(context, |_| io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())));
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
