//! Clients that are too slow: whoever sends a byte now and then is never silent, and holds a request for as long as it likes.

use std::num::NonZeroU32;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use h1::{RequestHead, ResponseHead, Version};

use super::grpc::is_grpc;
use crate::worker::Worker;
use crate::worker::clock::Clock;
use crate::worker::timer::Alarm;

/// Time over which a rate is measured: a pause in a radio network is shorter.
const PERIOD: Duration = Duration::from_secs(10);

/// What a client must send of a request's body, and take of an answer's, in the time for which it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumRate {
    /// Bytes of a period.
    pub bytes: u64,
    /// It has no more time than this for so many.
    pub period: Duration,
}

impl MinimumRate {
    /// So many bytes a second.
    pub fn per_second(bytes: NonZeroU32) -> Self {
        Self { bytes: u64::from(bytes.get()) * PERIOD.as_secs(), period: PERIOD }
    }
}

/// Which end of a body the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Source,
    Sink,
}

/// The pace of one body. Only time that is spent on waiting for the client counts: it is not to blame for the endpoint.
#[derive(Debug)]
pub(super) struct Pace {
    client: Client,
    rate: MinimumRate,
    alarm: Alarm,
    clock: Rc<Clock>,
    /// Of the period under way.
    waited: Duration,
    /// Bytes of the body when it began.
    moved: u64,
}

impl Pace {
    /// For the body of a request, if there is a rate to hold. Messages of gRPC, which is HTTP/2, come when there is something to say.
    pub(super) fn of_request(request: &RequestHead, worker: &Worker) -> Option<Box<Self>> {
        let is_exempt = request.version == Version::Http2 && is_grpc(request.fields());
        Self::unless(is_exempt, Client::Source, worker)
    }

    /// The same for the body of an answer: whether it is gRPC is not for the client to say.
    pub(super) fn of_answer(response: &ResponseHead, worker: &Worker) -> Option<Box<Self>> {
        Self::unless(is_grpc(response.fields()), Client::Sink, worker)
    }

    fn unless(is_exempt: bool, client: Client, worker: &Worker) -> Option<Box<Self>> {
        let rate = worker.process.minimum_rate.filter(|_| !is_exempt)?;
        let (alarm, clock) = (Alarm::new(&worker.timers), worker.io.clock.clone());
        Some(Box::new(Self { client, rate, alarm, clock, waited: Duration::ZERO, moved: 0 }))
    }

    /// Waits for an end of a body of which so much was moved; `None` if it is the client's, and too slow.
    pub(super) async fn wait<T>(
        pace: Option<&mut Self>,
        end: Client,
        moved: u64,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        match pace {
            Some(pace) if pace.client == end => pace.limit(moved, work).await,
            _ => Some(work.await),
        }
    }

    async fn limit<T>(&mut self, moved: u64, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let began = self.now();
            self.alarm.set(began.checked_add(self.rate.period.saturating_sub(self.waited)));
            let output = self.alarm.limit(work.as_mut()).await;
            if output.is_some() {
                self.waited += self.now().saturating_duration_since(began);
                return output;
            }
            if moved - self.moved < self.rate.bytes {
                return None;
            }
            (self.waited, self.moved) = (Duration::ZERO, moved);
        }
    }

    /// Nothing may have been flushed since the worker last slept.
    fn now(&self) -> std::time::Instant {
        self.clock.invalidate();
        self.clock.now()
    }
}
