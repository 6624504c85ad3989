//! Reads a folder again when its files change.

mod look;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::control_plane::{Generated, LocalControlPlane};
use crate::problem::Problem;
use look::Look;

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it must have been as it is to be read. A service that one edge offers is waited for here at both edges, and is to be there within two
/// seconds.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

/// What a look at the folder showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The folder is good, and this is what it comes to now.
    Loaded(Box<Generated>),
    /// The folder is not good: what was loaded before goes on.
    Rejected(Vec<Problem>),
}

/// Watches a folder by asking for the size, times and identity of its files. That also sees files that are replaced by renaming and
/// links that are turned to another folder, as a mounted ConfigMap does it, on every file system.
///
/// A change is read when two looks in a row, the second soon after the first, show the same; when a file has vanished or is empty, only once it has been so for three
/// seconds.
#[derive(Debug)]
pub struct Watch {
    look: Arc<Mutex<Look>>,
    /// When to look again.
    next: Instant,
    /// A look on another thread.
    under_way: Option<JoinHandle<Option<Event>>>,
}

impl Watch {
    pub(crate) fn new(control_plane: LocalControlPlane) -> Self {
        Self { look: Arc::new(Mutex::new(Look::new(control_plane))), next: Instant::now(), under_way: None }
    }

    /// Waits for a change; the first time it does not wait. Files are read on a thread for what blocks, so the caller's is free.
    ///
    /// Cancel safe: a look that is under way goes on, and a change that was not delivered is delivered the next time.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, and where reading the folder panics.
    pub async fn next(&mut self) -> Event {
        loop {
            if self.under_way.is_none() {
                tokio::time::sleep_until(self.next.into()).await;
            }
            let look = &self.look;
            let under_way = self.under_way.get_or_insert_with(|| {
                let look = look.clone();
                tokio::task::spawn_blocking(move || {
                    look.lock().unwrap_or_else(PoisonError::into_inner).check(Instant::now())
                })
            });
            let looked = under_way.await;
            self.under_way = None;
            let pause = self.look.lock().unwrap_or_else(PoisonError::into_inner).pause();
            self.next = Instant::now() + pause;
            match looked {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime ends, and this with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}
