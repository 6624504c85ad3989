//! How links end.

use std::time::Duration;

use overlay_wire::frame::Code;
use overlay_wire::mux::MuxError;
use thiserror::Error;

use super::Link;

/// Why a link, or a stream of it, was ended. On the wire these are numbers.
pub mod code {
    use overlay_wire::frame::Code;

    /// Nothing is wrong.
    pub const DONE: Code = Code(0);
    /// Whoever used the stream let go of it.
    pub const DROPPED: Code = Code(1);
    /// Too much waits already.
    pub const OVERLOADED: Code = Code(2);
    /// The other side does not keep to the protocol.
    pub const PROTOCOL: Code = Code(3);
    /// The other side is not, or no longer, allowed in.
    pub const FORBIDDEN: Code = Code(4);
    /// The process ends, or has a better link.
    pub const GOING_AWAY: Code = Code(5);
    /// Something here has failed that is no fault of the other side.
    pub const FAILED: Code = Code(6);
}

/// How a link ended.
#[derive(Clone, Debug, Error)]
pub enum LinkEnd {
    /// The other side closed it and said why.
    #[error("the other side closed the link: {reason} (code {})", code.0)]
    Closed {
        /// One of [`code`](mod@code).
        code: Code,
        /// In words.
        reason: String,
    },
    /// This side did.
    #[error("closed here: {0}")]
    ClosedHere(String),
    /// The connection ended without a word.
    #[error("the connection ended")]
    Ended,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// The other side said nothing for too long.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// The other side took nothing of what was to be sent for too long, although it may say something.
    #[error("nothing was taken for {0:?}")]
    Stuck(Duration),
    /// The other side does not keep to the protocol.
    #[error("protocol error: {0}")]
    Protocol(MuxError),
}

/// Ends a link where the task that serves it panics: a link that nobody serves would seem to live.
pub(crate) struct Served(pub(crate) Link);

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close(code::FAILED, "nobody serves it any more");
        }
    }
}
