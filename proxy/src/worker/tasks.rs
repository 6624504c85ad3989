//! The tasks of a worker. None is ever detached: a drain waits for them, and ends those that take too long.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use tokio::task::JoinSet;

/// All tasks that serve connections.
#[derive(Default)]
pub struct Tasks {
    running: RefCell<JoinSet<()>>,
    supervisor: Cell<Option<Waker>>,
    waiting: Cell<Option<Waker>>,
}

impl Tasks {
    /// Starts a task on this worker.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut running = self.running.borrow_mut();
        running.spawn_local(task);
        if running.len() == 1 {
            wake(&self.supervisor);
        }
    }

    /// How many are running.
    pub fn len(&self) -> usize {
        self.running.borrow().len()
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Buries what ended, for as long as the worker lives. A panic ends its own task only: `panicked` counts it.
    pub async fn supervise(&self, panicked: impl Fn()) {
        poll_fn(|context| -> Poll<()> {
            let mut running = self.running.borrow_mut();
            while let Poll::Ready(Some(ended)) = running.poll_join_next(context) {
                if ended.is_err_and(|error| error.is_panic()) {
                    panicked();
                }
            }
            if running.is_empty() {
                self.supervisor.set(Some(context.waker().clone()));
                wake(&self.waiting);
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits until no task is running. [`Self::supervise`] must be running.
    pub async fn finished(&self) {
        poll_fn(|context| {
            if self.is_empty() {
                return Poll::Ready(());
            }
            self.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Ends all tasks at their next turn.
    pub fn abort(&self) {
        self.running.borrow_mut().abort_all();
    }
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tasks").field("running", &self.len()).finish_non_exhaustive()
    }
}
