//! Sends what the tasks of a worker put, in batches.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::task::JoinSet;

use super::Io;
use super::connection::Connection;

/// The connections with unsent bytes, and the task that sends them.
///
/// The first put of a turn wakes the task, which thereby lands at the end of the run queue: behind every task that is ready now.
#[derive(Default)]
pub struct Flusher {
    dirty: RefCell<Vec<Rc<Connection>>>,
    task: RefCell<Option<Waker>>,
    blocked: RefCell<JoinSet<()>>,
}

impl Flusher {
    /// Sends whatever is put, for as long as the worker lives.
    pub async fn run(io: Rc<Io>) {
        poll_fn(|context| -> Poll<()> {
            let flusher = &io.flusher;
            let mut task = flusher.task.borrow_mut();
            if !task.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *task = Some(context.waker().clone());
            }
            drop(task);
            if let Some(ring) = &io.ring {
                ring.wake_me(context);
                ring.hear(context);
            }
            flusher.flush(&io);
            Poll::Pending
        })
        .await;
    }

    /// Sends everything that was put until now.
    pub fn flush(&self, io: &Io) {
        let mut batch = self.dirty.take();
        if !batch.is_empty() {
            io.clock.invalidate();
            for connection in &batch {
                if connection.flush() {
                    self.wait_for_room(connection.clone());
                }
            }
        }
        // A ring hands over at the same time what came.
        if let Some(ring) = &io.ring
            && ring.turn()
        {
            io.clock.invalidate();
        }
        // Not before their bytes were tried: what a connection leaves behind in a ring is cancelled.
        batch.clear();
        let mut dirty = self.dirty.borrow_mut();
        if dirty.is_empty() {
            *dirty = batch;
        }
    }

    /// Adds a connection to the next batch.
    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let count = {
            let mut dirty = self.dirty.borrow_mut();
            dirty.push(connection.clone());
            dirty.len()
        };
        if count == 1
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    /// A socket that took less than all is rare enough for a task of its own.
    fn wait_for_room(&self, connection: Rc<Connection>) {
        let mut blocked = self.blocked.borrow_mut();
        while blocked.try_join_next().is_some() {}
        blocked.spawn_local(connection.drain());
    }
}

impl fmt::Debug for Flusher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Flusher")
            .field("dirty", &self.dirty.borrow().len())
            .field("blocked", &self.blocked.borrow().len())
            .finish_non_exhaustive()
    }
}
