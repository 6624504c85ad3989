//! One process is an edge.

use std::path::Path;

use overlay::folder::{Folder, FolderError};
use tokio::sync::watch;

use crate::drain::Phase;

/// Takes an edge's folder for this process. What is returned holds it, until the process drains: the next one may start then, as when it is started again.
///
/// # Errors
/// Another process has it, or it is of no use.
pub(crate) fn hold(
    folder: &Path,
    mut drain: watch::Receiver<Phase>,
) -> Result<impl Future<Output = ()> + use<>, FolderError> {
    let lock = Folder::open(folder)?.lock()?;
    Ok(async move {
        // Where nobody drains any more the process ends.
        let _ = drain.wait_for(|phase| *phase >= Phase::Draining).await;
        drop(lock);
    })
}
