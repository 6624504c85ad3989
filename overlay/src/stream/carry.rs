//! The task of a stream: legs, and what they carry.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use overlay_wire::budget::Budget;
use overlay_wire::leg::{Open, RefuseCode, StreamKey};
use overlay_wire::mux::Urgency;
use overlay_wire::stream::{self as wire, Leg, LegError, Route};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempts::Attempts;
use super::carrier::Carrier;
use super::{OverlayStream, PIECE, Shared};
use crate::link::{LinkStream, code};
use crate::node::{Limits, LinkId, Links, count, refuse};
use crate::waiters::Waiter;

/// How long the other side of a stream that is over may still ask for the end of it, and how long this side tries to tell it.
const LINGER: Duration = Duration::from_secs(30);

/// A leg that the other side has opened for a stream, with what followed its first frame.
pub(crate) struct Opened {
    pub(crate) open: Open,
    pub(crate) stream: LinkStream,
    pub(crate) link: LinkId,
    pub(crate) rest: Vec<u8>,
}

/// The task of one stream.
pub(crate) struct Carry {
    shared: Rc<Shared>,
    links: Rc<Links>,
    /// When time began.
    epoch: Instant,
    legs: Vec<Carrier>,
    next_leg: u64,
    opened: mpsc::Receiver<Opened>,
    timer: Pin<Box<Sleep>>,
    attempts: Attempts,
    /// It is over since then.
    over_since: Option<Instant>,
    undelivered: Duration,
    /// Nobody has the stream any more, and since then as much as this has waited to arrive.
    waits_since: Option<(Instant, usize)>,
    /// Bytes that were sent once more, as far as they are counted.
    sent_again: u64,
    /// For a link that comes or goes.
    links_waiter: Waiter,
}

impl Carry {
    /// A stream that this edge opens.
    pub(crate) fn open(
        key: StreamKey,
        route: Route,
        limits: &Limits,
        kept: Budget,
        links: Rc<Links>,
        opened: mpsc::Receiver<Opened>,
    ) -> (OverlayStream, Self) {
        Self::new(wire::Stream::open(key, route, limits.stream, Duration::ZERO), limits, kept, links, opened)
    }

    /// A stream that another edge has opened, by its first leg.
    pub(crate) fn accept(
        first: Opened,
        shard: u16,
        limits: &Limits,
        kept: Budget,
        links: Rc<Links>,
        opened: mpsc::Receiver<Opened>,
    ) -> (OverlayStream, Self) {
        let leg = Leg(0);
        let stream = wire::Stream::accept(&first.open, shard, leg, limits.stream);
        let (handle, mut carry) = Self::new(stream, limits, kept, links, opened);
        carry.take(leg, first);
        (handle, carry)
    }

    fn new(
        mut stream: wire::Stream,
        limits: &Limits,
        kept: Budget,
        links: Rc<Links>,
        opened: mpsc::Receiver<Opened>,
    ) -> (OverlayStream, Self) {
        stream.keep_within(kept);
        let epoch = Instant::now();
        let shared = Shared::new(stream);
        let handle = OverlayStream { shared: shared.clone() };
        let carry = Self {
            shared,
            links,
            epoch,
            legs: Vec::new(),
            next_leg: 0,
            opened,
            timer: Box::pin(sleep_until(epoch)),
            attempts: Attempts::new(epoch),
            over_since: None,
            undelivered: limits.undelivered,
            waits_since: None,
            sent_again: 0,
            links_waiter: Waiter::default(),
        };
        (handle, carry)
    }

    /// Runs until the stream is over and nobody asks for it any more.
    pub(crate) async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        crate::wait(&mut self.shared.wakers.borrow_mut().task, context);
        while let Poll::Ready(Some(opened)) = self.opened.poll_recv(context) {
            self.take_opened(opened);
        }
        self.let_go_if_dropped();
        self.receive(context);
        self.open_leg_if_needed(context);
        self.send(context);
        self.shared.wake_user();
        self.wait_for_time(context)
    }

    /// Whoever used the stream is gone: what it finished goes on until it has arrived, or nothing of it does; everything else is given up.
    fn let_go_if_dropped(&mut self) {
        if !self.shared.wakers.borrow().dropped {
            return;
        }
        let mut stream = self.shared.stream.borrow_mut();
        let mut unread = [0; PIECE];
        while let wire::Read::Bytes(_) = stream.read(&mut unread) {}
        let (now, kept) = (Instant::now(), stream.kept());
        let since = self.waits_since.filter(|(_, before)| *before == kept).map_or(now, |(since, _)| since);
        self.waits_since = Some((since, kept));
        let may_go_on = stream.is_finished() && !stream.is_delivered() && now < since + self.undelivered;
        if !may_go_on && !stream.is_over() {
            stream.reset(code::DROPPED.0);
        }
    }

    fn take_opened(&mut self, opened: Opened) {
        let leg = Leg(self.next_leg);
        let added = self.shared.stream.borrow_mut().add_opened_leg(leg, &opened.open);
        match added {
            Ok(()) => self.take(leg, opened),
            Err(error @ LegError::OtherShard { .. }) => {
                refuse(opened.stream, RefuseCode::UnknownStream, format!("{}: {error}", opened.open.to));
            }
            Err(error) => {
                tracing::debug!(peer = opened.open.from, "a leg is not taken: {error}");
                opened.stream.reset(code::PROTOCOL);
            }
        }
    }

    fn take(&mut self, leg: Leg, opened: Opened) {
        self.next_leg = leg.0 + 1;
        let Opened { stream, link, rest, .. } = opened;
        self.legs.push(Carrier::new(leg, link, stream));
        self.received(leg, &rest);
    }

    fn received(&mut self, leg: Leg, bytes: &[u8]) -> bool {
        let now = self.now();
        let received = self.shared.stream.borrow_mut().receive(leg, bytes, now);
        if let Err(error) = &received {
            tracing::debug!(peer = self.shared.stream.borrow().route().to, "a leg is given up: {error}");
            if matches!(error, LegError::Refused(RefuseCode::NoRoute, _)) {
                self.shared.way.is_missing();
            }
        }
        received.is_ok()
    }

    fn receive(&mut self, context: &Context<'_>) {
        let mut piece = [0; PIECE];
        let mut at = 0;
        while at < self.legs.len() {
            let leg = self.legs[at].leg;
            let ended = loop {
                match self.legs[at].stream.poll_read_into(context, &mut piece) {
                    Poll::Pending => break false,
                    Poll::Ready(Ok(count)) if count > 0 => {
                        if !self.received(leg, &piece[..count]) {
                            break true;
                        }
                    }
                    Poll::Ready(_) => break true,
                }
            };
            self.shared.take_datagrams(&self.legs[at], self.links.counters());
            if ended { self.lose(at) } else { at += 1 }
        }
        if self.shared.stream.borrow().current_leg().is_some() {
            self.attempts.succeeded();
            self.shared.way.is_found();
        }
    }

    fn lose(&mut self, at: usize) {
        let carrier = self.legs.remove(at);
        let now = self.now();
        self.shared.stream.borrow_mut().lose_leg(carrier.leg, now);
        carrier.stream.reset(code::DONE);
    }

    /// Opens a leg if there is none to send on, or the one there is may be dead, and none is being opened.
    fn open_leg_if_needed(&mut self, context: &Context<'_>) {
        let mut is_suspect = |leg| {
            let carrier = self.legs.iter_mut().find(|carrier| carrier.leg == leg);
            carrier.is_none_or(|carrier| carrier.watch(&self.links, context))
        };
        let (current, is_opening) = {
            let stream = self.shared.stream.borrow();
            if stream.is_over() {
                return;
            }
            let current = stream.current_leg();
            if current.is_some_and(|leg| !is_suspect(leg)) {
                self.attempts.forget_links();
                return;
            }
            // Each is watched: nothing else may happen until one of them is suspect, too.
            (current, stream.opening_legs().map(is_suspect).filter(|is_suspect| !is_suspect).count() > 0)
        };
        if is_opening || Instant::now() < self.attempts.not_before() {
            return;
        }
        let current_link = current.map(|leg| self.link_of(leg));
        self.links.wake_on_change(&mut self.links_waiter, context);
        let chosen = self.links.choose(self.shared.stream.borrow().route(), current_link, self.attempts.links());
        let Some((link, handle)) = chosen else { return };
        self.attempts.begin(link, Instant::now());
        if let Ok(Some(stream)) = handle.try_open(Urgency::default()) {
            let leg = Leg(self.next_leg);
            self.next_leg += 1;
            self.shared.stream.borrow_mut().add_leg(leg);
            count(&self.links.counters().legs_opened);
            self.legs.push(Carrier::new(leg, link, stream));
        }
    }

    fn link_of(&self, leg: Leg) -> LinkId {
        self.legs.iter().find(|carrier| carrier.leg == leg).map_or(LinkId::NONE, |carrier| carrier.link)
    }

    fn send(&mut self, context: &Context<'_>) {
        let now = self.now();
        let mut at = 0;
        while at < self.legs.len() {
            let carrier = &mut self.legs[at];
            let sent = carrier.send(&self.shared, context, now);
            if sent.is_err() { self.lose(at) } else { at += 1 }
        }
        let current = self.shared.stream.borrow().current_leg();
        let carrier = self.legs.iter().find(|carrier| Some(carrier.leg) == current);
        self.shared.way.leads_over(carrier.map_or(LinkId::NONE, |carrier| carrier.link));
        self.shared.send_datagrams(carrier, self.links.counters());
        let sent_again = self.shared.stream.borrow().sent_again();
        let more = sent_again - std::mem::replace(&mut self.sent_again, sent_again);
        self.links.counters().stream_bytes_sent_again.add(more);
    }

    /// Ready when nothing is left to be done. Whatever could be sent was sent: what is due already waits for room on a link, not for time.
    fn wait_for_time(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let elapsed = self.now();
            let (deadline, is_over, has_end) = {
                let mut stream = self.shared.stream.borrow_mut();
                stream.elapse(elapsed);
                (stream.deadline(), stream.is_over(), stream.end().is_some())
            };
            if (is_over || has_end) && self.over_since.is_none() {
                self.over_since = Some(Instant::now());
                self.shared.wake_user();
            }
            let forgotten = self.over_since.map(|since| since + LINGER);
            let now = Instant::now();
            // Of one that was given up the other side is told, if it listens.
            if is_over && has_end {
                self.legs.iter().for_each(|carrier| carrier.stream.finish());
                return Poll::Ready(());
            }
            if forgotten.is_some_and(|forgotten| now >= forgotten) {
                return Poll::Ready(());
            }
            let given_up = self.waits_since.map(|(since, _)| since + self.undelivered);
            let times =
                [deadline.map(|deadline| self.epoch + deadline), forgotten, Some(self.attempts.not_before()), given_up];
            let Some(due) = times.into_iter().flatten().filter(|due| *due > now).min() else { return Poll::Pending };
            self.timer.as_mut().reset(due);
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.let_go_if_dropped();
            self.open_leg_if_needed(context);
            self.send(context);
        }
    }
}
