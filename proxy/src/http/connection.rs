//! One client connection: requests one after the other, until either side has enough.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use h1::{RequestError, Scheme};

use super::HttpChain;
use super::downstream::{ClientConnection, Downstream};
use super::exchange::{self, After};
use super::local_reply::LocalReply;
use super::message::Memory;
use super::sink::Sink;
use super::source::Source;
use crate::io::{HIGH_WATER, Stream, StreamWriter};
use crate::worker::Worker;
use crate::worker::connection::{Admission, Wish};
use crate::worker::timer::Alarm;

/// How long a client may take to read what is left when the connection closes.
const LAST_FLUSH: Duration = Duration::from_secs(30);

/// How long a closing connection waits for the client to close too, so that the answer is not lost to a reset (RFC 9112 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// An HTTP/1 connection of a client.
struct Connection {
    stream: Stream,
    writer: StreamWriter,
    client: Rc<ClientConnection>,
    /// For the time between requests and within heads.
    alarm: Alarm,
}

/// Serves a connection until it ends.
pub async fn serve(stream: Stream, admission: Rc<Admission<HttpChain>>, worker: Rc<Worker>) {
    let counters = admission.application().counters.clone();
    counters.downstream_cx_total.increment();
    let _active = counters.downstream_cx_active.hold();
    let mut connection = Connection {
        writer: stream.writer(),
        stream,
        alarm: Alarm::new(&worker.timers),
        client: ClientConnection::new(admission, worker),
    };
    while connection.serve_next().await {}
    connection.close().await;
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
            source: Source::Http1(&mut self.stream),
            sink: Sink::Http1(self.writer.clone()),
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
        poll_fn(move |context| match self.stream.poll_fill(context, limit) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Woken::Bytes),
            Poll::Ready(_) => Poll::Ready(Woken::End),
            Poll::Pending if self.client.admission.poll_wish(context, wish).is_ready() => Poll::Ready(Woken::Asked),
            Poll::Pending => self.alarm.poll_elapsed(context).map(|()| Woken::Timeout),
        })
    }

    /// Sends what is left and closes, without cutting off an answer that the client has not read yet.
    async fn close(mut self) {
        self.writer.finish();
        self.alarm.set_after(Some(LAST_FLUSH));
        if !matches!(self.alarm.limit(self.writer.flushed()).await, Some(Ok(()))) {
            return;
        }
        self.alarm.set_after(Some(LINGER));
        let stream = &mut self.stream;
        let drain = async {
            let block = crate::io::BLOCK_SIZE;
            while stream.fill(block).await.is_ok_and(|count| count > 0) {
                stream.input_mut().consume(usize::MAX);
            }
        };
        let _ = self.alarm.limit(drain).await;
    }
}
