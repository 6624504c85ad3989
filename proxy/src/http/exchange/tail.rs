//! The end of an answer: what is left of it goes out as the client takes it, before the log line is written.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;

use super::{After, Exchange};
use crate::http::connection::while_taken;
use crate::http::local_reply::LocalReply;
use crate::http::sink::Sink;
use crate::io::BLOCK_SIZE;
use crate::telemetry::response_flags::ResponseFlags;
use crate::worker::timer::Alarm;

/// A larger answer of our own goes out in pieces of this size, as those of endpoints do. Bytes.
pub(super) const MOST_AT_ONCE: usize = BLOCK_SIZE;

/// How the end of an answer went.
enum Sent {
    Whole,
    ClientGone,
    /// The client takes nothing.
    Stalled,
    Closing,
}

impl Exchange<'_> {
    /// Sends what is left of an answer, and waits until all of a stream's is handed to its connection. Only then it is known what the
    /// log line has to say.
    pub(super) async fn send_tail(&mut self, after: After) -> After {
        let is_stream = matches!(self.downstream.sink, Sink::Http2(_));
        let is_cut_off = matches!(after, After::CutOff | After::Reset);
        let is_waiting =
            is_stream && !is_cut_off && (self.downstream.sink.unsent() > 0 || self.downstream.sink.is_full());
        let (sent, left) = match !self.tail.is_empty() || is_waiting {
            true => self.send_rest(is_stream).await,
            false => (Sent::Whole, 0),
        };
        // What is unsent on other connections is sent after this, or nobody knows how much of it is.
        let lost = left + if is_stream { self.downstream.sink.unsent() } else { 0 };
        let outcome = &mut self.memory.outcome;
        outcome.bytes_sent = outcome.bytes_sent.saturating_sub(lost as u64);
        self.note_end(sent, after)
    }

    /// How it went, and how many bytes were not put.
    async fn send_rest(&mut self, is_stream: bool) -> (Sent, usize) {
        // It may take long, and a body that was kept is of no use any more.
        self.memory.replay.clear();
        let tail = std::mem::take(&mut self.tail);
        let left = Cell::new(tail.len());
        let (sink, connection) = (&self.downstream.sink, self.downstream.connection);
        let alarm = Alarm::new(&connection.worker.timers);
        let sending = pin!(put_pieces(tail, sink, is_stream, &left));
        let mut taken = pin!(while_taken(sending, || left.get() + sink.unsent(), &alarm));
        let sent = poll_fn(|context| {
            if let Poll::Ready(taken) = taken.as_mut().poll(context) {
                return Poll::Ready(match taken {
                    Some(Ok(())) => Sent::Whole,
                    Some(Err(_)) => Sent::ClientGone,
                    None => Sent::Stalled,
                });
            }
            connection.poll_close(context).map(|()| Sent::Closing)
        })
        .await;
        (sent, left.get())
    }

    fn note_end(&mut self, sent: Sent, after: After) -> After {
        let (flags, details) = match sent {
            Sent::Whole => return after,
            Sent::ClientGone => self.downstream.departure(),
            Sent::Stalled => (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
            Sent::Closing => (ResponseFlags::LOCAL_RESET, LocalReply::closing().details),
        };
        if self.memory.outcome.flags.intersects(flags) {
            // It was seen before.
            return after;
        }
        let counters = &self.chain.counters;
        match sent {
            Sent::ClientGone => counters.downstream_rq_rx_reset.increment(),
            Sent::Stalled => counters.downstream_rq_idle_timeout.increment(),
            Sent::Whole | Sent::Closing => {}
        }
        let outcome = &mut self.memory.outcome;
        // What went wrong before stays the reason.
        if outcome.flags.is_empty() {
            outcome.details = details;
        }
        outcome.flags |= flags;
        After::CutOff
    }
}

/// Puts `tail`, the last of an answer, as there is room; `left` says how much of it is to come.
async fn put_pieces(mut tail: Bytes, sink: &Sink, is_stream: bool, left: &Cell<usize>) -> io::Result<()> {
    while !tail.is_empty() {
        sink.room().await?;
        let piece = tail.split_to(sink.appetite().clamp(1, MOST_AT_ONCE).min(tail.len()));
        sink.put_body(&piece, false, tail.is_empty());
        left.set(tail.len());
    }
    // What an HTTP/1 connection has to send goes before the next answer or the end.
    if is_stream { sink.flushed().await } else { Ok(()) }
}
