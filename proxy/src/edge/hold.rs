//! One process is an edge.

use std::path::Path;
use std::time::Duration;

use overlay::folder::{Folder, FolderError, FolderLock};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::drain::Phase;

/// How often a process that has taken over looks whether the one before it has let go of the folder.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Takes an edge's folder for this process; one that takes over does so when it serves, because the one before it has the folder until then. What is
/// returned holds it, until the process drains: the next one may start then, as when it is started again.
///
/// # Errors
/// Another process has it, or it is of no use.
pub(crate) fn hold(
    folder: &Path,
    mut drain: watch::Receiver<Phase>,
) -> Result<impl Future<Output = ()> + use<>, FolderError> {
    let folder = Folder::open(folder)?;
    let takes_over = *drain.borrow() == Phase::TakingOver;
    let first = if takes_over { None } else { Some(folder.lock()?) };
    Ok(async move {
        let lock = match first {
            Some(lock) => Some(lock),
            None => next(&folder, &mut drain).await,
        };
        // Where nobody drains any more the process ends.
        let _ = drain.wait_for(|phase| *phase >= Phase::Draining).await;
        drop(lock);
    })
}

/// Waits for the process before; for nothing, if this one ends first.
async fn next(folder: &Folder, drain: &mut watch::Receiver<Phase>) -> Option<FolderLock> {
    let _ = drain.wait_for(|phase| *phase >= Phase::Serving).await;
    while *drain.borrow() < Phase::Draining {
        if let Ok(lock) = folder.lock() {
            return Some(lock);
        }
        sleep(TRY_EVERY).await;
    }
    None
}
