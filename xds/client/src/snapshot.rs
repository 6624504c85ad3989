//! The last good state on disk, from which a gateway serves that starts while the control plane is away.
//!
//! One file per session, replaced as a whole: a reader finds the old state or the new one. It holds no private keys. Its form:
//! a line that names the format, the length of the rest as 8 bytes, the SHA-256 of the rest, and the rest (see [`format`]).

mod format;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::ResourceType;
use crate::configuration::Configuration;
use crate::delta::Received;

/// Bytes of a file that is written or read. 10,000 clusters with their endpoints have about 25 MB.
pub const MAX_BYTES: usize = 512 * 1024 * 1024;

/// Where one session keeps its state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    path: PathBuf,
    owner: String,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// When it was written, in whole seconds.
    pub written: SystemTime,
    /// The resources.
    pub resources: Vec<(ResourceType, Received)>,
}

/// Why a state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system says no.
    #[error("{path}: {action}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is not one of ours, of another format, or damaged.
    #[error("{path}: {reason}; it is ignored")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The state is larger than [`MAX_BYTES`].
    #[error("{path}: the state has {bytes} bytes, more than {MAX_BYTES}; it is not written")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Size of the state.
        bytes: usize,
    },
}

impl Snapshot {
    /// The file of a session in a directory, which is made if need be. `owner` says whose state it is: that of another is not
    /// used.
    #[must_use]
    pub fn new(directory: &Path, session: &str, owner: &str) -> Self {
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        let file: String = session.chars().map(plain).collect();
        Self { path: directory.join(format!("{file}.snapshot")), owner: owner.to_owned() }
    }

    /// The state on disk; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or used.
    pub fn read(&self) -> Result<Option<State>, SnapshotError> {
        let size = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("read", error)),
        };
        let unusable = |reason| SnapshotError::Unusable { path: self.path.clone(), reason };
        if size > MAX_BYTES as u64 {
            return Err(unusable(format!("{size} bytes are too many")));
        }
        let bytes = fs::read(&self.path).map_err(|error| self.io("read", error))?;
        format::decode(bytes.into(), &self.owner).map(Some).map_err(unusable)
    }

    /// Replaces the state on disk, durably.
    ///
    /// # Errors
    /// If it cannot be written; then the state before it is still there.
    pub fn write(&self, state: &State) -> Result<(), SnapshotError> {
        let bytes = format::encode(state, &self.owner);
        if bytes.len() > MAX_BYTES {
            return Err(SnapshotError::TooLarge { path: self.path.clone(), bytes: bytes.len() });
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(|error| self.io("make the directory", error))?;
        let temporary = self.path.with_extension("new");
        write_file(&temporary, &bytes).map_err(|error| {
            // What a full disk left behind would keep it full.
            let _ = fs::remove_file(&temporary);
            self.io("write", error)
        })?;
        fs::rename(&temporary, &self.path).map_err(|error| self.io("replace", error))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| self.io("sync the directory", error))
    }

    fn io(&self, action: &'static str, source: io::Error) -> SnapshotError {
        SnapshotError::Io { path: self.path.clone(), action, source }
    }
}

impl State {
    /// What of a configuration may and should be kept: everything in use that holds no private key.
    #[must_use]
    pub fn of(configuration: &Configuration) -> Self {
        let mut resources = Vec::new();
        for kind in ResourceType::ALL {
            for (name, entry) in configuration.cache().entries(kind) {
                let Some(accepted) = entry.accepted.as_ref().filter(|accepted| !accepted.confidential) else {
                    continue;
                };
                if kind == ResourceType::Listener || configuration.is_needed(kind, name) {
                    let received =
                        Received { name: name.clone(), version: accepted.version.clone(), body: accepted.body.clone() };
                    resources.push((kind, received));
                }
            }
        }
        Self { written: SystemTime::now(), resources }
    }
}

/// Only we may read it: no keys are in it, but the whole configuration is.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
