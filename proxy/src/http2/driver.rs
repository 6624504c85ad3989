//! The task of a connection: reads frames and hands what they carry to the streams.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h1::RequestHead;
use h2::{ConnectionError, Event, Key};

use super::connection::{Connection, Over, State};
use super::slot::{MOST_HEADS, Reset, Slot};
use super::stream::Stream;
use crate::io::{self, HIGH_WATER};

/// Input that may be pending: a whole frame of the size that we allow (RFC 9113 section 4.2), and its header.
const LARGEST_FRAME: usize = 16 * 1024 + 9;

/// Nothing is read from a peer that leaves more than this unread: it would make us answer even more.
const MOST_UNREAD: usize = 2 * HIGH_WATER;

/// With more than this held of what an endpoint sent, on all streams of its connection together, streams of which much is held are given up:
/// none may hold up the others, and all together must not fill our memory.
const MOST_HELD: usize = 32 << 20;

/// This much of one stream.
const MUCH: usize = 64 << 10;

/// Who takes the requests of a connection.
pub trait Requests {
    /// A request, its head to be taken away.
    fn opened(&mut self, stream: Stream, head: &mut RequestHead);

    /// A request that did not become one; what was wrong, in Envoy's words.
    fn refused(&mut self, code: h2::Code, detail: &'static str);
}

/// A client gets no requests.
impl Requests for () {
    fn opened(&mut self, _: Stream, _: &mut RequestHead) {}

    fn refused(&mut self, _: h2::Code, _: &'static str) {}
}

impl Connection {
    /// Serves the connection until it is over. Requests are handed to `requests` (none come to a client).
    pub fn poll_drive(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        stream: &mut io::Stream,
        requests: &mut impl Requests,
    ) -> Poll<Over> {
        self.state.borrow_mut().register_driver(context);
        loop {
            if let Err(error) = self.receive(stream, requests) {
                return Poll::Ready(match error.code {
                    h2::Code::ENHANCE_YOUR_CALM => Over::Flood(error.reason),
                    _ => Over::Protocol(error.reason),
                });
            }
            self.make_room(context);
            if self.writer.backlog() > MOST_UNREAD {
                return match ready!(self.writer.poll_room(context)) {
                    Ok(()) => continue,
                    Err(_) => Poll::Ready(Over::Peer),
                };
            }
            match ready!(stream.poll_fill(context, LARGEST_FRAME)) {
                Ok(count) if count > 0 => {}
                _ => return Poll::Ready(Over::Peer),
            }
        }
    }

    /// What the peer has begun and must end: the beginning of the connection, a head, or a frame. The number is another one for each.
    pub fn owed(&self, stream: &io::Stream) -> Option<u64> {
        // It may have sent the rest, of which nothing is read until it reads itself.
        let reading = self.writer.backlog() <= MOST_UNREAD;
        self.state.borrow().codec.owed(!stream.input().is_empty()).filter(|_| reading)
    }

    /// Lets those go on who waited for the peer to read.
    fn make_room(&self, context: &mut Context<'_>) {
        if self.state.borrow().crowded.is_empty() || self.writer.poll_room(context).is_pending() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let crowded = std::mem::take(&mut state.crowded);
        for key in crowded {
            if let Some(slot) = state.codec.get(key) {
                slot.wake();
            }
        }
    }

    /// Takes all frames that are here.
    fn receive(self: &Rc<Self>, stream: &mut io::Stream, requests: &mut impl Requests) -> Result<(), ConnectionError> {
        loop {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            let input = stream.input().bytes();
            let received = state.codec.receive(input, self.io.clock.now(), &mut state.replies);
            self.put_replies(state);
            let Some(received) = received? else { return Ok(()) };
            let opened = match received.event {
                None => None,
                Some(Event::Request { key, end }) => Some((key, end)),
                Some(Event::Data { key, range, end }) => {
                    let data = input.get(range).unwrap_or_default();
                    self.data(state, key, data, end);
                    None
                }
                Some(Event::Refused { code, reason, detail }) => {
                    tracing::debug!("an HTTP/2 request is refused ({}): {reason}", code.name());
                    requests.refused(code, detail);
                    None
                }
                Some(event) => {
                    self.take(state, event);
                    None
                }
            };
            if let Some((key, end)) = opened {
                state.codec.accept(key, Slot::new(&self.io, end));
                let mut head = std::mem::take(state.codec.request_head());
                drop(guard);
                requests.opened(Stream::new(self, key), &mut head);
                *self.state.borrow_mut().codec.request_head() = head;
            } else {
                drop(guard);
            }
            stream.input_mut().consume(received.consumed);
        }
    }

    fn data(&self, state: &mut State, key: Key, data: &[u8], end: bool) {
        match state.codec.get(key) {
            Some(slot) => {
                slot.input.append(data);
                slot.ended |= end;
                slot.wake();
                let much = slot.input.bytes().len() > MUCH;
                if much && self.role == h2::Role::Client && state.codec.held() > MOST_HELD {
                    self.give_up(state, key);
                }
            }
            None => {
                state.codec.consumed(key, data.len(), &mut state.replies);
                self.put_replies(state);
            }
        }
    }

    /// Nobody takes what arrives on a stream.
    #[cold]
    fn give_up(&self, state: &mut State, key: Key) {
        let code = h2::Code::ENHANCE_YOUR_CALM;
        state.codec.reset(key, code, &mut state.replies);
        state.codec.consumed(key, usize::MAX, &mut state.replies);
        self.put_replies(state);
        if let Some(slot) = state.codec.get(key) {
            slot.input.clear();
            slot.ended = false;
            state.unsent -= slot.fail(Reset::ByCodec(code));
        }
        self.unread.set(self.unread.get() + 1);
    }

    fn take(&self, state: &mut State, event: Event) {
        match event {
            Event::Response { key, end } => {
                let mut head = state.spare.head();
                std::mem::swap(&mut *head, state.codec.response_head());
                let Some(slot) = state.codec.get(key) else { return state.spare.keep_head(head) };
                if slot.heads.len() >= MOST_HEADS {
                    state.unsent -= slot.fail(Reset::ByCodec(h2::Code::ENHANCE_YOUR_CALM));
                    return;
                }
                slot.heads.push(head);
                slot.ended |= end;
                slot.wake();
            }
            Event::Trailers { key } => {
                let mut trailers = state.spare.trailers();
                std::mem::swap(&mut *trailers, state.codec.trailers());
                let Some(slot) = state.codec.get(key) else { return state.spare.keep_trailers(trailers) };
                slot.trailers = Some(trailers);
                slot.ended = true;
                slot.wake();
            }
            Event::Reset { key, code, by_peer, reason } => {
                tracing::debug!("HTTP/2 stream {} is over: {reason}", key.stream_id());
                if let Some(slot) = state.codec.get(key) {
                    state.unsent -= slot.fail(if by_peer { Reset::ByPeer(code) } else { Reset::ByCodec(code) });
                }
            }
            Event::Writable { key: Some(key) } => {
                self.send_unsent(state, key);
            }
            Event::Writable { key: None } => {
                self.settled.notify_waiters();
                self.send_blocked(state);
            }
            Event::GoAway { code, .. } => {
                state.peer_is_leaving = true;
                state.complaint = (code != h2::Code::NO_ERROR).then_some(code).or(state.complaint);
            }
            // Dealt with by the caller.
            Event::Request { .. } | Event::Data { .. } | Event::Refused { .. } => {}
            Event::Pong(_) => state.pongs += 1,
        }
    }
}
