//! Tasks that wait for the same thing, and are woken together.
//!
//! Whoever gives up, or ends, leaves nothing behind: a waker keeps the memory of its task, and what many wait for may not happen for days.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Those who wait for one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiters(Rc<RefCell<List>>);

#[derive(Debug, Default)]
struct List {
    last: u64,
    /// Who came first is woken first.
    wakers: BTreeMap<u64, Waker>,
}

/// That a task waits, for as long as this is kept. A new one waits for nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Waiter(Option<Entry>);

#[derive(Debug)]
struct Entry {
    waiters: Waiters,
    number: u64,
}

impl Waiters {
    /// Wakes a task the next time, and no longer for what its `waiter` has waited for elsewhere.
    pub(crate) fn wait(&self, waiter: &mut Waiter, context: &Context<'_>) {
        waiter.0.take_if(|entry| !Rc::ptr_eq(&entry.waiters.0, &self.0));
        let number = waiter.0.get_or_insert_with(|| self.enter()).number;
        let is_known = self.0.borrow().wakers.get(&number).is_some_and(|waker| waker.will_wake(context.waker()));
        if !is_known {
            // The former one may be all that is left of a task, whose end comes back here: it goes when nothing is borrowed.
            let _former = self.0.borrow_mut().wakers.insert(number, context.waker().clone());
        }
    }

    /// Wakes all who wait. Whoever has to wait on comes again.
    pub(crate) fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.0.borrow_mut().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    fn enter(&self) -> Entry {
        let mut list = self.0.borrow_mut();
        list.last += 1;
        Entry { waiters: self.clone(), number: list.last }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _former = self.waiters.0.borrow_mut().wakers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// How often a task was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        (woken.clone(), woken.into())
    }

    #[test]
    fn who_waits_is_woken_once_however_often_it_says_so() {
        let (waiters, mut waiter) = (Waiters::default(), Waiter::default());
        let (woken, waker) = task();
        for expected in 1..3 {
            waiters.wait(&mut waiter, &Context::from_waker(&waker));
            waiters.wait(&mut waiter, &Context::from_waker(&waker));
            waiters.wake_all();
            waiters.wake_all();
            assert_eq!(woken.count(), expected);
        }
    }

    #[test]
    fn who_waits_no_longer_leaves_nothing_behind() {
        let (waiters, mut waiter) = (Waiters::default(), Waiter::default());
        let (first, second) = (task(), task());
        waiters.wait(&mut waiter, &Context::from_waker(&first.1));
        waiters.wait(&mut waiter, &Context::from_waker(&second.1));
        assert_eq!((Arc::strong_count(&first.0), Arc::strong_count(&second.0)), (2, 3));
        drop(waiter);
        assert_eq!(Arc::strong_count(&second.0), 2);
        waiters.wake_all();
        assert_eq!((first.0.count(), second.0.count()), (0, 0));
    }

    #[test]
    fn who_waits_for_something_else_is_not_woken_for_the_former() {
        let (former, present, mut waiter) = (Waiters::default(), Waiters::default(), Waiter::default());
        let (woken, waker) = task();
        former.wait(&mut waiter, &Context::from_waker(&waker));
        present.wait(&mut waiter, &Context::from_waker(&waker));
        former.wake_all();
        assert_eq!(woken.count(), 0);
        present.wake_all();
        assert_eq!(woken.count(), 1);
    }
}
