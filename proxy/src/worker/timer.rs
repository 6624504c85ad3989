//! Deadlines that cost nothing while they move into the future.
//!
//! An [`Alarm`] belongs to a connection and is set again for each request. Only a deadline *earlier* than the next check touches the
//! heap; a later one is a store, noticed when the check comes and finds that there is still time. With Istio's defaults (no route
//! timeout, one hour of idleness) a request therefore does no timer operation at all.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::clock::Clock;

/// An alarm is looked at this often, however far its deadline is.
const HORIZON: Duration = Duration::from_secs(60);

/// Stale entries that the heap may have beside as many as there are alarms.
const SPARE_CHECKS: usize = 64;

/// All alarms of a worker.
#[derive(Debug)]
pub struct Timers {
    clock: Rc<Clock>,
    origin: Instant,
    /// What the clock said last, both ways: it stands still most of the time.
    latest: Cell<(Instant, Tick)>,
    state: RefCell<State>,
}

/// A time, in nanoseconds since the timers began: half the size of an [`Instant`], and every connection has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(NonZeroU64);

impl Tick {
    /// No later than there is a number for, which is in centuries.
    fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[derive(Debug, Default)]
struct State {
    /// An alarm has one entry that counts, and may have stale ones: those that an earlier one replaced, or whose alarm is gone.
    checks: BinaryHeap<Reverse<(Tick, u32)>>,
    alarms: Vec<Entry>,
    free: Vec<u32>,
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct Entry {
    deadline: Option<Tick>,
    /// When the heap looks at it next.
    check: Option<Tick>,
    waiter: Option<Waker>,
}

impl Timers {
    /// For one worker. [`Self::run`] must be running for any alarm to go off.
    pub fn new(clock: Rc<Clock>) -> Rc<Self> {
        let origin = Instant::now();
        Rc::new(Self { origin, latest: Cell::new((origin, Tick(NonZeroU64::MIN))), clock, state: RefCell::default() })
    }

    fn tick(&self, instant: Instant) -> Tick {
        Tick(NonZeroU64::MIN).after(instant.saturating_duration_since(self.origin))
    }

    fn instant(&self, tick: Tick) -> Instant {
        self.origin + Duration::from_nanos(tick.0.get() - 1)
    }

    fn now(&self) -> Tick {
        let now = self.clock.now();
        let (at, tick) = self.latest.get();
        if at == now {
            return tick;
        }
        let tick = self.tick(now);
        self.latest.set((now, tick));
        tick
    }

    /// Wakes the tasks whose time has come, for as long as the worker lives.
    pub async fn run(self: Rc<Self>) {
        let mut sleep = pin!(tokio::time::sleep_until(tokio::time::Instant::now()));
        let mut target = None;
        poll_fn(|context| -> Poll<()> {
            loop {
                self.clock.invalidate();
                let next = self.fire(context.waker());
                let Some(next) = next else { return Poll::Pending };
                if target != Some(next) {
                    target = Some(next);
                    sleep.as_mut().reset(next.into());
                }
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                target = None;
            }
        })
        .await;
    }

    /// Handles what is due; returns the time of the next check.
    fn fire(&self, task: &Waker) -> Option<Instant> {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        if !state.task.as_ref().is_some_and(|waker| waker.will_wake(task)) {
            state.task = Some(task.clone());
        }
        while let Some(&Reverse((at, index))) = state.checks.peek() {
            if at > now {
                return Some(self.instant(at));
            }
            state.checks.pop();
            state.check(at, index, now);
        }
        None
    }
}

impl State {
    fn check(&mut self, at: Tick, index: u32, now: Tick) {
        let Some(entry) = self.alarms.get_mut(index as usize).filter(|entry| entry.check == Some(at)) else { return };
        entry.check = None;
        match entry.deadline {
            Some(deadline) if deadline > now => self.arm(index, deadline, now),
            Some(_) => {
                if let Some(waiter) = entry.waiter.take() {
                    waiter.wake();
                }
            }
            None => {}
        }
    }

    fn arm(&mut self, index: u32, deadline: Tick, now: Tick) {
        let Some(entry) = self.alarms.get_mut(index as usize) else { return };
        let at = deadline.min(now.after(HORIZON));
        entry.check = Some(at);
        let earliest = self.checks.peek().is_none_or(|Reverse((first, _))| at < *first);
        self.checks.push(Reverse((at, index)));
        self.drop_stale_checks();
        if earliest && let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Builds the heap anew once more than half of it is stale. Each time pays for at least as many entries as there are alarms, so
    /// that setting an alarm is not made slower.
    fn drop_stale_checks(&mut self) {
        if self.checks.len() <= 2 * self.alarms.len() + SPARE_CHECKS {
            return;
        }
        self.checks.clear();
        let check = |(index, entry): (u32, &Entry)| entry.check.map(|at| Reverse((at, index)));
        self.checks.extend((0..).zip(&self.alarms).filter_map(check));
    }
}

/// One deadline that may be moved at any time. It wakes the task that waits for it.
#[derive(Debug)]
pub struct Alarm {
    timers: Rc<Timers>,
    index: u32,
}

impl Alarm {
    /// An alarm without a deadline.
    pub fn new(timers: &Rc<Timers>) -> Self {
        let mut state = timers.state.borrow_mut();
        let index = state.free.pop().unwrap_or_else(|| {
            state.alarms.push(Entry::default());
            (state.alarms.len() - 1) as u32
        });
        Self { timers: timers.clone(), index }
    }

    /// Sets or clears the deadline.
    pub fn set(&self, deadline: Option<Instant>) {
        self.set_tick(deadline.map(|deadline| self.timers.tick(deadline)));
    }

    /// Sets the deadline so far from now; clears it for `None`.
    pub fn set_after(&self, duration: Option<Duration>) {
        self.set_tick(duration.map(|duration| self.timers.now().after(duration)));
    }

    fn set_tick(&self, deadline: Option<Tick>) {
        let mut state = self.timers.state.borrow_mut();
        let Some(entry) = state.alarms.get_mut(self.index as usize) else { return };
        entry.deadline = deadline;
        // Almost always a check comes before.
        if let Some(deadline) = deadline
            && entry.check.is_none_or(|check| check > deadline)
        {
            state.arm(self.index, deadline, self.timers.now());
        }
    }

    /// The deadline.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = self.timers.state.borrow().alarms.get(self.index as usize).and_then(|entry| entry.deadline);
        deadline.map(|deadline| self.timers.instant(deadline))
    }

    /// Ready when the deadline has passed; never without one.
    pub fn poll_elapsed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.timers.state.borrow_mut();
        let Some(entry) = state.alarms.get_mut(self.index as usize) else { return Poll::Pending };
        let Some(deadline) = entry.deadline else { return Poll::Pending };
        if self.timers.now() >= deadline {
            return Poll::Ready(());
        }
        if !entry.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(context.waker())) {
            entry.waiter = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for the deadline.
    pub async fn elapsed(&self) {
        poll_fn(|context| self.poll_elapsed(context)).await;
    }

    /// The result of `work`, or `None` if the deadline passes first.
    pub async fn limit<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_elapsed(context).map(|()| None),
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = self.timers.state.borrow_mut();
        let entry = state.alarms.get_mut(self.index as usize).map(std::mem::take);
        state.free.push(self.index);
        drop(state);
        drop(entry); // may drop a task, and with it other alarms
    }
}

#[cfg(test)]
mod tests;
