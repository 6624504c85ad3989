//! When the time for a request is up. There are several times, and one alarm for whichever ends first.

use std::rc::Rc;
use std::time::{Duration, Instant};

use h1::{Fields, Header, RequestHead};
use route::Forward;

use crate::http::grpc;
use crate::http::outcome::Outcome;
use crate::worker::Worker;
use crate::worker::timer::{Alarm, Timers};
use xds_model::http::HttpConnectionManager;

/// Bounds on a request that its route sets, and those of gRPC itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Bounds {
    /// On the answer, counted from the end of the request.
    pub(in crate::http) answer: Option<Duration>,
    /// On the life of the stream; `None` for that of the connection manager.
    pub(in crate::http) life: Option<Duration>,
    /// The endpoint is told of the bound on the answer as of its deadline.
    pub(in crate::http) is_deadline: bool,
}

/// What a route makes of a request (Envoy, `FilterUtility::finalTimeout` and `ActiveStream::refreshDurationTimeout`).
pub(in crate::http) fn bounds(forward: &Forward, request: &RequestHead) -> Bounds {
    let is_set = |time: Option<Duration>| time.filter(|time| !time.is_zero());
    if let Some(stream) = &forward.max_stream_duration {
        let counted = stream.grpc_timeout_header_max.filter(|_| grpc::is_grpc(request.fields()));
        let said = counted.and_then(|most| Some((most, grpc::deadline(request.fields())?)));
        let life = match said {
            Some((most, said)) => {
                let said = is_set(Some(most)).map_or(said, |most| said.min(most));
                Some(said.saturating_sub(stream.grpc_timeout_header_offset).max(Duration::from_nanos(1)))
            }
            None => stream.duration,
        };
        return Bounds { answer: None, life, is_deadline: false };
    }
    match forward.grpc_timeout.filter(|_| grpc::is_grpc(request.fields())) {
        None => Bounds { answer: is_set(forward.timeout), ..Bounds::default() },
        Some(times) => {
            let said = is_set(grpc::deadline(request.fields()));
            let said = said.map(|said| if times.offset < said { said - times.offset } else { said });
            Bounds { answer: said.into_iter().chain(is_set(times.max)).min(), life: None, is_deadline: true }
        }
    }
}

/// Tells the upstream how long the answer is waited for, when so much of the time has passed (Envoy,
/// `FilterUtility::setTimeoutHeaders`).
pub(in crate::http) fn write_expected_timeout(
    fields: &mut Fields,
    forward: &Forward,
    bounds: Bounds,
    passed: Duration,
) {
    let per_try = forward.retry.as_ref().and_then(|retry| retry.per_try_timeout);
    let per_try = per_try.filter(|time| !time.is_zero());
    let Some(milliseconds) = expected_timeout(bounds.answer, per_try, passed) else { return };
    fields.remove(Header::XEnvoyExpectedRqTimeoutMs);
    let _ = fields.append_value(Header::XEnvoyExpectedRqTimeoutMs, |value| value.put_number(milliseconds));
    if bounds.is_deadline {
        grpc::write_deadline(fields, milliseconds);
    }
}

/// In milliseconds; never zero, which would mean without end.
fn expected_timeout(whole: Option<Duration>, per_try: Option<Duration>, passed: Duration) -> Option<u64> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let left = whole.map(|whole| milliseconds(whole).saturating_sub(milliseconds(passed)).max(1));
    left.into_iter().chain(per_try.map(milliseconds)).min()
}

/// Whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The request did not arrive in time.
    Arrival,
    /// The answer is not there in time.
    Answer,
    /// One try took too long.
    Try,
    /// Nothing came for too long.
    Silence,
}

/// When a request and its try must have ended.
pub(super) struct Deadlines {
    /// Only made if something can end.
    alarm: Option<Alarm>,
    /// The route's.
    timeout: Option<Duration>,
    silence: Option<Duration>,
    /// The request must have arrived by then.
    arrival: Option<Instant>,
    /// The answer must be there by then; with a route timeout known once the request was received.
    answer: Option<Instant>,
    /// The answer to the try under way must be there by then.
    attempt: Option<Instant>,
}

impl Deadlines {
    /// As the route and the connection manager want it.
    pub(super) fn new(forward: &Forward, manager: &HttpConnectionManager, outcome: &mut Outcome) -> Self {
        let silence = forward.idle_timeout.or(manager.stream_idle_timeout).filter(|time| !time.is_zero());
        outcome.idle_timeout = silence;
        let life = outcome.bounds.life.or(manager.max_stream_duration).filter(|time| !time.is_zero());
        let from_begin = |bound: Option<Duration>| bound.and_then(|bound| outcome.began.checked_add(bound));
        Self {
            alarm: None,
            timeout: outcome.bounds.answer,
            silence,
            arrival: from_begin(manager.request_timeout),
            answer: from_begin(life),
            attempt: None,
        }
    }

    /// The route's timeout counts from here (Envoy: from the end of the request).
    pub(super) fn request_received(&mut self, now: Instant, outcome: &mut Outcome) {
        outcome.received.get_or_insert(now);
        self.arrival = None;
        if let Some(timeout) = self.timeout.take() {
            self.answer = self.answer.into_iter().chain(now.checked_add(timeout)).min();
        }
        outcome.end = self.answer;
    }

    /// A try begins; the time of the one before does not count any more.
    pub(super) fn attempt_begins(&mut self) {
        self.attempt = None;
    }

    /// The request of a try is sent: its answer may take so long (Envoy counts from here, too).
    pub(super) fn request_sent(&mut self, now: Instant, bound: Option<Duration>) {
        self.attempt = bound.and_then(|bound| now.checked_add(bound));
    }

    /// The earliest but that of silence.
    pub(super) fn earliest(&self) -> Option<Instant> {
        [self.arrival, self.answer, self.attempt].into_iter().flatten().min()
    }

    /// How long nothing may come.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.silence
    }

    /// The alarm as it was set last, if it was.
    pub(super) fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    /// Sets the alarm to what ends first; no alarm if nothing does.
    pub(super) fn arm(&mut self, worker: &Worker) {
        let silence = self.silence.and_then(|time| worker.io.clock.now().checked_add(time));
        let deadline = self.earliest().into_iter().chain(silence).min();
        if deadline.is_some() || self.alarm.is_some() {
            self.set(&worker.timers, deadline);
        }
    }

    /// Sets the alarm to the time of the answer alone, for as long as there is no connection to wait on.
    pub(super) fn arm_answer(&mut self, timers: &Rc<Timers>) -> Option<&Alarm> {
        self.answer.map(|end| self.set(timers, Some(end)))
    }

    /// Waits before a retry; `false` if the time for the answer is up first.
    pub(super) async fn pause(&mut self, worker: &Worker, pause: Duration) -> bool {
        let until = worker.io.clock.now() + pause;
        if self.answer.is_some_and(|end| end <= until) {
            return false;
        }
        self.set(&worker.timers, Some(until)).elapsed().await;
        worker.io.clock.invalidate();
        true
    }

    /// The alarm went off: why?
    pub(super) fn expired(&self, now: Instant) -> Expired {
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|end| now >= end);
        match () {
            () if is_over(self.arrival) => Expired::Arrival,
            () if is_over(self.answer) => Expired::Answer,
            () if is_over(self.attempt) => Expired::Try,
            () => Expired::Silence,
        }
    }

    fn set(&mut self, timers: &Rc<Timers>, deadline: Option<Instant>) -> &Alarm {
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(timers));
        alarm.set(deadline);
        alarm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_is_told_the_shorter_of_a_try_and_what_is_left() {
        let time = |milliseconds: u64| Some(Duration::from_millis(milliseconds));
        let cases = [
            (None, None, 5, None),
            (time(1000), None, 0, Some(1000)),
            (time(1000), time(300), 600, Some(300)),
            (time(1000), time(300), 800, Some(200)),
            (time(1000), time(300), 1000, Some(1)),
            (time(300), time(1000), 0, Some(300)),
            (None, time(300), 9000, Some(300)),
        ];
        for (whole, per_try, passed, expected) in cases {
            assert_eq!(
                expected_timeout(whole, per_try, Duration::from_millis(passed)),
                expected,
                "{whole:?} {per_try:?}"
            );
        }
    }
}
