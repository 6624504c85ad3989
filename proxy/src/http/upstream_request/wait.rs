//! Waiting for an upstream, and what else may end the wait.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use h1::BodyError;

use crate::http::downstream::{ClientConnection, Downstream};
use crate::http::sink::Sink;
use crate::worker::timer::Alarm;

/// How often a client is looked at from which nothing is read.
const LOOK: Duration = Duration::from_secs(1);

/// Why waiting for the upstream ended.
pub(super) enum Waited {
    /// The head of its answer is in memory.
    Answered,
    /// All of the request is sent.
    Sent,
    Reset,
    /// The endpoint reset the stream.
    RemoteReset,
    /// The endpoint has not acted upon the request, and says so.
    Refused,
    ProtocolError,
    ClientGone,
    BadBody(BodyError),
    /// The listener wants the connection to end now.
    Closing,
    Timeout,
}

/// What ends a wait for the upstream: the client goes away and takes its request with it, the listener, the time.
pub(super) fn poll_interrupt(
    context: &mut Context<'_>,
    client: &mut Downstream<'_>,
    alarm: Option<&Alarm>,
) -> Poll<Waited> {
    if client.source.poll_gone(context).is_ready() {
        return Poll::Ready(Waited::ClientGone);
    }
    poll_asked_or_late(context, client.connection, alarm)
}

/// As [`poll_interrupt`], where somebody else reads from the client.
pub(super) fn poll_asked_or_late(
    context: &mut Context<'_>,
    client: &ClientConnection,
    alarm: Option<&Alarm>,
) -> Poll<Waited> {
    if client.poll_close(context).is_ready() {
        return Poll::Ready(Waited::Closing);
    }
    alarm.map_or(Poll::Pending, |alarm| alarm.poll_elapsed(context).map(|()| Waited::Timeout))
}

/// Ready when the client has gone away, for the time in which nothing is read from it: the runtime then does not tell, so it is
/// asked from time to time.
pub(super) fn poll_departure(context: &mut Context<'_>, look: &Alarm, client: &Sink) -> Poll<()> {
    while !client.is_peer_done() {
        if look.deadline().is_none() {
            look.set_after(Some(LOOK));
        }
        ready!(look.poll_elapsed(context));
        look.set(None);
    }
    Poll::Ready(())
}
