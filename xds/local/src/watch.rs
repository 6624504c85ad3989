//! Reads a folder again when its files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::control_plane::{Generated, LocalControlPlane};
use crate::load;
use crate::problem::{Problem, Problems};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// A file that changed less than so many seconds ago may change again without showing it: times on disk are coarse.
const UNSETTLED_SECONDS: u64 = 2;

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
#[derive(Debug)]
pub struct Watch {
    control_plane: LocalControlPlane,
    seen: Option<Vec<Fingerprint>>,
    last: Option<Event>,
}

/// A file that has not changed has the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of its content, and of anything about it.
    changed: [i64; 4],
    /// Whether a further change would show.
    is_settled: bool,
}

impl Watch {
    pub(crate) fn new(control_plane: LocalControlPlane) -> Self {
        Self { control_plane, seen: None, last: None }
    }

    /// Waits for a change; the first time it does not wait.
    ///
    /// Cancel safe: a change that was not delivered is delivered the next time.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.check() {
                return event;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Looks once: what the folder comes to, if that is not what it came to at the last look.
    pub fn check(&mut self) -> Option<Event> {
        // Taken before the files are read: a file that changes while it is read is read again the next time.
        let fingerprints = self.fingerprints();
        let is_settled = fingerprints.iter().all(|fingerprint| fingerprint.is_settled);
        if is_settled && self.seen.as_ref() == Some(&fingerprints) {
            return None;
        }
        self.seen = Some(fingerprints);
        let event = match self.control_plane.load() {
            Ok(generated) => Event::Loaded(Box::new(generated)),
            Err(problems) => Event::Rejected(problems),
        };
        if self.last.as_ref() == Some(&event) {
            return None;
        }
        self.last = Some(event.clone());
        Some(event)
    }

    fn fingerprints(&self) -> Vec<Fingerprint> {
        let files = load::files(self.control_plane.directory(), &Problems::default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let fingerprint = |path: PathBuf| {
            let metadata = fs::metadata(&path).ok()?;
            let age = |seconds: i64| u64::try_from(seconds).map_or(u64::MAX, |seconds| now.abs_diff(seconds));
            Some(Fingerprint {
                path,
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.size(),
                changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
                is_settled: age(metadata.mtime()).min(age(metadata.ctime())) > UNSETTLED_SECONDS,
            })
        };
        files.into_iter().filter_map(fingerprint).collect()
    }
}
