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
const UNSETTLED_SECONDS: u64 = 3;

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
    unsettled_seconds: u64,
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
        Self { control_plane, unsettled_seconds: UNSETTLED_SECONDS, seen: None, last: None }
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
                is_settled: age(metadata.mtime()).min(age(metadata.ctime())) >= self.unsettled_seconds,
            })
        };
        files.into_iter().filter_map(fingerprint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn gateway(port: u16) -> String {
        let server = format!("{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ['*']}}");
        let kind = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\n";
        format!("{kind}spec: {{servers: [{server}]}}\n")
    }

    /// The tests of the whole watch end before a file counts as settled; here every file does at once.
    #[test]
    fn changes_of_settled_files_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, gateway(8080)).unwrap();
        let mut watch = LocalControlPlane::new(folder.path(), Options::default()).watch();
        watch.unsettled_seconds = 0;
        assert!(matches!(watch.check(), Some(Event::Loaded(_))));
        assert_eq!(watch.check(), None);

        fs::write(&file, gateway(18080)).unwrap();
        assert!(matches!(watch.check(), Some(Event::Loaded(_))), "another size");
        fs::write(folder.path().join("new"), gateway(18081)).unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        assert!(matches!(watch.check(), Some(Event::Loaded(_))), "another file of the same size");
        fs::remove_file(&file).unwrap();
        assert!(matches!(watch.check(), Some(Event::Loaded(_))), "no file");
        assert_eq!(watch.check(), None);
    }
}
