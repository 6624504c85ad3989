//! Waiting for an upstream, and what else may end the wait.

use std::task::{Context, Poll};

use h1::BodyError;

use crate::http::departure::Departure;
use crate::http::downstream::{ClientConnection, Downstream};
use crate::http::upstream_reset::UpstreamReset;
use crate::worker::timer::Alarm;

/// Why waiting for the upstream ended.
pub(super) enum Waited {
    /// The head of its answer is in memory.
    Answered,
    /// All of the request is sent.
    Sent,
    /// The endpoint broke off.
    Reset(UpstreamReset),
    /// The endpoint does not take extended CONNECT, now or later.
    NoExtendedConnect,
    ClientGone,
    /// The client sends more slowly than it may.
    TooSlow,
    BadBody(BodyError),
    /// The listener wants the connection to end now.
    Closing,
    Timeout,
}

/// What ends a wait for the upstream: the client goes away and takes its request with it, the listener, the time.
pub(super) fn poll_interrupt(
    context: &mut Context<'_>,
    client: &mut Downstream<'_>,
    departure: &mut Departure<'_>,
    alarm: Option<&Alarm>,
) -> Poll<Waited> {
    if departure.poll(context, &mut client.source, &client.sink).is_ready() {
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
