//! Tasks that do one piece of work after the other. What the beginning and the end of a task cost, memory for its state above all, is
//! paid once, not for each piece.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::tasks::Tasks;

/// Idle tasks that are kept; more end.
const MOST_IDLE: usize = 512;

/// Begins a task with its first piece of work.
type Begin<I> = Box<dyn Fn(I, &Tasks)>;

/// The tasks of a worker for work of one kind.
pub struct TaskPool<I> {
    begin: Begin<I>,
    idle: Rc<Idle<I>>,
}

/// Those that wait for work, the last one that had some at the end.
struct Idle<I>(RefCell<Vec<Rc<Desk<I>>>>);

/// Where a task finds its next piece of work.
struct Desk<I> {
    given: Cell<Option<I>>,
    task: RefCell<Option<Waker>>,
}

impl<I: 'static> TaskPool<I> {
    /// For what `work` does.
    pub fn new<F: Future<Output = ()> + 'static>(work: impl Fn(I) -> F + Copy + 'static) -> Self {
        let idle = Rc::new(Idle(RefCell::default()));
        let kept = idle.clone();
        let begin: Begin<I> = Box::new(move |given, tasks| tasks.spawn(serve(given, work, kept.clone())));
        Self { begin, idle }
    }

    /// Has it done by an idle task, or by a new one of `tasks`. A task that panics is gone, like any other. Once `tasks` were aborted
    /// nothing is done any more.
    pub fn run(&self, given: I, tasks: &Tasks) {
        let idle = self.idle.0.borrow_mut().pop();
        match idle {
            Some(desk) => desk.give(given),
            None => (self.begin)(given, tasks),
        }
    }
}

/// A task of a pool.
async fn serve<I, F: Future<Output = ()>>(first: I, work: impl Fn(I) -> F, idle: Rc<Idle<I>>) {
    let desk = Rc::new(Desk { given: Cell::new(None), task: RefCell::default() });
    let mut given = first;
    loop {
        work(given).await;
        if !idle.keep(&desk) {
            return;
        }
        given = poll_fn(|context| desk.poll_given(context)).await;
    }
}

impl<I> Idle<I> {
    /// `false` if there are enough.
    fn keep(&self, desk: &Rc<Desk<I>>) -> bool {
        let mut idle = self.0.borrow_mut();
        let is_wanted = idle.len() < MOST_IDLE;
        if is_wanted {
            idle.push(desk.clone());
        }
        is_wanted
    }
}

impl<I> Desk<I> {
    fn give(&self, given: I) {
        self.given.set(Some(given));
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    fn poll_given(&self, context: &mut Context<'_>) -> Poll<I> {
        if let Some(given) = self.given.take() {
            return Poll::Ready(given);
        }
        // It is the same task for as long as it lives.
        self.task.borrow_mut().get_or_insert_with(|| context.waker().clone());
        Poll::Pending
    }
}

impl<I> fmt::Debug for TaskPool<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskPool").field("idle", &self.idle.0.borrow().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::{Id, LocalSet, id};

    use super::*;

    /// Answers which task it is; panics if nobody wants to know.
    async fn tell(who_asks: Option<oneshot::Sender<Id>>) {
        let Some(who_asks) = who_asks else { panic!("on purpose") };
        // It is not done at once.
        tokio::task::yield_now().await;
        let _ = who_asks.send(id());
    }

    fn ask(pool: &TaskPool<Option<oneshot::Sender<Id>>>, tasks: &Tasks) -> oneshot::Receiver<Id> {
        let (sender, receiver) = oneshot::channel();
        pool.run(Some(sender), tasks);
        receiver
    }

    #[tokio::test]
    async fn a_task_does_one_piece_of_work_after_the_other() -> Result<(), oneshot::error::RecvError> {
        let (pool, tasks) = (TaskPool::new(tell), Tasks::default());
        LocalSet::new()
            .run_until(async {
                let first = ask(&pool, &tasks).await?;
                assert_eq!(ask(&pool, &tasks).await?, first);
                let (second, third) = (ask(&pool, &tasks), ask(&pool, &tasks));
                let (second, third) = (second.await?, third.await?);
                assert_eq!(second, first);
                assert_ne!(third, first);
                assert_eq!(tasks.len(), 2);
                Ok(())
            })
            .await
    }

    #[tokio::test]
    async fn a_task_that_panicked_gets_no_more_work() -> Result<(), oneshot::error::RecvError> {
        let (pool, tasks) = (TaskPool::new(tell), Tasks::default());
        LocalSet::new()
            .run_until(async {
                let first = ask(&pool, &tasks).await?;
                pool.run(None, &tasks);
                let second = ask(&pool, &tasks).await?;
                assert_ne!(second, first);
                assert_eq!(ask(&pool, &tasks).await?, second);
                Ok(())
            })
            .await
    }

    #[tokio::test]
    async fn no_more_than_some_stay_idle() -> Result<(), oneshot::error::RecvError> {
        let (pool, tasks) = (TaskPool::new(tell), Tasks::default());
        LocalSet::new()
            .run_until(async {
                let asked: Vec<_> = (0..MOST_IDLE + 10).map(|_| ask(&pool, &tasks)).collect();
                for answer in asked {
                    answer.await?;
                }
                assert_eq!(pool.idle.0.borrow().len(), MOST_IDLE);
                Ok(())
            })
            .await
    }
}
