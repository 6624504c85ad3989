//! A file of an edge's folder with what was known before a start. Whoever told it tells it again, so that it only matters until then.

use std::path::{Path, PathBuf};

use overlay::folder::replace_file;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file.
#[derive(Debug)]
pub(super) struct KnownFile {
    path: PathBuf,
}

impl KnownFile {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    /// What it holds. One that cannot be read is as none.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Vec<T> {
        let Ok(bytes) = std::fs::read(&self.path) else { return Vec::new() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{} is of no use: {error}", self.path.display());
            Vec::new()
        })
    }

    /// Makes it hold this. Whether it does.
    pub(super) fn write(&self, known: &impl Serialize) -> bool {
        let bytes = serde_json::to_vec(known).map_err(Into::into);
        let written = bytes.and_then(|bytes| replace_file(&self.path, &bytes));
        written.inspect_err(|error| tracing::warn!("cannot write {}: {error}", self.path.display())).is_ok()
    }
}
