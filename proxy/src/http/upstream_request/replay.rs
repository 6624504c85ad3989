//! The body of a request as it was sent, for as long as the request may be sent again.

/// A body is kept up to this size, bytes, as in Envoy; a larger request is sent once.
const LIMIT: usize = 1024 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::http) struct Replay {
    bytes: Vec<u8>,
    /// There was more than may be kept, or nothing is to be kept.
    incomplete: bool,
}

impl Replay {
    /// Keeps sent bytes, as long as they are not too many.
    pub(super) fn keep(&mut self, data: &[u8]) {
        if self.incomplete {
            return;
        }
        if self.bytes.len() + data.len() > LIMIT {
            self.clear();
            self.incomplete = true;
            return;
        }
        self.bytes.extend_from_slice(data);
    }

    /// The request is sent once in any case: nothing is kept of it.
    pub(super) fn refuse(&mut self) {
        self.clear();
        self.incomplete = true;
    }

    /// What was sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is all that was sent.
    pub(super) fn is_whole(&self) -> bool {
        !self.incomplete
    }

    /// Forgets everything, for the next request.
    pub(in crate::http) fn clear(&mut self) {
        self.bytes.clear();
        self.incomplete = false;
    }

    /// Gives back memory above `bytes` bytes.
    pub(in crate::http) fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
    }
}
