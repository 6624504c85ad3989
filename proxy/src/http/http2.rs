//! An HTTP/2 connection of a client: many requests at once, each a task of its own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h1::RequestHead;

use super::HttpChain;
use super::downstream::{ClientConnection, Downstream};
use super::exchange;
use super::message::Memory;
use super::sink::Sink;
use super::source::Source;
use crate::http2::{self, Code, IdleTime, Keepalive, Over, Requests, Role};
use crate::io::{Stream, Traffic};
use crate::telemetry::access_log::Record;
use crate::telemetry::response_flags::ResponseFlags;
use crate::worker::connection::Wish;
use crate::worker::task_pool::TaskPool;
use crate::worker::timer::Alarm;

/// A client that is asked to leave may still send requests for this long: what it sent before it heard of it is not lost
/// (RFC 9113 section 6.8).
const NOTICE: Duration = Duration::from_secs(1);

/// A request whose head has arrived, and who asks.
struct Asked {
    stream: http2::Stream,
    client: Rc<ClientConnection>,
    memory: Box<Memory>,
}

/// The tasks of requests over HTTP/2.
#[derive(Debug)]
pub struct StreamPool(TaskPool<Asked>);

impl Default for StreamPool {
    fn default() -> Self {
        Self(TaskPool::new(Asked::serve))
    }
}

/// Serves a connection until either side has enough.
pub(super) async fn serve(stream: &mut Stream, client: &Rc<ClientConnection>, alarm: &Alarm) {
    client.is_multiplexed.set(true);
    let chain = client.admission.application();
    chain.counters.downstream_cx_http2_total.increment();
    let _active = chain.counters.downstream_cx_http2_active.hold();
    let core = client.worker.core();
    let connection = http2::Connection::start(Role::Server, chain.http2, stream.writer(), &core.io, &core.spare_heads);
    let keepalive = Keepalive::new(chain.model().http2.keepalive, core);
    let (stage, idle) = (Stage::Open, IdleTime::default());
    let mut serving = Serving { client, alarm, connection: &connection, stage, idle, owed: None, keepalive };
    let over = poll_fn(|context| serving.poll(context, stream)).await;
    match over {
        Over::Peer => {}
        Over::Protocol(reason) => {
            tracing::debug!(client = %client.admission.facts.remote, "an HTTP/2 connection is closed: {reason}");
            chain.counters.downstream_cx_protocol_error.increment();
        }
        Over::Flood(limit) => {
            warn_of_flood(client, limit);
            chain.counters.downstream_cx_http2_flood.increment();
        }
        // It was said already.
        Over::Local if serving.stage == Stage::Leaving => {}
        Over::Local => connection.go_away(Code::NO_ERROR),
    }
    connection.end(over);
    serving.count(stream);
}

/// Names one client in a minute: the counter has them all.
fn warn_of_flood(client: &ClientConnection, limit: &str) {
    let core = client.worker.core();
    if let Some(count) = core.client_floods.happened(core.io.clock.now()) {
        let client = client.admission.facts.remote;
        tracing::warn!(%client, count, "a client's HTTP/2 connection is closed: too many {limit}");
    }
}

/// How far a connection is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The client knows that it should leave, and may send what is on its way.
    Noticed,
    /// It closes with the last request.
    Leaving,
}

struct Serving<'c> {
    client: &'c Rc<ClientConnection>,
    /// For the end of silence, of the connection's time, and of the notice.
    alarm: &'c Alarm,
    connection: &'c Rc<http2::Connection>,
    stage: Stage,
    idle: IdleTime,
    /// What the client has begun and must end, and until when.
    owed: Option<(u64, Alarm)>,
    keepalive: Option<Keepalive>,
}

impl Serving<'_> {
    fn poll(&mut self, context: &mut Context<'_>, stream: &mut Stream) -> Poll<Over> {
        let mut accepting = Accepting { client: self.client, accepted: false };
        let driven = self.connection.poll_drive(context, stream, &mut accepting);
        let accepted = accepting.accepted;
        self.count(stream);
        if let Poll::Ready(over) = driven {
            return Poll::Ready(over);
        }
        let chain = self.client.admission.application();
        if self.client.admission.poll_wish(context, Wish::Close).is_ready() {
            return Poll::Ready(Over::Local);
        }
        if self.poll_owed(context, stream, &chain).is_ready() {
            chain.counters.downstream_rq_header_timeout.increment();
            return Poll::Ready(Over::Local);
        }
        let core = self.client.worker.core();
        if self.keepalive.as_mut().is_some_and(|keepalive| keepalive.poll(context, self.connection, core).is_ready()) {
            chain.counters.downstream_cx_http2_keepalive_timeout.increment();
            return Poll::Ready(Over::Local);
        }
        let enough = self.client.is_to_end() || (accepted && self.client.is_last(&chain));
        if self.stage == Stage::Open && enough {
            self.leave(&chain);
        }
        self.poll_end(context, &chain)
    }

    /// Ready when the client has left a head, or what else it began, unfinished for too long.
    fn poll_owed(&mut self, context: &mut Context<'_>, stream: &Stream, chain: &HttpChain) -> Poll<()> {
        let Some(number) = self.connection.owed(stream) else {
            self.owed = None;
            return Poll::Pending;
        };
        let known = self.owed.take().filter(|(known, _)| *known == number);
        let (_, alarm) = self.owed.insert(known.unwrap_or_else(|| {
            let alarm = Alarm::new(&self.client.worker.timers);
            alarm.set_after(Some(chain.headers_timeout));
            (number, alarm)
        }));
        alarm.poll_elapsed(context)
    }

    /// Asks the client to leave.
    fn leave(&mut self, chain: &HttpChain) {
        match self.client.admission.wish() {
            Wish::Serve => {}
            Wish::Shed => self.client.shed(chain),
            Wish::LastRequest | Wish::Drain | Wish::Close => chain.counters.downstream_cx_drain_close.increment(),
        }
        self.connection.drain();
        self.stage = Stage::Noticed;
        self.alarm.set_after(Some(NOTICE));
    }

    /// What else may end the connection.
    fn poll_end(&mut self, context: &mut Context<'_>, chain: &HttpChain) -> Poll<Over> {
        let active = self.connection.active() > 0;
        loop {
            match self.stage {
                Stage::Leaving if !active => return Poll::Ready(Over::Local),
                Stage::Leaving => return Poll::Pending,
                Stage::Noticed => {
                    if self.alarm.poll_elapsed(context).is_pending() {
                        return Poll::Pending;
                    }
                    // Whoever goes on all the same does not hold the connection open.
                    self.connection.go_away(Code::NO_ERROR);
                    self.stage = Stage::Leaving;
                }
                Stage::Open => {
                    let client = self.client;
                    let time = |active: bool| {
                        chain.model().idle_timeout.filter(|_| !active).into_iter().chain(client.age_left(chain)).min()
                    };
                    if self.idle.poll(context, self.connection, self.alarm, time).is_pending() {
                        return Poll::Pending;
                    }
                    if !active {
                        chain.counters.downstream_cx_idle_timeout.increment();
                    }
                    self.leave(chain);
                }
            }
        }
    }

    /// Counts the bytes that went through.
    fn count(&self, stream: &mut Stream) {
        let Traffic { received, sent } = stream.take_traffic();
        let counters = &self.client.admission.application().counters;
        counters.downstream_cx_rx_bytes_total.add(received);
        counters.downstream_cx_tx_bytes_total.add(sent);
    }
}

/// Takes the requests of a connection.
struct Accepting<'c> {
    client: &'c Rc<ClientConnection>,
    accepted: bool,
}

impl Requests for Accepting<'_> {
    /// Gives a request to a task.
    fn opened(&mut self, stream: http2::Stream, head: &mut RequestHead) {
        let client = self.client;
        let mut memory = client.worker.memory.take();
        std::mem::swap(&mut memory.request, head);
        client.note_request(&client.admission.application());
        let asked = Asked { stream, client: client.clone(), memory };
        client.worker.streams.0.run(asked, &client.worker.tasks);
        self.accepted = true;
    }

    /// Whoever broke the protocol is told nothing, but the log has a line, as Envoy's.
    fn refused(&mut self, code: Code, detail: &'static str) {
        let chain = self.client.admission.application();
        chain.counters.downstream_rq_total.increment();
        chain.counters.downstream_rq_http2_refused.increment();
        let flags = match code {
            Code::PROTOCOL_ERROR => ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR,
            _ => ResponseFlags::DOWNSTREAM_REMOTE_RESET,
        };
        let worker = &self.client.worker;
        let record = Record {
            log_type: "DownstreamEnd",
            filter_chain: &chain.snapshot.chain,
            started: worker.io.clock.unix(),
            protocol: "HTTP/2",
            flags,
            details: detail,
            ..Record::of_connection(&self.client.admission.facts, &worker.process.host_name)
        };
        for log in chain.snapshot.access_log.iter() {
            log.log(&record, &worker.logs);
        }
    }
}

impl Asked {
    /// Serves the request.
    async fn serve(self) {
        let Self { mut stream, client, mut memory } = self;
        let clock = &client.worker.io.clock;
        memory.outcome.begin(clock.now(), clock.unix());
        let chain = client.admission.application();
        let sink = Sink::Http2(stream.writer());
        let downstream = Downstream { source: Source::Http2(&mut stream), sink, connection: &client };
        exchange::run(downstream, chain, &mut memory).await;
        client.worker.memory.give(memory);
        if !stream.is_answered() {
            stream.reset(Code::INTERNAL_ERROR);
        }
    }
}
