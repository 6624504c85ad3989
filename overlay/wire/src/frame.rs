//! Frames of a link: type, length, content. The first two are [variable-length integers](crate::varint), so whoever does not know a type can
//! skip it. Where QUIC has the same frame (RFC 9000 section 19, RFC 9221) its type has the same number.

use thiserror::Error;

use crate::varint;

/// The most bytes that a frame holds: one record of TLS.
pub const MAX_CONTENT: usize = 16 * 1024;

/// What [`put`] takes around the bytes of a stream, at most.
pub const MAX_STREAM_OVERHEAD: usize = 1 + 4 + 8;

mod kind {
    pub(super) const HELLO: u64 = 0x00;
    pub(super) const PING: u64 = 0x01;
    pub(super) const PONG: u64 = 0x02;
    pub(super) const RESET_STREAM: u64 = 0x04;
    pub(super) const STOP_SENDING: u64 = 0x05;
    pub(super) const STREAM: u64 = 0x08;
    pub(super) const STREAM_FIN: u64 = 0x09;
    pub(super) const MAX_STREAM_DATA: u64 = 0x11;
    pub(super) const MAX_STREAMS: u64 = 0x12;
    pub(super) const CLOSE: u64 = 0x1c;
    pub(super) const GOAWAY: u64 = 0x1e;
    pub(super) const DATAGRAM: u64 = 0x30;
}

/// A stream of a link. The lowest bit says who opened it (RFC 9000 section 2.1): 0 the side that dialled, 1 the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Why a stream, or a link, ended before its time. Meanings are those of the layer above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u64);

/// A frame. What it holds lies where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The first one of either side: on a link of nodes a [`Hello`](crate::hello::Hello), inside a tunnel nothing.
    Hello(&'a [u8]),
    /// To be answered at once with the same number.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// The sender has given up sending on a stream.
    ResetStream(StreamId, Code),
    /// The sender does not want what comes on a stream.
    StopSending(StreamId, Code),
    /// The next bytes of a stream, and whether they are the last.
    Stream {
        /// Which one. The first frame of a new one opens it.
        id: StreamId,
        /// What comes next.
        bytes: &'a [u8],
        /// Nothing follows.
        fin: bool,
    },
    /// Of a stream so many bytes may be sent, counted from its beginning.
    MaxStreamData(StreamId, u64),
    /// So many streams may be opened, counted from the beginning.
    MaxStreams(u64),
    /// The link ends now.
    Close(Code, &'a [u8]),
    /// No streams are to be opened any more; those that are open go on.
    GoAway,
    /// A packet that may be lost, beside the bytes of a stream (RFC 9297).
    Datagram(StreamId, &'a [u8]),
    /// Of a type that this version does not know.
    Unknown(u64),
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Longer than [`MAX_CONTENT`].
    #[error("a frame of type {kind:#x} with {length} bytes: at most {MAX_CONTENT} are allowed")]
    TooLong {
        /// Its type.
        kind: u64,
        /// Its length, bytes.
        length: u64,
    },
    /// Its content ends too early, or there is more than its type has.
    #[error("a frame of type {0:#x} has the wrong length")]
    WrongLength(u64),
}

/// The frame at the beginning and the number of its bytes; `None` if it is not there as a whole.
///
/// # Errors
/// The bytes are no frame, whatever follows.
pub fn take(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some((kind, rest)) = varint::take(bytes) else { return Ok(None) };
    let Some((length, rest)) = varint::take(rest) else { return Ok(None) };
    if length > MAX_CONTENT as u64 {
        return Err(FrameError::TooLong { kind, length });
    }
    let Some((content, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
    let frame = parse(kind, content).ok_or(FrameError::WrongLength(kind))?;
    Ok(Some((frame, bytes.len() - rest.len())))
}

fn parse(kind: u64, content: &[u8]) -> Option<Frame<'_>> {
    let mut fields = Fields(content);
    let frame = match kind {
        kind::HELLO => return Some(Frame::Hello(content)),
        kind::PING => Frame::Ping(fields.integer()?),
        kind::PONG => Frame::Pong(fields.integer()?),
        kind::RESET_STREAM => Frame::ResetStream(fields.stream()?, Code(fields.integer()?)),
        kind::STOP_SENDING => Frame::StopSending(fields.stream()?, Code(fields.integer()?)),
        kind::STREAM | kind::STREAM_FIN => {
            let id = fields.stream()?;
            return Some(Frame::Stream { id, bytes: fields.0, fin: kind == kind::STREAM_FIN });
        }
        kind::MAX_STREAM_DATA => Frame::MaxStreamData(fields.stream()?, fields.integer()?),
        kind::MAX_STREAMS => Frame::MaxStreams(fields.integer()?),
        kind::CLOSE => {
            let code = Code(fields.integer()?);
            return Some(Frame::Close(code, fields.0));
        }
        kind::GOAWAY => Frame::GoAway,
        kind::DATAGRAM => {
            let id = fields.stream()?;
            return Some(Frame::Datagram(id, fields.0));
        }
        unknown => return Some(Frame::Unknown(unknown)),
    };
    fields.0.is_empty().then_some(frame)
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn integer(&mut self) -> Option<u64> {
        let (value, rest) = varint::take(self.0)?;
        self.0 = rest;
        Some(value)
    }

    fn stream(&mut self) -> Option<StreamId> {
        self.integer().map(StreamId)
    }
}

/// Appends a frame. Whoever calls it keeps its content within [`MAX_CONTENT`].
pub fn put(out: &mut Vec<u8>, frame: Frame<'_>) {
    match frame {
        Frame::Hello(content) => put_content(out, kind::HELLO, &[], content),
        Frame::Ping(number) => put_content(out, kind::PING, &[number], &[]),
        Frame::Pong(number) => put_content(out, kind::PONG, &[number], &[]),
        Frame::ResetStream(id, code) => put_content(out, kind::RESET_STREAM, &[id.0, code.0], &[]),
        Frame::StopSending(id, code) => put_content(out, kind::STOP_SENDING, &[id.0, code.0], &[]),
        Frame::Stream { id, bytes, fin: false } => put_content(out, kind::STREAM, &[id.0], bytes),
        Frame::Stream { id, bytes, fin: true } => put_content(out, kind::STREAM_FIN, &[id.0], bytes),
        Frame::MaxStreamData(id, most) => put_content(out, kind::MAX_STREAM_DATA, &[id.0, most], &[]),
        Frame::MaxStreams(most) => put_content(out, kind::MAX_STREAMS, &[most], &[]),
        Frame::Close(code, reason) => put_content(out, kind::CLOSE, &[code.0], reason),
        Frame::GoAway => put_content(out, kind::GOAWAY, &[], &[]),
        Frame::Datagram(id, bytes) => put_content(out, kind::DATAGRAM, &[id.0], bytes),
        Frame::Unknown(kind) => put_content(out, kind, &[], &[]),
    }
}

/// As [`put`] of a [stream's bytes](Frame::Stream), of which there are `count`: they are to be appended.
pub(crate) fn put_stream_head(out: &mut Vec<u8>, id: StreamId, count: usize, fin: bool) {
    put_head(out, if fin { kind::STREAM_FIN } else { kind::STREAM }, &[id.0], count);
}

fn put_content(out: &mut Vec<u8>, kind: u64, integers: &[u64], bytes: &[u8]) {
    put_head(out, kind, integers, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_head(out: &mut Vec<u8>, kind: u64, integers: &[u64], count: usize) {
    let length = integers.iter().map(|value| varint::length(*value)).sum::<usize>() + count;
    debug_assert!(length <= MAX_CONTENT, "a frame of {length} bytes");
    varint::put(out, kind);
    varint::put(out, length as u64);
    for value in integers {
        varint::put(out, *value);
    }
}
