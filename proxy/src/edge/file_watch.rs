//! A file that nobody else is to change, and whether somebody did.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use crate::telemetry::seldom::Seldom;

/// How often it is looked at: its metadata alone, so that it costs nothing where nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one content from another without reading it.
type Stamp = (u64, u64, Option<SystemTime>);

/// A file as this process has left it.
#[derive(Debug)]
pub(super) struct FileWatch {
    path: PathBuf,
    left: Option<Stamp>,
    next_look: Instant,
    changes: Seldom,
}

impl FileWatch {
    /// Of a file that is not looked at before [`Self::left_as`].
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), left: None, next_look: Instant::now(), changes: Seldom::default() }
    }

    /// It has this content from now on.
    pub(super) fn left_as(&mut self, content: &[u8]) {
        // Somebody may have been as fast: what is read after the stamp was taken is what the stamp is of, or later.
        let stamp = self.stamp();
        self.left = std::fs::read(&self.path).is_ok_and(|found| found == content).then_some(stamp).flatten();
        self.next_look = Instant::now() + LOOK_EVERY;
    }

    /// Returns when it is not as it was left: gone, replaced, or another content.
    ///
    /// Cancel safe.
    pub(super) async fn changed(&mut self) {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + LOOK_EVERY;
            if self.left.is_none() || self.stamp() != self.left {
                if let Some(times) = self.changes.happened(std::time::Instant::now()) {
                    tracing::warn!(times, "{} was changed by somebody else: it is written again", self.path.display());
                }
                return;
            }
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata: Metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_somebody_deletes_or_writes_is_seen_and_one_of_our_own_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut watch = FileWatch::new(&path);
        let mut changes = async |change: &dyn Fn()| {
            std::fs::write(&path, "ours").unwrap();
            watch.left_as(b"ours");
            change();
            timeout(3 * LOOK_EVERY, watch.changed()).await.is_ok()
        };
        assert!(!changes(&|| {}).await);
        assert!(changes(&|| std::fs::remove_file(&path).unwrap()).await);
        assert!(changes(&|| std::fs::write(&path, "").unwrap()).await);
        assert!(!changes(&|| {}).await);

        // Between our writing and our looking.
        std::fs::write(&path, "theirs").unwrap();
        watch.left_as(b"ours");
        assert!(timeout(3 * LOOK_EVERY, watch.changed()).await.is_ok());
    }
}
