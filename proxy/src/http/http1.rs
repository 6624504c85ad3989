//! An HTTP/1 connection of a client: requests one after the other, until either side has enough.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use h1::{RequestError, Scheme};

use super::HttpChain;
use super::connection::LAST_FLUSH;
use super::counters::ActiveHttp1;
use super::downstream::{ClientConnection, Downstream};
use super::exchange::{self, After};
use super::local_reply::LocalReply;
use super::message::Memory;
use super::sink::Sink;
use super::source::Source;
use crate::io::{HIGH_WATER, Stream};
use crate::worker::connection::Wish;
use crate::worker::futures::WorkPool;
use crate::worker::timer::Alarm;

/// How HTTP/2 begins where nothing else tells it from HTTP/1 (Envoy looks at so much of the preface, RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// Bytes of a body that leave at once on any connection, their head included: ten segments (RFC 6928).
const FIRST_FLIGHT: u64 = 12 * 1024;

/// An HTTP/1 connection of a client, or one of which that is not known yet.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) client: Rc<ClientConnection>,
    /// For the time between requests and within heads.
    pub(super) alarm: Alarm,
}

/// Room for the state of requests over HTTP/1.
#[derive(Debug)]
pub struct RequestPool(WorkPool<Connection, (Connection, After)>);

impl Default for RequestPool {
    fn default() -> Self {
        Self(WorkPool::new(Connection::serve_request))
    }
}

/// How serving a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection is over.
    Over,
    /// As [`Self::Over`], and nothing comes from the client any more: it has ended between requests; or its last request, which is
    /// here as a whole, said that it is the last, and the answer is so small that it is on its way as a whole.
    Last,
    /// It is over, in the middle of an answer.
    CutOff,
    /// The client is to be told by a reset, which comes with the end of the connection.
    Reset,
    /// It speaks HTTP/2; nothing was taken from it.
    Http2,
}

/// Serves requests one after the other until either side has enough. `may_be_http2`: the first bytes say which protocol it is.
/// Gives the connection back, which is `None` only if its request was given up.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps its argument twice")]
pub(super) fn serve(held: &mut Option<Connection>, may_be_http2: bool) -> impl Future<Output = End> {
    async move {
        let Some(connection) = held.as_mut() else { return End::Over };
        if may_be_http2 && connection.begins_http2().await {
            return End::Http2;
        }
        let client = connection.client.clone();
        let _active = ActiveHttp1::count(&client.admission.application().counters);
        loop {
            let Some(connection) = held.as_mut() else { return End::Over };
            if !connection.is_asked().await {
                return if connection.client.is_done.get() { End::Last } else { End::Over };
            }
            // The request takes the connection with it: between requests there is nothing of them here.
            let Some(connection) = held.take() else { return End::Over };
            let (connection, after) = client.worker.requests.0.run(connection).await;
            let client_is_done = connection.client.is_done.get();
            *held = Some(connection);
            match after {
                After::NextRequest => {}
                After::Close if client_is_done => return End::Last,
                After::Close => return End::Over,
                After::CutOff => return End::CutOff,
                After::Reset => return End::Reset,
            }
        }
    }
}

/// Why waiting for bytes ended.
enum Woken {
    Bytes,
    /// The client will send no more.
    End,
    /// The listener wants the connection to end.
    Asked,
    Timeout,
}

impl Connection {
    pub(super) fn new(stream: Stream, client: Rc<ClientConnection>, alarm: Alarm) -> Self {
        Self { stream, client, alarm }
    }

    /// Whether the first bytes are those of HTTP/2.
    async fn begins_http2(&mut self) -> bool {
        if self.stream.input().is_empty() && !self.idle().await {
            return false;
        }
        self.alarm.set_after(Some(self.client.admission.application().headers_timeout));
        loop {
            let input = self.stream.input().bytes();
            if input.starts_with(HTTP2_PREFACE) {
                return true;
            }
            // What else this may be, the parser says.
            if !HTTP2_PREFACE.starts_with(input)
                || !matches!(self.bytes(HTTP2_PREFACE.len(), Wish::Close).await, Woken::Bytes)
            {
                return false;
            }
        }
    }

    /// Waits until a request begins; `false` when the connection is over.
    async fn is_asked(&mut self) -> bool {
        if self.stream.backlog() > HIGH_WATER && !self.room().await {
            return false;
        }
        !self.stream.input().is_empty() || self.idle().await
    }

    /// Serves one request.
    async fn serve_request(mut self) -> (Self, After) {
        let chain = self.client.admission.application();
        let mut memory = self.client.worker.memory.take();
        let after = self.answer(&chain, &mut memory).await;
        self.client.worker.memory.give(memory);
        (self, after)
    }

    /// Waits until the client has read enough of the answers so far: whoever asks without reading must not fill our memory.
    fn room(&mut self) -> impl Future<Output = bool> {
        let chain = self.client.admission.application();
        self.alarm.set_after(chain.model().idle_timeout.or(Some(LAST_FLUSH)));
        poll_fn(|context| match self.stream.poll_room(context) {
            Poll::Ready(room) => Poll::Ready(room.is_ok()),
            Poll::Pending if self.client.admission.poll_wish(context, Wish::Close).is_ready() => Poll::Ready(false),
            Poll::Pending => self.alarm.poll_elapsed(context).map(|()| false),
        })
    }

    /// Waits for the first byte of a request. An idle connection holds no memory, and no configuration.
    fn idle(&mut self) -> impl Future<Output = bool> {
        let chain = self.client.admission.application();
        let age_left = self.client.age_left(&chain);
        let bounds = [chain.model().idle_timeout, age_left];
        self.alarm.set_after(bounds.into_iter().flatten().min());
        // Who has just connected gets an answer, even while the process drains. Where memory is short they are told apart by nothing
        // from those who never ask.
        let wish = if self.client.served.get() == 0 { Wish::Shed } else { Wish::Drain };
        let limit = chain.limits.max_head_bytes;
        poll_fn(move |context| self.poll_bytes(context, limit, wish).map(|woken| self.is_wanted(&woken)))
    }

    /// Whether an idle connection goes on.
    fn is_wanted(&mut self, woken: &Woken) -> bool {
        let chain = || self.client.admission.application();
        match woken {
            Woken::Bytes => return true,
            Woken::End => self.client.is_done.set(true),
            Woken::Asked if self.client.admission.wish() == Wish::Shed => self.client.shed(&chain()),
            Woken::Asked => chain().counters.downstream_cx_drain_close.increment(),
            Woken::Timeout => chain().counters.downstream_cx_idle_timeout.increment(),
        }
        false
    }

    async fn answer(&mut self, chain: &Rc<HttpChain>, memory: &mut Memory) -> After {
        let clock = &self.client.worker.io.clock;
        memory.outcome.begin(clock.now(), clock.unix());
        self.client.note_request(chain);
        match self.head(chain, memory).await {
            Ok(true) => {
                let after = exchange::run(self.downstream(), chain.clone(), memory).await;
                self.client.is_done.set(
                    !memory.request.keep_alive
                        && memory.outcome.received.is_some()
                        && memory.outcome.bytes_sent <= FIRST_FLIGHT
                        && self.stream.input().is_empty(),
                );
                after
            }
            Ok(false) => After::Close,
            Err(reply) => {
                chain.counters.downstream_rq_total.increment();
                memory.outcome.received = Some(self.client.worker.io.clock.now());
                // As Envoy's: of what broke the protocol nothing is told.
                memory.outcome.understood = reply.flags.is_empty();
                exchange::refuse(self.downstream(), chain.clone(), memory, reply)
            }
        }
    }

    fn downstream(&mut self) -> Downstream<'_> {
        Downstream {
            sink: Sink::Http1(self.stream.writer()),
            source: Source::Http1(&mut self.stream),
            connection: &self.client,
        }
    }

    /// Reads a request's head; `false` if the client went away in the middle of it.
    async fn head(&mut self, chain: &HttpChain, memory: &mut Memory) -> Result<bool, LocalReply> {
        // More than may be used, so that a head that is too large is seen to be.
        let limit = chain.limits.max_head_bytes + 1024;
        loop {
            match memory.request.parse(self.stream.input().bytes(), &chain.limits) {
                Ok(Some(consumed)) => {
                    self.stream.input_mut().consume(consumed);
                    if memory.request.scheme == Some(Scheme::Https) && self.client.admission.facts.tls.is_none() {
                        return Err(LocalReply::https_in_clear_text());
                    }
                    return Ok(true);
                }
                Ok(None) => {}
                Err(error) => return Err(self.bad_request(chain, &error)),
            }
            self.alarm.set(memory.outcome.began.checked_add(chain.headers_timeout));
            match self.bytes(limit, Wish::Close).await {
                Woken::Bytes => {}
                Woken::End | Woken::Asked => return Ok(false),
                Woken::Timeout => {
                    chain.counters.downstream_rq_header_timeout.increment();
                    return Err(LocalReply::headers_timeout());
                }
            }
        }
    }

    fn bad_request(&self, chain: &HttpChain, error: &RequestError) -> LocalReply {
        chain.counters.downstream_cx_protocol_error.increment();
        LocalReply::bad_request(error)
    }

    fn bytes(&mut self, limit: usize, wish: Wish) -> impl Future<Output = Woken> {
        poll_fn(move |context| self.poll_bytes(context, limit, wish))
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>, limit: usize, wish: Wish) -> Poll<Woken> {
        match self.stream.poll_fill(context, limit) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Woken::Bytes),
            Poll::Ready(_) => Poll::Ready(Woken::End),
            Poll::Pending if self.client.admission.poll_wish(context, wish).is_ready() => Poll::Ready(Woken::Asked),
            Poll::Pending => self.alarm.poll_elapsed(context).map(|()| Woken::Timeout),
        }
    }
}
