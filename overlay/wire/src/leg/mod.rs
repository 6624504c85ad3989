//! Frames of a leg: a stream of a link that carries a part of a stream between edges. Type, length, content, as those of a
//! [link](crate::frame).
//!
//! The first frame says where the leg leads; hubs look at nothing else. What follows is between the two edges.

mod writing;

use thiserror::Error;

pub use self::writing::put;
pub(crate) use self::writing::put_data_head;
use crate::reason::harmless;
use crate::varint;

/// The most bytes of a stream in one frame.
pub const MAX_DATA: usize = 16 * 1024;
/// The longest name of an edge or a tenant, bytes.
pub const MAX_NAME: usize = 253;
/// The longest content: data with its offset; a reason.
const MAX_CONTENT: usize = MAX_DATA + 8;

mod kind {
    pub(super) const OPEN: u64 = 0x01;
    pub(super) const ACCEPT: u64 = 0x02;
    pub(super) const REFUSE: u64 = 0x03;
    pub(super) const DATA: u64 = 0x04;
    pub(super) const ACK: u64 = 0x05;
    pub(super) const FIN: u64 = 0x06;
    pub(super) const RESET: u64 = 0x07;
    pub(super) const CATALOGUE: u64 = 0x10;
}

/// Which stream, for as long as it lives: made by the edge that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// Random, of the process that opened it.
    pub session: [u8; 16],
    /// Counted by that process.
    pub number: u64,
}

/// Where a leg leads, and to which stream it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The stream.
    pub key: StreamKey,
    /// The other side has accepted it before: who does not know it refuses.
    pub resumes: bool,
    /// How much the sender has received of the stream, and allows.
    pub progress: Progress,
    /// The edge that sends this.
    pub from: String,
    /// Which of its nodes, where the answer is to go.
    pub from_shard: u16,
    /// The edge that it is for.
    pub to: String,
    /// Which of its nodes, once it is known; before, a hub takes any of them.
    pub to_shard: Option<u16>,
    /// Whose traffic it is.
    pub tenant: String,
    /// The class of traffic.
    pub class: u8,
}

/// What a side has of what the other sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes received, from the beginning, and one more if the end was.
    pub delivered: u64,
    /// Bytes that may be sent, from the beginning.
    pub allowed: u64,
}

/// Why a leg leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseCode {
    /// The stream is not known, or no longer.
    UnknownStream,
    /// No way to that edge is known.
    NoRoute,
    /// It is not allowed.
    Forbidden,
    /// Too much is under way.
    Overloaded,
    /// Something else.
    Other(u64),
}

impl RefuseCode {
    fn number(self) -> u64 {
        match self {
            Self::UnknownStream => 1,
            Self::NoRoute => 2,
            Self::Forbidden => 3,
            Self::Overloaded => 4,
            Self::Other(number) => number,
        }
    }

    fn of(number: u64) -> Self {
        match number {
            1 => Self::UnknownStream,
            2 => Self::NoRoute,
            3 => Self::Forbidden,
            4 => Self::Overloaded,
            number => Self::Other(number),
        }
    }
}

/// A frame. What it holds lies where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegFrame<'a> {
    /// The first one of who opened the leg.
    Open(Open),
    /// The answer.
    Accept {
        /// What the one who answers has received, and allows.
        progress: Progress,
        /// Which node of its edge that is.
        shard: u16,
    },
    /// The other answer: why, and who says so.
    Refuse(RefuseCode, String),
    /// Bytes, and where they belong.
    Data(u64, &'a [u8]),
    /// What has been received.
    Ack(Progress),
    /// The stream ends there.
    Fin(u64),
    /// The stream is over, whatever is under way.
    Reset(u64),
    /// The first one of a stream that is no leg: what follows are announcements.
    Catalogue,
    /// Of a type that this version does not know.
    Unknown(u64),
}

/// A frame with data of which the end is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun<'a> {
    /// Where the data belong.
    pub offset: u64,
    /// Those that have come.
    pub data: &'a [u8],
    /// How many have not.
    pub missing: usize,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LegFrameError {
    /// It is longer than any frame may be.
    #[error("a frame of a leg of type {kind:#x} with {length} bytes is too long")]
    TooLong {
        /// Its type.
        kind: u64,
        /// Its length, bytes.
        length: u64,
    },
    /// Its content is not what its type has.
    #[error("a frame of a leg of type {0:#x} has the wrong content")]
    Malformed(u64),
}

/// The frame at the beginning and the number of its bytes; `None` if it is not there as a whole.
///
/// # Errors
/// The bytes are no frame, whatever follows.
pub fn take(bytes: &[u8]) -> Result<Option<(LegFrame<'_>, usize)>, LegFrameError> {
    let Some((kind, rest)) = varint::take(bytes) else { return Ok(None) };
    let Some((length, rest)) = varint::take(rest) else { return Ok(None) };
    if length > MAX_CONTENT as u64 {
        return Err(LegFrameError::TooLong { kind, length });
    }
    let Some((content, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
    let frame = parse(kind, Fields(content)).ok_or(LegFrameError::Malformed(kind))?;
    Ok(Some((frame, bytes.len() - rest.len())))
}

/// What has come of a frame with data that is not there as a whole, up to the end of the bytes; `None` if no data has come, or the frame is another one or
/// whole.
pub fn take_begun(bytes: &[u8]) -> Option<Begun<'_>> {
    let (kind, rest) = varint::take(bytes)?;
    let (length, rest) = varint::take(rest)?;
    let missing = usize::try_from(length).ok()?.checked_sub(rest.len())?;
    if kind != kind::DATA || missing == 0 || length > MAX_CONTENT as u64 {
        return None;
    }
    let (offset, data) = varint::take(rest)?;
    (!data.is_empty()).then_some(Begun { offset, data, missing })
}

fn parse(kind: u64, mut fields: Fields<'_>) -> Option<LegFrame<'_>> {
    let frame = match kind {
        kind::OPEN => LegFrame::Open(fields.open()?),
        kind::ACCEPT => LegFrame::Accept { progress: fields.progress()?, shard: fields.shard()? },
        kind::REFUSE => LegFrame::Refuse(RefuseCode::of(fields.integer()?), harmless(&fields.text(MAX_CONTENT)?)),
        kind::DATA => {
            let offset = fields.integer()?;
            return Some(LegFrame::Data(offset, fields.0));
        }
        kind::ACK => LegFrame::Ack(fields.progress()?),
        kind::FIN => LegFrame::Fin(fields.integer()?),
        kind::RESET => LegFrame::Reset(fields.integer()?),
        kind::CATALOGUE => LegFrame::Catalogue,
        unknown => return Some(LegFrame::Unknown(unknown)),
    };
    fields.0.is_empty().then_some(frame)
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn integer(&mut self) -> Option<u64> {
        let (value, rest) = varint::take(self.0)?;
        self.0 = rest;
        Some(value)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self, longest: usize) -> Option<String> {
        let length = usize::try_from(self.integer()?).ok().filter(|length| *length <= longest)?;
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }

    fn shard(&mut self) -> Option<u16> {
        u16::try_from(self.integer()?).ok()
    }

    fn progress(&mut self) -> Option<Progress> {
        Some(Progress { delivered: self.integer()?, allowed: self.integer()? })
    }

    fn open(&mut self) -> Option<Open> {
        let session = self.bytes(16)?.try_into().ok()?;
        let key = StreamKey { session, number: self.integer()? };
        let resumes = match self.integer()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let progress = self.progress()?;
        let (from, to, tenant) = (self.text(MAX_NAME)?, self.text(MAX_NAME)?, self.text(MAX_NAME)?);
        let class = u8::try_from(self.integer()?).ok()?;
        let from_shard = self.shard()?;
        let to_shard = match self.integer()? {
            0 => None,
            above => Some(u16::try_from(above - 1).ok()?),
        };
        Some(Open { key, resumes, progress, from, from_shard, to, to_shard, tenant, class })
    }
}

#[cfg(test)]
mod tests;
