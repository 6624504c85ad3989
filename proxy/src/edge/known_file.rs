//! A file of an edge's folder with what was known before a start. Whoever told it tells it again, so that it only matters until then.

use std::io;
use std::path::{Path, PathBuf};

use overlay::folder::{replace_file, set_aside};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a file holds, if there is one. One that is damaged is moved out of the way, and then there is none.
///
/// # Errors
/// It cannot be read, which says nothing of what it holds, or cannot be moved.
pub(super) fn read_or_set_aside<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice(&bytes) {
        Ok(content) => Ok(Some(content)),
        Err(error) => {
            let moving = |moving| io::Error::other(format!("it is of no use: {error}; {moving}"));
            let aside = set_aside(path).map_err(moving)?;
            tracing::error!("{} is of no use, and is now {}: {error}", path.display(), aside.display());
            Ok(None)
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub(super) struct KnownFile {
    path: PathBuf,
}

impl KnownFile {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    /// What it holds; one that is damaged is as none, and is set aside. `None` if the system does not say, which is no reason not to start: nothing of it is
    /// needed.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<Vec<T>> {
        let read = read_or_set_aside(&self.path);
        let read = read.inspect_err(|error| tracing::error!("cannot read {}: {error}", self.path.display()));
        read.ok().map(Option::unwrap_or_default)
    }

    /// Makes it hold this. Whether it does.
    pub(super) fn write(&self, known: &impl Serialize) -> bool {
        let bytes = serde_json::to_vec(known).map_err(Into::into);
        let written = bytes.and_then(|bytes| replace_file(&self.path, &bytes));
        written.inspect_err(|error| tracing::warn!("cannot write {}: {error}", self.path.display())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_set_aside_and_one_that_the_system_cannot_read_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (damaged, unreadable) = (KnownFile::new(folder.path(), "a.json"), KnownFile::new(folder.path(), "b.json"));
        std::fs::write(&damaged.path, "{half").unwrap();
        assert_eq!(damaged.read::<u8>(), Some(vec![]));
        assert!(!damaged.path.exists() && folder.path().join("a.refused").exists());
        std::fs::create_dir(&unreadable.path).unwrap();
        assert_eq!(unreadable.read::<u8>(), None);
        assert!(read_or_set_aside::<u8>(&unreadable.path).is_err());
        assert!(unreadable.path.exists() && !folder.path().join("b.refused").exists());
    }
}
