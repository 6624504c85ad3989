//! An HTTP/1 connection of a client: requests one after the other, until either side has enough.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use h1::{RequestError, Scheme};

use super::HttpChain;
use super::connection::LAST_FLUSH;
use super::downstream::{ClientConnection, Downstream};
use super::exchange::{self, After};
use super::local_reply::LocalReply;
use super::message::Memory;
use super::sink::Sink;
use super::source::Source;
use crate::io::{HIGH_WATER, Stream, StreamWriter};
use crate::worker::connection::Wish;
use crate::worker::timer::Alarm;

/// How HTTP/2 begins where nothing else tells it from HTTP/1 (Envoy looks at so much of the preface, RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// An HTTP/1 connection of a client.
struct Connection<'c> {
    stream: &'c mut Stream,
    writer: StreamWriter,
    client: &'c Rc<ClientConnection>,
    /// For the time between requests and within heads.
    alarm: &'c Alarm,
}

/// How serving a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The connection is over.
    Over,
    /// It speaks HTTP/2; nothing was taken from it.
    Http2,
}

/// Serves requests one after the other until either side has enough. `may_be_http2`: the first bytes say which protocol it is.
pub(super) async fn serve(
    stream: &mut Stream,
    client: &Rc<ClientConnection>,
    alarm: &Alarm,
    may_be_http2: bool,
) -> End {
    let mut connection = Connection { writer: stream.writer(), stream, client, alarm };
    if may_be_http2 && connection.begins_http2().await {
        return End::Http2;
    }
    let counters = client.admission.application().counters.clone();
    counters.downstream_cx_http1_total.increment();
    let _active = counters.downstream_cx_http1_active.hold();
    while connection.serve_next().await {}
    End::Over
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

impl Connection<'_> {
    /// Whether the first bytes are those of HTTP/2.
    async fn begins_http2(&mut self) -> bool {
        let chain = self.client.admission.application();
        if self.stream.input().is_empty() && !self.idle(&chain).await {
            return false;
        }
        self.alarm.set_after(Some(chain.headers_timeout));
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

    /// Serves one request; `false` when the connection is over.
    async fn serve_next(&mut self) -> bool {
        let chain = self.client.admission.application();
        if self.writer.backlog() > HIGH_WATER && !self.room(&chain).await {
            return false;
        }
        if self.stream.input().is_empty() && !self.idle(&chain).await {
            return false;
        }
        let mut memory = self.client.worker.memory.take();
        let after = self.serve_request(&chain, &mut memory).await;
        self.client.worker.memory.give(memory);
        after == After::NextRequest
    }

    /// Waits until the client has read enough of the answers so far: whoever asks without reading must not fill our memory.
    async fn room(&mut self, chain: &HttpChain) -> bool {
        self.alarm.set_after(chain.model().idle_timeout.or(Some(LAST_FLUSH)));
        poll_fn(|context| match self.writer.poll_room(context) {
            Poll::Ready(room) => Poll::Ready(room.is_ok()),
            Poll::Pending if self.client.admission.poll_wish(context, Wish::Close).is_ready() => Poll::Ready(false),
            Poll::Pending => self.alarm.poll_elapsed(context).map(|()| false),
        })
        .await
    }

    /// Waits for the first byte of a request. An idle connection holds no memory.
    async fn idle(&mut self, chain: &HttpChain) -> bool {
        let age_left = self.client.age_left(chain);
        let bounds = [chain.model().idle_timeout, age_left];
        self.alarm.set_after(bounds.into_iter().flatten().min());
        // Who has just connected gets an answer, even while the process drains.
        let wish = if self.client.served.get() == 0 { Wish::Close } else { Wish::Drain };
        match self.bytes(chain.limits.max_head_bytes, wish).await {
            Woken::Bytes => true,
            Woken::End => false,
            Woken::Asked => {
                chain.counters.downstream_cx_drain_close.increment();
                false
            }
            Woken::Timeout => {
                chain.counters.downstream_cx_idle_timeout.increment();
                false
            }
        }
    }

    async fn serve_request(&mut self, chain: &Rc<HttpChain>, memory: &mut Memory) -> After {
        let clock = &self.client.worker.io.clock;
        memory.outcome.begin(clock.now(), clock.unix());
        self.client.served.set(self.client.served.get() + 1);
        match self.head(chain, memory).await {
            Ok(true) => exchange::run(self.downstream(), chain.clone(), memory).await,
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
            source: Source::Http1(self.stream),
            sink: Sink::Http1(self.writer.clone()),
            connection: self.client,
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
        poll_fn(move |context| match self.stream.poll_fill(context, limit) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Woken::Bytes),
            Poll::Ready(_) => Poll::Ready(Woken::End),
            Poll::Pending if self.client.admission.poll_wish(context, wish).is_ready() => Poll::Ready(Woken::Asked),
            Poll::Pending => self.alarm.poll_elapsed(context).map(|()| Woken::Timeout),
        })
    }
}
