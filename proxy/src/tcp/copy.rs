//! Moves bytes both ways between two connections until both ends are done.
//!
//! A side is read only while the other has room (at most [`HIGH_WATER`](crate::io::HIGH_WATER) bytes unsent, or what is in a
//! pipe): a slow reader holds up its sender, and an idle connection holds no buffer at all. The end of one direction is passed on
//! as a half-close while the other goes on. How bytes go is decided in [`Transfer`](crate::io::Transfer).

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::direction::Direction;
use crate::io::{Broken, Io, Stream};
use crate::worker::timer::Alarm;

/// How copying ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Both sides said that they were done; what they sent last may still be unsent.
    Finished,
    /// The client's connection broke.
    DownstreamBroken,
    /// The endpoint's connection broke.
    UpstreamBroken,
    /// No byte came for too long.
    Idle,
    /// The connection is too old.
    Expired,
    /// The listener wants it closed.
    Asked,
}

/// When copying ends although neither side is done.
pub(crate) struct Limits<'a> {
    /// Goes off at the deadline.
    pub alarm: &'a Alarm,
    /// Longest silence.
    pub idle: Option<Duration>,
    /// End of the connection in any case.
    pub end: Option<Instant>,
}

/// Copies. `moved` is told about bytes received from the client and bytes received from the endpoint; `asked` is ready when the
/// listener wants the connection closed.
pub(crate) async fn copy(
    downstream: &mut Stream,
    upstream: &mut Stream,
    io: &Rc<Io>,
    limits: &Limits<'_>,
    mut moved: impl FnMut(u64, u64),
    mut asked: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Ending {
    let (to_downstream, to_upstream) = (downstream.writer(), upstream.writer());
    let (mut outward, mut inward) = (Direction::default(), Direction::default());
    limits.touch(io);
    let ending = poll_fn(|context| {
        let sent = outward.advance(context, downstream, &to_upstream);
        let answered = inward.advance(context, upstream, &to_downstream);
        let (received, returned) = (outward.take_count(), inward.take_count());
        if received + returned > 0 {
            moved(received, returned);
            io.clock.invalidate(); // nothing may have been flushed since the worker last slept
            limits.touch(io);
        }
        match (sent, answered) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ending::Finished),
            (Poll::Ready(Err(side)), _) => {
                return Poll::Ready(side.broken(Ending::DownstreamBroken, Ending::UpstreamBroken));
            }
            (_, Poll::Ready(Err(side))) => {
                return Poll::Ready(side.broken(Ending::UpstreamBroken, Ending::DownstreamBroken));
            }
            _ => {}
        }
        if asked(context).is_ready() {
            return Poll::Ready(Ending::Asked);
        }
        limits.alarm.poll_elapsed(context).map(|()| limits.reason(io))
    })
    .await;
    outward.end(&to_upstream);
    inward.end(&to_downstream);
    ending
}

impl Limits<'_> {
    /// A byte came: the silence begins anew.
    fn touch(&self, io: &Io) {
        let silence = self.idle.and_then(|idle| io.clock.now().checked_add(idle));
        self.alarm.set(silence.into_iter().chain(self.end).min());
    }

    fn reason(&self, io: &Io) -> Ending {
        match self.end {
            Some(end) if io.clock.now() >= end => Ending::Expired,
            _ => Ending::Idle,
        }
    }
}

impl Broken {
    fn broken(&self, source: Ending, target: Ending) -> Ending {
        match self {
            Self::Source => source,
            Self::Target => target,
        }
    }
}

#[cfg(test)]
mod tests;
