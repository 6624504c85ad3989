//! How much of a folder is read.

use crate::load::yaml::Error;

/// Bytes of a folder that may still be read. Files count with their size, or with their values if that is more: a few lines of
/// aliases would fill the memory otherwise.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    left: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, left: bytes }
    }

    /// Takes the bytes, for what is on a line.
    ///
    /// # Errors
    /// There are not as many left; after that there are none.
    pub(crate) fn spend(&mut self, bytes: usize, line: u32) -> Result<(), Error> {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        match left {
            Some(_) => Ok(()),
            None => {
                let limit = self.bytes >> 20;
                Err(Error {
                    line,
                    message: format!("with this the folder has more than {limit} MiB, aliases resolved"),
                })
            }
        }
    }
}
