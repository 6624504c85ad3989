//! Room for the state of work that comes and goes. A connection does not carry the state of a request while it waits for one, and a
//! request neither asks the allocator for it nor moves it anywhere.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Spare rooms that are kept; more are given back to the allocator.
const MOST_SPARE: usize = 512;

/// Makes what works in a room.
type Furnish<I, O> = Box<dyn Fn(Rc<Desk<I, O>>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// The spare rooms of a worker for work of one kind, which makes an `O` of an `I`.
pub struct WorkPool<I, O> {
    furnish: Furnish<I, O>,
    spare: RefCell<Vec<Room<I, O>>>,
}

/// Where work is done, one piece after the other. Its future never ends: the next piece finds its place there already.
struct Room<I, O> {
    desk: Rc<Desk<I, O>>,
    work: Pin<Box<dyn Future<Output = ()>>>,
}

/// What is to be done in a room, and what was.
struct Desk<I, O> {
    given: Cell<Option<I>>,
    done: Cell<Option<O>>,
}

/// Work in a room of a pool.
pub struct Pooled<'p, I, O> {
    pool: &'p WorkPool<I, O>,
    /// `None` once the work is done.
    room: Option<Room<I, O>>,
}

impl<I: 'static, O: 'static> WorkPool<I, O> {
    /// For what `work` does.
    pub fn new<F: Future<Output = O>>(work: impl Fn(I) -> F + Copy + 'static) -> Self {
        let furnish: Furnish<I, O> = Box::new(move |desk| {
            Box::pin(async move {
                loop {
                    let given = poll_fn(|_| desk.given.take().map_or(Poll::Pending, Poll::Ready)).await;
                    desk.done.set(Some(work(given).await));
                }
            })
        });
        Self { furnish, spare: RefCell::default() }
    }

    /// Does it in a room, until it is done or dropped.
    pub fn run(&self, given: I) -> Pooled<'_, I, O> {
        let room = self.spare.borrow_mut().pop().unwrap_or_else(|| self.room());
        room.desk.given.set(Some(given));
        Pooled { pool: self, room: Some(room) }
    }

    fn room(&self) -> Room<I, O> {
        let desk = Rc::new(Desk { given: Cell::new(None), done: Cell::new(None) });
        Room { work: (self.furnish)(desk.clone()), desk }
    }
}

impl<I, O> Future for Pooled<'_, I, O> {
    type Output = O;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        let Some(room) = &mut self.room else { return Poll::Pending };
        // It waits for the work, or for more.
        let _ = room.work.as_mut().poll(context);
        let Some(done) = room.desk.done.take() else { return Poll::Pending };
        // A room in which something was given up, or went wrong, is not used again.
        let room = self.room.take();
        let mut spare = self.pool.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.extend(room);
        }
        Poll::Ready(done)
    }
}

impl<I, O> fmt::Debug for WorkPool<I, O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WorkPool").field("spare", &self.spare.borrow().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use super::*;

    fn address<I, O>(pooled: &Pooled<'_, I, O>) -> *const () {
        pooled.room.as_ref().map_or(std::ptr::null(), |room| std::ptr::from_ref(&*room.work).cast())
    }

    #[tokio::test]
    async fn a_room_is_used_again_and_again() {
        let pool = WorkPool::new(|number: usize| async move {
            tokio::task::yield_now().await;
            number
        });
        let first = pool.run(1);
        let room = address(&first);
        assert_eq!(first.await, 1);
        let (second, third) = (pool.run(2), pool.run(3));
        assert_eq!(address(&second), room);
        assert_ne!(address(&third), room);
        assert_eq!((third.await, second.await), (3, 2));
        let again = pool.run(4);
        assert_eq!(address(&again), room, "given back last");
        assert_eq!(again.await, 4);
    }

    #[tokio::test]
    async fn what_is_given_up_is_dropped_at_once_and_its_room_with_it() {
        struct Dropped(Rc<Cell<bool>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let (pool, dropped) = (
            WorkPool::new(|guard: Dropped| async move {
                let _guard = guard;
                pending::<()>().await;
            }),
            Rc::new(Cell::new(false)),
        );
        let mut pooled = pool.run(Dropped(dropped.clone()));
        assert!(Pin::new(&mut pooled).poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
        drop(pooled);
        assert!(dropped.get());
        assert!(pool.spare.borrow().is_empty());
        drop(pool.run(Dropped(Rc::default()))); // never polled
        assert!(pool.spare.borrow().is_empty());
    }
}
