//! An upgraded connection: bytes both ways until either side ends. Protocols that are upgraded to say goodbye in their own words, so
//! that there is no half of a connection to keep open; but a tunnel that ends here carries a connection of any kind. A reset is passed on as one: who is told of an end instead takes half of a
//! message for all of it.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::downstream::Downstream;
use super::sink::Sink;
use super::source::Source;
use crate::http2::Code;
use crate::io::{Broken, Io, Transfer};
use crate::worker::timer::Alarm;

/// The endpoint may take this long to take what the client sent last; a side to which nothing can be sent, to say its last.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// What went through, and how it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) received: u64,
    pub(super) returned: u64,
    pub(super) end: End,
    /// Who ended it broke it off, and the other side was told so.
    pub(super) is_reset: bool,
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// One after the other, as streams end.
    Both,
    Client,
    Upstream,
    Silence,
    #[default]
    Closing,
}

/// What ends when one side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halves {
    /// All of it.
    Together,
    /// What that side sends; the other one may go on.
    Each,
}

/// Passes bytes on until sides end as `halves` has it, nothing came for `idle`, or the listener wants the connection closed. A reset is
/// told with `code` to who speaks HTTP/2.
pub(super) async fn tunnel(
    downstream: &mut Downstream<'_>,
    upstream: &mut Source<'_>,
    to_upstream: &Sink,
    halves: Halves,
    idle: Option<Duration>,
    code: Code,
) -> Moved {
    let worker = downstream.worker().clone();
    let alarm = Alarm::new(&worker.timers);
    alarm.set_after(idle);
    let silence = idle.map(|bound| (&alarm, bound));
    let mut moved = Moved::default();
    let (mut outward, mut inward) = (Transfer::default(), Transfer::default());
    let end = {
        let Downstream { source, sink, connection } = &mut *downstream;
        let mut sending = pin!(copy(source, to_upstream, &mut outward, &mut moved.received, silence, &worker.io));
        let mut returning = pin!(copy(upstream, sink, &mut inward, &mut moved.returned, silence, &worker.io));
        let mut over = Directions {
            alarm: &alarm,
            to_client: sink,
            to_upstream,
            halves,
            outward: None,
            inward: None,
            is_closing: false,
        };
        poll_fn(|context| {
            // Both get their turn: what one of them sent last is passed on, whichever ends first.
            if over.outward.is_none() {
                over.outward = ready_now(sending.as_mut().poll(context));
                over.pass_end(&over.outward, to_upstream);
            }
            if over.inward.is_none() {
                over.inward = ready_now(returning.as_mut().poll(context));
                over.pass_end(&over.inward, sink);
            }
            if let Poll::Ready(end) = over.poll_end(context) {
                return Poll::Ready(end);
            }
            connection.poll_close(context).map(|()| End::Closing)
        })
        .await
    };
    for (transfer, sink) in [(&mut outward, to_upstream), (&mut inward, &downstream.sink)] {
        if let Sink::Http1(writer) = sink {
            transfer.end(writer);
        }
    }
    moved.end = end;
    if let Some(broken) = broken_by(moved.end, downstream, upstream) {
        return moved.broken(broken, downstream, upstream, to_upstream, &alarm, code).await;
    }
    let are_finished = halves == Halves::Each && end == End::Both;
    if !are_finished {
        to_upstream.finish();
    }
    alarm.set_after(Some(LAST_FLUSH));
    moved.end = match end {
        End::Client if downstream.source.has_ended() => {
            let (sink, returned) = (&downstream.sink, &mut moved.returned);
            alarm
                .limit(copy(upstream, sink, &mut inward, returned, None, &worker.io))
                .await
                .map_or(End::Client, |over| if over == Over::Broken(Broken::Target) { End::Client } else { End::Both })
        }
        End::Upstream if upstream.has_ended() => End::Both,
        end => end,
    };
    if let Some(broken) = broken_by(moved.end, downstream, upstream) {
        return moved.broken(broken, downstream, upstream, to_upstream, &alarm, code).await;
    }
    if matches!(moved.end, End::Upstream | End::Both) && !are_finished {
        downstream.sink.finish();
    }
    // An endpoint that takes nothing more loses it.
    let _ = alarm.limit(to_upstream.flushed()).await;
    moved
}

/// The side that broke a tunnel off, if one did.
fn broken_by(end: End, downstream: &Downstream<'_>, upstream: &Source<'_>) -> Option<End> {
    match end {
        End::Upstream | End::Both if upstream.is_reset() => Some(End::Upstream),
        End::Client | End::Both if downstream.source.is_reset() => Some(End::Client),
        _ => None,
    }
}

impl Moved {
    /// Breaks the other side off too, once it has what was meant for it.
    async fn broken(
        mut self,
        by: End,
        downstream: &Downstream<'_>,
        upstream: &Source<'_>,
        to_upstream: &Sink,
        alarm: &Alarm,
        code: Code,
    ) -> Self {
        (self.end, self.is_reset) = (by, true);
        let (other, sink) = match by {
            End::Client => (upstream, to_upstream),
            _ => (&downstream.source, &downstream.sink),
        };
        alarm.set_after(Some(LAST_FLUSH));
        // Whoever takes nothing more loses it.
        let _ = alarm.limit(sink.flushed()).await;
        other.reset(code);
        self
    }
}

fn ready_now<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// How far both ways of a tunnel have come.
struct Directions<'a> {
    alarm: &'a Alarm,
    to_client: &'a Sink,
    to_upstream: &'a Sink,
    halves: Halves,
    /// Which side ended the way from the client to the endpoint, as that way sees it.
    outward: Option<Over>,
    inward: Option<Over>,
    /// A side takes nothing any more.
    is_closing: bool,
}

/// How one way of a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The sender has no more to say.
    Ended,
    Broken(Broken),
}

impl Directions<'_> {
    /// Tells the receiver of the end of what the sender had to say, if the other way goes on.
    fn pass_end(&self, over: &Option<Over>, to: &Sink) {
        if self.halves == Halves::Each && *over == Some(Over::Ended) {
            to.finish();
        }
    }

    /// Ready when the tunnel is over.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let blocked = match (&self.outward, &self.inward) {
            (Some(Over::Broken(Broken::Source)), _) => return Poll::Ready(End::Client),
            (_, Some(Over::Broken(Broken::Source))) => return Poll::Ready(End::Upstream),
            (Some(Over::Ended), _) if self.halves == Halves::Together => return Poll::Ready(End::Client),
            (_, Some(Over::Ended)) if self.halves == Halves::Together => return Poll::Ready(End::Upstream),
            (Some(Over::Ended), Some(Over::Ended)) => return Poll::Ready(End::Both),
            (None | Some(Over::Ended), None) | (None, Some(Over::Ended)) => {
                return self.alarm.poll_elapsed(context).map(|()| End::Silence);
            }
            (Some(Over::Broken(Broken::Target)), _) if self.to_upstream.is_reset() => {
                return Poll::Ready(End::Upstream);
            }
            (_, Some(Over::Broken(Broken::Target))) if self.to_client.is_reset() => return Poll::Ready(End::Client),
            (Some(Over::Broken(Broken::Target)), Some(_)) | (Some(_), Some(Over::Broken(Broken::Target))) => {
                return Poll::Ready(End::Client);
            }
            // It has closed, so it takes nothing. What it sent before that is still on its way.
            (Some(Over::Broken(Broken::Target)), None) => End::Upstream,
            (None, Some(Over::Broken(Broken::Target))) => End::Client,
        };
        if !self.is_closing {
            self.is_closing = true;
            self.alarm.set_after(Some(LAST_FLUSH));
        }
        self.alarm.poll_elapsed(context).map(|()| blocked)
    }
}

/// Copies until `source` ends or breaks, or `sink` breaks; which of them.
async fn copy(
    source: &mut Source<'_>,
    sink: &Sink,
    transfer: &mut Transfer,
    moved: &mut u64,
    silence: Option<(&Alarm, Duration)>,
    io: &Io,
) -> Over {
    while sink.room().await.is_ok() {
        let received = poll_fn(|context| {
            if let (Source::Http1(stream), Sink::Http1(writer)) = (&mut *source, sink) {
                return transfer.poll_piece(context, stream, writer, u64::MAX);
            }
            let mut scratch = io.scratch.borrow_mut();
            let count = ready!(source.poll_read(context, &mut scratch));
            if let Some(bytes) = scratch.get(..count).filter(|bytes| !bytes.is_empty()) {
                sink.put_bytes(bytes);
            }
            Poll::Ready(Ok(count))
        })
        .await;
        match received {
            Ok(0) if source.is_reset() => return Over::Broken(Broken::Source),
            Ok(0) => return Over::Ended,
            Ok(count) => *moved += count as u64,
            Err(broken) => return Over::Broken(broken),
        }
        if let Some((alarm, bound)) = silence {
            io.clock.invalidate(); // nothing may have been flushed since the worker last slept
            alarm.set_after(Some(bound));
        }
    }
    Over::Broken(Broken::Target)
}
