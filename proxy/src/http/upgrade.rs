//! An upgraded connection: bytes both ways until either side ends. Protocols that are upgraded to say goodbye in their own words, so
//! that there is no half of a connection to keep open.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use super::downstream::Downstream;
use super::sink::Sink;
use super::source::Source;
use crate::io::Io;
use crate::worker::timer::Alarm;

/// The endpoint may take this long to take what the client sent last.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// What went through, and how it ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) received: u64,
    pub(super) returned: u64,
    pub(super) end: End,
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

/// Passes bytes on until a side ends, nothing came for `idle`, or the listener wants the connection closed.
pub(super) async fn tunnel(
    downstream: &mut Downstream<'_>,
    upstream: &mut Source<'_>,
    to_upstream: &Sink,
    idle: Option<Duration>,
) -> Moved {
    let worker = downstream.worker().clone();
    let alarm = Alarm::new(&worker.timers);
    alarm.set_after(idle);
    let silence = idle.map(|bound| (&alarm, bound));
    let mut moved = Moved::default();
    let end = {
        let Downstream { source, sink, connection } = &mut *downstream;
        let mut sending = pin!(copy(source, to_upstream, &mut moved.received, silence, &worker.io));
        let mut returning = pin!(copy(upstream, sink, &mut moved.returned, silence, &worker.io));
        poll_fn(|context| {
            // Both get their turn: what one of them sent last is passed on, whichever ends first.
            let sent = sending.as_mut().poll(context).is_ready();
            let returned = returning.as_mut().poll(context).is_ready();
            match () {
                () if sent => Poll::Ready(End::Client),
                () if returned => Poll::Ready(End::Upstream),
                () if alarm.poll_elapsed(context).is_ready() => Poll::Ready(End::Silence),
                () => connection.poll_close(context).map(|()| End::Closing),
            }
        })
        .await
    };
    to_upstream.finish();
    alarm.set_after(Some(LAST_FLUSH));
    moved.end = match end {
        End::Client if downstream.source.has_ended() => {
            let (sink, returned) = (&downstream.sink, &mut moved.returned);
            alarm.limit(copy(upstream, sink, returned, None, &worker.io)).await.map_or(End::Client, |()| End::Both)
        }
        End::Upstream if upstream.has_ended() => End::Both,
        end => end,
    };
    if matches!(moved.end, End::Upstream | End::Both) {
        downstream.sink.finish();
    }
    // An endpoint that takes nothing more loses it.
    let _ = alarm.limit(to_upstream.flushed()).await;
    moved
}

/// Copies until `source` ends or `sink` breaks.
async fn copy(source: &mut Source<'_>, sink: &Sink, moved: &mut u64, silence: Option<(&Alarm, Duration)>, io: &Io) {
    while sink.room().await.is_ok() {
        let received = poll_fn(|context| {
            let mut scratch = io.scratch.borrow_mut();
            let count = ready!(source.poll_read(context, &mut scratch));
            if let Some(bytes) = scratch.get(..count).filter(|bytes| !bytes.is_empty()) {
                sink.put_bytes(bytes);
            }
            Poll::Ready(count)
        })
        .await;
        if received == 0 {
            return;
        }
        *moved += received as u64;
        if let Some((alarm, bound)) = silence {
            io.clock.invalidate(); // nothing may have been flushed since the worker last slept
            alarm.set_after(Some(bound));
        }
    }
}
