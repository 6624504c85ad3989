//! Bodies: finding where they end, and handing out their bytes without copying.

use std::fmt;
use std::ops::Range;

use crate::body_length::BodyLength;
use crate::chunked::ChunkedDecoder;

/// What a call of [`BodyDecoder::decode`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of the input are done with; the data is among them.
    pub consumed: usize,
    /// Where in the input body bytes lie; may be empty. At most one run per call.
    pub data: Range<usize>,
    /// Whether the body is complete. What follows in the input belongs to the next message.
    pub complete: bool,
}

/// Why a body is broken. Nothing that follows on the connection can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyError {
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    ChunkSize,
    /// A control character in a chunk extension.
    ChunkExtension,
    /// More than [`crate::chunked::MAX_EXTENSION_BYTES`] bytes of chunk extensions in one body.
    ExtensionsTooLarge,
    /// A line that does not end in CR LF, or chunk data that is not followed by it.
    LineEnd,
    /// A trailer line that is no field line.
    Trailer,
    /// More trailers than [`crate::chunked::MAX_TRAILERS`] or more bytes than [`crate::chunked::MAX_TRAILER_BYTES`].
    TrailersTooLarge,
    /// The connection ended before the body did.
    Truncated,
}

impl BodyError {
    /// The status of the answer to a request with such a body, if none was sent yet.
    pub const fn status(self) -> u16 {
        match self {
            BodyError::TrailersTooLarge => 431,
            _ => 400,
        }
    }

    /// The details for logs, in Envoy's words.
    pub const fn detail(self) -> &'static str {
        match self {
            BodyError::TrailersTooLarge => "http1.headers_too_large",
            _ => "http1.codec_error",
        }
    }

    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            BodyError::ChunkSize => "invalid chunk size",
            BodyError::ChunkExtension => "invalid chunk extension",
            BodyError::ExtensionsTooLarge => "chunk extensions too large",
            BodyError::LineEnd => "chunk without CR LF",
            BodyError::Trailer => "invalid trailer",
            BodyError::TrailersTooLarge => "trailers too large",
            BodyError::Truncated => "body ended early",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for BodyError {}

/// Finds the bytes of one body in what arrives.
#[derive(Clone, Debug)]
pub struct BodyDecoder(State);

#[derive(Clone, Debug)]
enum State {
    Done,
    Fixed(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl BodyDecoder {
    /// A decoder for a body of this length.
    pub fn new(length: BodyLength) -> Self {
        BodyDecoder(match length {
            BodyLength::None | BodyLength::Fixed(0) => State::Done,
            BodyLength::Fixed(length) => State::Fixed(length),
            BodyLength::Chunked => State::Chunked(ChunkedDecoder::default()),
            BodyLength::UntilClose => State::UntilClose,
        })
    }

    /// Whether the whole body was decoded. A body that ends with its connection never is: see [`BodyDecoder::end`].
    #[inline]
    pub fn is_complete(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many bytes are still to come, where that is known.
    #[inline]
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            State::Done => Some(0),
            State::Fixed(left) => Some(*left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// Decodes what it can. Call again with what is left after `consumed` while that makes progress and the body is not
    /// complete; an input of which nothing is consumed needs more bytes.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        match &mut self.0 {
            State::Done => Ok(Decoded { complete: true, ..Decoded::default() }),
            State::Fixed(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                let complete = *left == 0;
                if complete {
                    self.0 = State::Done;
                }
                Ok(Decoded { consumed: taken, data: 0..taken, complete })
            }
            State::Chunked(decoder) => {
                let decoded = decoder.decode(input)?;
                if decoded.complete {
                    self.0 = State::Done;
                }
                Ok(decoded)
            }
            State::UntilClose => Ok(Decoded { consumed: input.len(), data: 0..input.len(), complete: false }),
        }
    }

    /// So many of the [remaining](Self::remaining) bytes went by without being shown to [`BodyDecoder::decode`]. For a body without
    /// framing of its own: one that is as long as was said, or ends with its connection.
    #[inline]
    pub fn pass(&mut self, count: u64) {
        if let State::Fixed(left) = &mut self.0 {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.0 = State::Done;
            }
        }
    }

    /// Whether the bytes that come next are the body's as they are: all of the [remaining](Self::remaining) ones, or whatever comes.
    #[inline]
    pub fn is_plain(&self) -> bool {
        matches!(self.0, State::Fixed(_) | State::UntilClose)
    }

    /// The connection ended: fine for a complete body and for one that ends that way.
    pub fn end(&mut self) -> Result<(), BodyError> {
        match self.0 {
            State::Done | State::UntilClose => {
                self.0 = State::Done;
                Ok(())
            }
            State::Fixed(_) | State::Chunked(_) => Err(BodyError::Truncated),
        }
    }
}
