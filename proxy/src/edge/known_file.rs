//! A file of an edge's folder with what was known before a start. Whoever told it tells it again, so that it only matters until then.

use std::io;
use std::path::{Path, PathBuf};

use overlay::folder::{replace_file, set_aside};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a file holds, if there is one. One that is of no use is moved out of the way, and then there is none.
///
/// # Errors
/// It cannot be moved.
pub(super) fn read_or_set_aside<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let content = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    match content {
        Ok(content) => Ok(Some(content)),
        Err(error) => {
            let aside = set_aside(path)
                .inspect_err(|moving| tracing::error!("{} is of no use: {error}; {moving}", path.display()))?;
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

    /// What it holds. One that cannot be read is as none, and is set aside.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Vec<T> {
        // That it cannot be moved either is no reason not to start: nothing of it is needed.
        read_or_set_aside(&self.path).ok().flatten().unwrap_or_default()
    }

    /// Makes it hold this. Whether it does.
    pub(super) fn write(&self, known: &impl Serialize) -> bool {
        let bytes = serde_json::to_vec(known).map_err(Into::into);
        let written = bytes.and_then(|bytes| replace_file(&self.path, &bytes));
        written.inspect_err(|error| tracing::warn!("cannot write {}: {error}", self.path.display())).is_ok()
    }
}
