//! Moves the bytes of a link.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use overlay_wire::mux::{Event, Limits, MuxError, Side};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Link, LinkEnd, code};
use crate::node::count;
use crate::wait;

/// Read at once, bytes.
const READ: usize = 64 * 1024;
/// Written at once, bytes: enough for the system, and little enough that what is urgent need not wait behind it.
const WRITE: usize = 32 * 1024;
/// Rounds of reading and writing before other tasks get their turn: enough that there is much for each of many streams by then.
const ROUNDS: usize = 48;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// When a link is asked whether it lives.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two pings, while nothing is sent.
    pub ping_every: Duration,
    /// Between two pings, while something is.
    pub busy_ping_every: Duration,
    /// An answer that takes longer than this, and than three usual ones, makes the link suspect.
    pub suspect_after: Duration,
    /// Without anything from the other side for so long the link is given up.
    pub silence: Duration,
    /// Something is to be sent, and the connection has taken nothing for so long: the link is given up, whatever the other side says meanwhile.
    pub stuck: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(1),
            busy_ping_every: Duration::from_millis(200),
            suspect_after: Duration::from_millis(300),
            silence: Duration::from_secs(10),
            stuck: Duration::from_secs(15),
        }
    }
}

/// The moving part of a [`Link`]. It must be run, and the link ends with it.
pub struct Driver<T> {
    link: Link,
    transport: T,
    timing: Timing,
    input: Vec<u8>,
    /// Where received bytes end.
    filled: usize,
    output: Vec<u8>,
    written: usize,
    needs_flush: bool,
    /// Since when the connection takes nothing of what is to be sent.
    stuck_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    next_ping: Instant,
    last_heard: Instant,
    ping: u64,
    ping_sent: Option<Instant>,
    /// Something was sent since the last ping.
    busy: bool,
    /// When the last words are given up.
    farewell: Option<Instant>,
    /// What the end will be when the last words are said; nothing is read any more.
    broken_rule: Option<MuxError>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    /// A link over a connection. Our first words are `hello`.
    pub fn new(transport: T, side: Side, limits: Limits, hello: Vec<u8>, timing: Timing) -> (Link, Self) {
        let link = Link::new(side, limits, hello);
        let now = Instant::now();
        let driver = Self {
            link: link.clone(),
            transport,
            timing,
            input: vec![0; READ],
            filled: 0,
            output: Vec::new(),
            written: 0,
            needs_flush: false,
            stuck_since: None,
            timer: Box::pin(sleep_until(now)),
            next_ping: now,
            last_heard: now,
            ping: 0,
            ping_sent: None,
            busy: false,
            farewell: None,
            broken_rule: None,
        };
        (link, driver)
    }

    /// Runs until the link ends. If it is dropped before, the link breaks.
    pub async fn run(mut self) -> LinkEnd {
        let end = poll_fn(|context| self.poll(context)).await;
        self.link.finish(end.clone());
        end
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<LinkEnd> {
        wait(&mut self.link.0.driver.borrow_mut(), context);
        for _ in 0..ROUNDS {
            if let Some(end) = self.check_time(context) {
                return Poll::Ready(end);
            }
            let read = self.broken_rule.is_none() && {
                match self.poll_read(context) {
                    Poll::Ready(Err(end)) => return Poll::Ready(end),
                    other => other.is_ready(),
                }
            };
            let wrote = match self.poll_write(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(self.broke(&error)),
                Poll::Ready(Ok(wrote)) => wrote,
                Poll::Pending => false,
            };
            if self.farewell.is_some() && self.is_all_written() {
                return Poll::Ready(self.closed_here("as asked"));
            }
            if !read && !wrote {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        let mut buffer = ReadBuf::new(&mut self.input[self.filled..]);
        let read = ready!(Pin::new(&mut self.transport).poll_read(context, &mut buffer));
        let count = buffer.filled().len();
        Poll::Ready(match read {
            Err(error) => Err(self.broke(&error)),
            Ok(()) if count == 0 => Err(LinkEnd::Ended),
            Ok(()) => {
                self.filled += count;
                if let Some(counters) = self.link.counters() {
                    counters.link_bytes_received.add(count as u64);
                }
                self.last_heard = Instant::now();
                self.receive()
            }
        })
    }

    fn receive(&mut self) -> Result<(), LinkEnd> {
        let received = self.link.0.mux.borrow_mut().receive(&self.input[..self.filled]);
        let taken = match received {
            Ok(taken) => taken,
            Err(error) => {
                self.link.close(code::PROTOCOL, &error.to_string());
                self.broken_rule = Some(error);
                self.filled
            }
        };
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        self.link.count_dropped_datagrams();
        self.handle_events()
    }

    fn handle_events(&mut self) -> Result<(), LinkEnd> {
        loop {
            // Whoever is told may use the link.
            let event = self.link.0.mux.borrow_mut().next_event();
            match event {
                None => return Ok(()),
                Some(Event::Closed(code, reason)) => return Err(LinkEnd::Closed { code, reason }),
                Some(Event::Pong(number)) => self.measure(number),
                Some(event) => self.link.handle(event),
            }
        }
    }

    /// As RFC 6298 section 2 smooths round trips.
    fn measure(&mut self, number: u64) {
        if number == self.ping
            && let Some(sent) = self.ping_sent.take()
        {
            let measured = sent.elapsed();
            let smoothed = self.link.round_trip().map_or(measured, |before| before * 7 / 8 + measured / 8);
            self.link.0.round_trip.set(Some(smoothed));
            self.link.set_suspect(false);
        }
    }

    fn closed_here(&self, how: &str) -> LinkEnd {
        self.broken_rule.map_or_else(|| LinkEnd::ClosedHere(how.into()), LinkEnd::Protocol)
    }

    /// Ready when something was written, or nothing is to be.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let wrote = self.poll_output(context);
        self.stuck_since = wrote.is_pending().then(|| self.stuck_since.unwrap_or_else(Instant::now));
        wrote
    }

    fn poll_output(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            self.link.0.mux.borrow_mut().fill(&mut self.output, WRITE);
            // What was sent made room.
            let _ = self.handle_events();
        }
        if self.written < self.output.len() {
            let count = ready!(Pin::new(&mut self.transport).poll_write(context, &self.output[self.written..]))?;
            self.written += count;
            if let Some(counters) = self.link.counters() {
                counters.link_bytes_sent.add(count as u64);
            }
            self.needs_flush = true;
            self.be_busy();
            return Poll::Ready(Ok(true));
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.transport).poll_flush(context))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(false))
    }

    /// While something is sent it is to be seen soon whether it arrives.
    fn be_busy(&mut self) {
        let soon = Instant::now() + self.timing.busy_ping_every;
        // A ping is little, and its answer is no reason for the next.
        if self.output.len() > 64 {
            self.busy = true;
            self.next_ping = self.next_ping.min(soon);
        }
    }

    fn is_all_written(&self) -> bool {
        self.written == self.output.len() && !self.needs_flush && !self.link.0.mux.borrow().has_output()
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> Option<LinkEnd> {
        if self.link.0.mux.borrow().is_closing() && self.farewell.is_none() {
            self.farewell = Some(Instant::now() + FAREWELL);
        }
        loop {
            let silent = self.last_heard + self.timing.silence;
            let overdue = self.ping_sent.filter(|_| !self.link.is_suspect()).map(|sent| sent + self.patience());
            let stuck = self.stuck_since.map(|since| since + self.timing.stuck);
            let due =
                [Some(self.next_ping), Some(silent), stuck, overdue, self.farewell].into_iter().flatten().min()?;
            self.timer.as_mut().reset(due);
            if self.timer.as_mut().poll(context).is_pending() {
                return None;
            }
            let now = Instant::now();
            if now >= silent {
                return Some(LinkEnd::Silent(self.timing.silence));
            }
            if stuck.is_some_and(|stuck| now >= stuck) {
                if let Some(counters) = self.link.counters() {
                    count(&counters.links_stuck);
                }
                return Some(LinkEnd::Stuck(self.timing.stuck));
            }
            if self.farewell.is_some_and(|farewell| now >= farewell) {
                return Some(self.closed_here("the other side did not take the last words"));
            }
            if overdue.is_some_and(|overdue| now >= overdue) {
                self.link.set_suspect(true);
            }
            if now >= self.next_ping {
                let busy = std::mem::take(&mut self.busy);
                self.next_ping = now + if busy { self.timing.busy_ping_every } else { self.timing.ping_every };
                if self.ping_sent.is_none() {
                    self.ping += 1;
                    self.ping_sent = Some(now);
                    self.link.0.mux.borrow_mut().ping(self.ping);
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        self.timing.suspect_after.max(self.link.round_trip().unwrap_or_default() * 3)
    }

    fn broke(&self, error: &io::Error) -> LinkEnd {
        if error.kind() == io::ErrorKind::UnexpectedEof { LinkEnd::Ended } else { LinkEnd::Broke(error.to_string()) }
    }
}

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.link.finish(LinkEnd::ClosedHere("its driver was dropped".into()));
    }
}

impl<T> fmt::Debug for Driver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Driver").field("link", &self.link).finish_non_exhaustive()
    }
}
