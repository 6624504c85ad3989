//! Deadlines that cost nothing while they move into the future.
//!
//! An [`Alarm`] belongs to a connection and is set again for each request. Only a deadline *earlier* than the next check touches the
//! heap; a later one is a store, noticed when the check comes and finds that there is still time. With Istio's defaults (no route
//! timeout, one hour of idleness) a request therefore does no timer operation at all.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
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
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// An alarm has one entry that counts, and may have stale ones: those that an earlier one replaced, or whose alarm is gone.
    checks: BinaryHeap<Reverse<(Instant, usize)>>,
    alarms: Vec<Entry>,
    free: Vec<usize>,
    task: Option<Waker>,
}

#[derive(Debug, Default)]
struct Entry {
    deadline: Option<Instant>,
    /// When the heap looks at it next.
    check: Option<Instant>,
    waiter: Option<Waker>,
}

impl Timers {
    /// For one worker. [`Self::run`] must be running for any alarm to go off.
    pub fn new(clock: Rc<Clock>) -> Rc<Self> {
        Rc::new(Self { clock, state: RefCell::default() })
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
        let now = self.clock.now();
        let mut state = self.state.borrow_mut();
        if !state.task.as_ref().is_some_and(|waker| waker.will_wake(task)) {
            state.task = Some(task.clone());
        }
        while let Some(&Reverse((at, index))) = state.checks.peek() {
            if at > now {
                return Some(at);
            }
            state.checks.pop();
            state.check(at, index, now);
        }
        None
    }
}

impl State {
    fn check(&mut self, at: Instant, index: usize, now: Instant) {
        let Some(entry) = self.alarms.get_mut(index).filter(|entry| entry.check == Some(at)) else { return };
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

    fn arm(&mut self, index: usize, deadline: Instant, now: Instant) {
        let Some(entry) = self.alarms.get_mut(index) else { return };
        // No check is ever further away than the horizon.
        let at = deadline.min(now + HORIZON);
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
        let check = |(index, entry): (usize, &Entry)| entry.check.map(|at| Reverse((at, index)));
        self.checks.extend(self.alarms.iter().enumerate().filter_map(check));
    }
}

/// One deadline that may be moved at any time. It wakes the task that waits for it.
#[derive(Debug)]
pub struct Alarm {
    timers: Rc<Timers>,
    index: usize,
}

impl Alarm {
    /// An alarm without a deadline.
    pub fn new(timers: &Rc<Timers>) -> Self {
        let mut state = timers.state.borrow_mut();
        let index = state.free.pop().unwrap_or(state.alarms.len());
        if index == state.alarms.len() {
            state.alarms.push(Entry::default());
        }
        Self { timers: timers.clone(), index }
    }

    /// Sets or clears the deadline.
    pub fn set(&self, deadline: Option<Instant>) {
        let mut state = self.timers.state.borrow_mut();
        let Some(entry) = state.alarms.get_mut(self.index) else { return };
        entry.deadline = deadline;
        // Almost always a check comes before.
        if let Some(deadline) = deadline
            && entry.check.is_none_or(|check| check > deadline)
        {
            state.arm(self.index, deadline, self.timers.clock.now());
        }
    }

    /// Sets the deadline so far from now; clears it for `None`.
    pub fn set_after(&self, duration: Option<Duration>) {
        self.set(duration.and_then(|duration| self.timers.clock.now().checked_add(duration)));
    }

    /// The deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.state.borrow().alarms.get(self.index).and_then(|entry| entry.deadline)
    }

    /// Ready when the deadline has passed; never without one.
    pub fn poll_elapsed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.timers.state.borrow_mut();
        let Some(entry) = state.alarms.get_mut(self.index) else { return Poll::Pending };
        let Some(deadline) = entry.deadline else { return Poll::Pending };
        if self.timers.clock.now() >= deadline {
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
        let entry = state.alarms.get_mut(self.index).map(std::mem::take);
        state.free.push(self.index);
        drop(state);
        drop(entry); // may drop a task, and with it other alarms
    }
}

#[cfg(test)]
mod tests;
