//! How much of a folder is read.

use crate::load::yaml::Error;

/// Bytes of a folder that may still be read. Files count with their size, or with their values if that is more: a few lines of
/// aliases would fill the memory otherwise.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    left: usize,
    is_spent: bool,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, left: bytes, is_spent: false }
    }

    /// Whether more was asked for than there was.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Takes the bytes, for what is on a line.
    ///
    /// # Errors
    /// There are not as many left.
    pub(crate) fn spend(&mut self, bytes: usize, line: u32) -> Result<(), Error> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.is_spent = true;
                let limit = self.bytes >> 20;
                Err(Error {
                    line,
                    message: format!("with this the folder has more than {limit} MiB, aliases resolved"),
                })
            }
        }
    }
}
