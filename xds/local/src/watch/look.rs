//! What a look at a folder shows, and when it counts: somebody may be in the middle of writing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Event, INTERVAL, SETTLED_AFTER};
use crate::control_plane::{Generated, LocalControlPlane};
use crate::load;
use crate::problem::{Problem, Problems};

/// A file that had something in it counts as gone, or as empty, after this time: editors and copying replace files by emptying or
/// removing them first.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// Who changes something all the time does not keep what others have changed from being read for longer.
const SETTLED_AT_LATEST: Duration = Duration::from_secs(3);
/// A file that changed less than so many seconds ago may change again without showing it: times on disk are coarse.
const UNSETTLED_SECONDS: u64 = 3;

/// What is known of the folder from the looks so far.
#[derive(Debug)]
pub(super) struct Look {
    control_plane: LocalControlPlane,
    unsettled_seconds: u64,
    /// The files at the last look, and since when they have been so.
    shown: (Vec<Fingerprint>, Instant),
    /// They have not been so for long enough.
    waits: bool,
    /// Since when they are not those that were read.
    differs: Option<Instant>,
    /// Files that had something in them when they were read and have nothing now, each since when.
    gone: BTreeMap<PathBuf, Instant>,
    read: Option<State>,
    last: Option<Event>,
}

/// All files of a folder.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: Vec<Fingerprint>,
    /// Whether a further change would show.
    is_settled: bool,
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
}

impl Look {
    pub(super) fn new(control_plane: LocalControlPlane) -> Self {
        Self {
            control_plane,
            unsettled_seconds: UNSETTLED_SECONDS,
            shown: (Vec::new(), Instant::now()),
            waits: false,
            differs: None,
            gone: BTreeMap::new(),
            read: None,
            last: None,
        }
    }

    /// Looks once: what the folder comes to, if that is not what it came to before.
    pub(super) fn check(&mut self, now: Instant) -> Option<Event> {
        self.check_with(now, LocalControlPlane::load)
    }

    /// Until the next look.
    pub(super) fn pause(&self) -> Duration {
        if self.waits { SETTLED_AFTER } else { INTERVAL }
    }

    fn check_with(
        &mut self,
        now: Instant,
        load: impl FnOnce(&LocalControlPlane) -> Result<Generated, Vec<Problem>>,
    ) -> Option<Event> {
        let state = self.state();
        if !self.counts(&state, now) || self.read.as_ref() == Some(&state) {
            return None;
        }
        self.differs = None;
        let event = match load(&self.control_plane) {
            Ok(generated) => Event::Loaded(Box::new(generated)),
            Err(problems) => Event::Rejected(problems),
        };
        // What changed while it was read may have been read in parts.
        if self.read.is_some() && self.state().files != state.files {
            return None;
        }
        self.read = Some(state);
        if self.last.as_ref() == Some(&event) {
            return None;
        }
        self.last = Some(event.clone());
        Some(event)
    }

    /// Whether nobody seems to be writing. What there is at the start counts at once.
    fn counts(&mut self, state: &State, now: Instant) -> bool {
        if self.shown.0 != state.files {
            self.shown = (state.files.clone(), now);
        }
        let Some(read) = &self.read else { return true };
        let lasts = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        self.differs = (read.files != state.files).then(|| self.differs.unwrap_or(now));
        let is_overdue = self.differs.is_some_and(|since| lasts(since, SETTLED_AT_LATEST));
        self.waits = !is_overdue && !lasts(self.shown.1, SETTLED_AFTER);
        let filled: HashSet<&Path> = filled(&state.files).collect();
        let gone = self::filled(&read.files).filter(|path| !filled.contains(path));
        self.gone = gone.map(|path| (path.to_owned(), self.gone.get(path).copied().unwrap_or(now))).collect();
        !self.waits && self.gone.values().all(|since| lasts(*since, GONE_AFTER))
    }

    fn state(&self) -> State {
        let paths = load::files(self.control_plane.directory(), &Problems::default());
        let files: Vec<_> = paths.into_iter().filter_map(Fingerprint::of).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let is_settled = files.iter().all(|file| file.age(now) >= self.unsettled_seconds);
        State { files, is_settled }
    }
}

/// The files that have something in them.
fn filled(files: &[Fingerprint]) -> impl Iterator<Item = &Path> {
    files.iter().filter(|file| file.size > 0).map(|file| file.path.as_path())
}

impl Fingerprint {
    fn of(path: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&path).ok()?;
        Some(Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        })
    }

    /// Seconds since its last change.
    fn age(&self, now: u64) -> u64 {
        let [content, _, anything, _] = self.changed;
        let age = |seconds: i64| u64::try_from(seconds).map_or(u64::MAX, |seconds| now.abs_diff(seconds));
        age(content).min(age(anything))
    }
}

#[cfg(test)]
mod tests;
