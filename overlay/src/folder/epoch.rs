//! When an edge began: the first number of what it announces.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Folder, FolderError, set_aside};
use crate::enroll::unix_now;

const EPOCH: &str = "epoch";

/// How far an epoch may be ahead of the clock, seconds. It is a time, unless a clock was wrong; near the greatest number nobody could begin anew after it.
const MOST_AHEAD: u64 = 365 * 24 * 60 * 60;

/// The greatest epoch that is believed now.
pub(crate) fn most_believed() -> u64 {
    unix_now().saturating_add(MOST_AHEAD)
}

impl Folder {
    /// A number that is greater than all before. The clock is in it, so that it is greater even if the folder is an old copy.
    ///
    /// # Errors
    /// The last one cannot be read, or this one not kept.
    pub fn next_epoch(&self) -> Result<u64, FolderError> {
        self.epoch_after(0)
    }

    /// The same, and greater than one that somebody else has used.
    pub(crate) fn epoch_after(&self, used: u64) -> Result<u64, FolderError> {
        let last = match self.read(EPOCH)? {
            Some(text) => match self.text(EPOCH, text).ok().and_then(|text| text.trim().parse::<u64>().ok()) {
                Some(last) if last <= most_believed().max(self.authority_time().saturating_add(MOST_AHEAD)) => last,
                Some(_) => self.set_epoch_aside("is more than a year ahead of the clock")?,
                None => self.set_epoch_aside("is no number")?,
            },
            None => 0,
        };
        let next = unix_now().max(last.max(used).saturating_add(1));
        self.write(EPOCH, next.to_string().as_bytes())?;
        Ok(next)
    }

    /// A time that is past, as the clock of the authority says, in seconds since 1970; 0 if there is none. The clock here may be far behind: machines without
    /// a battery begin in 1970.
    fn authority_time(&self) -> u64 {
        let Ok((certificate, _)) = self.certificates() else { return 0 };
        let issued =
            X509Certificate::from_der(&certificate).map(|(_, parsed)| parsed.validity().not_before.timestamp());
        issued.ok().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default()
    }

    /// What is gone on from then: the clock is enough, unless it is behind; then the others say so.
    fn set_epoch_aside(&self, problem: &str) -> Result<u64, FolderError> {
        let path = self.path.join(EPOCH);
        let aside = set_aside(&path).map_err(|error| FolderError::File { path: path.clone(), error })?;
        tracing::warn!("{} {problem}, and is now {}", path.display(), aside.display());
        Ok(0)
    }
}
