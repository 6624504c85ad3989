//! One process runs with a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;

use super::{Folder, FolderError};

const LOCK: &str = "lock";

/// While it is there no other process runs with the folder. The system gives it back when the process ends, however that is.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl Folder {
    /// Takes the folder for this process (flock(2)): two of them would both say who the node is, and write over each other's files.
    ///
    /// # Errors
    /// Another process has it, or the disk does not work.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.path.join(LOCK);
        let failed = |error| FolderError::File { path: path.clone(), error };
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(self.path.clone())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
