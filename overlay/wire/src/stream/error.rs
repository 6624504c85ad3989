//! What a leg cannot bring.

use thiserror::Error;

use super::receiver::Wrong;
use crate::leg::{LegFrameError, RefuseCode};

/// A leg brought what cannot be. It is gone; the stream goes on without it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LegError {
    /// It leads nowhere, says a hub or the other side.
    #[error("refused: {0:?}: {1}")]
    Refused(RefuseCode, String),
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] LegFrameError),
    /// A frame that does not belong there.
    #[error("a frame came that does not belong there")]
    Unexpected,
    /// Bytes came that are not those that follow.
    #[error("bytes came that do not follow those before them")]
    Gap,
    /// More came than was allowed.
    #[error("more came than was allowed")]
    TooMuch,
    /// The end is not where it was.
    #[error("the end is not where it was")]
    End,
    /// It is of another shard than the stream is with.
    #[error("shard {shard} speaks of a stream that is with shard {known}")]
    OtherShard {
        /// The one that has the stream.
        known: u16,
        /// The one that speaks.
        shard: u16,
    },
    /// The other side claims to have what was never sent.
    #[error("what was never sent is said to have arrived")]
    Impossible,
}

impl From<Wrong> for LegError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Gap => Self::Gap,
            Wrong::TooMuch => Self::TooMuch,
            Wrong::End => Self::End,
        }
    }
}
