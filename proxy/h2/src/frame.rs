//! The layout of frames (RFC 9113 4.1, 6).

use crate::error::Code;

/// What a server must receive first (RFC 9113 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 9;

/// The longest payload that we take: the least that must be taken, never changed.
pub(crate) const MAX_PAYLOAD: usize = 16_384;

/// The largest window.
pub(crate) const MAX_WINDOW: i64 = (1 << 31) - 1;

/// A window before anybody changed it.
pub(crate) const DEFAULT_WINDOW: i64 = 65_535;

/// The highest stream number.
pub(crate) const MAX_STREAM_ID: u32 = (1 << 31) - 1;

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// Flags of frames.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHeader {
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Option<FrameHeader> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4, ..] = bytes else { return None };
        Some(FrameHeader {
            length: u32::from_be_bytes([0, *l1, *l2, *l3]) as usize,
            kind: *kind,
            flags: *flags,
            stream: stream_id([*s1, *s2, *s3, *s4]),
        })
    }

    #[inline]
    pub(crate) fn bytes(self) -> [u8; HEADER] {
        let [_, l1, l2, l3] = (self.length as u32).to_be_bytes();
        let [s1, s2, s3, s4] = self.stream.to_be_bytes();
        [l1, l2, l3, self.kind, self.flags, s1, s2, s3, s4]
    }

    #[inline]
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A stream number; the reserved bit is ignored.
#[inline]
pub(crate) fn stream_id(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & MAX_STREAM_ID
}

#[inline]
pub(crate) fn write_header(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&FrameHeader { length, kind, flags, stream }.bytes());
}

pub(crate) fn write_reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    write_header(4, kind::RST_STREAM, 0, stream, out);
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(crate) fn write_window_update(stream: u32, increment: u32, out: &mut Vec<u8>) {
    write_header(4, kind::WINDOW_UPDATE, 0, stream, out);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(crate) fn write_ping(payload: [u8; 8], flags: u8, out: &mut Vec<u8>) {
    write_header(8, kind::PING, flags, 0, out);
    out.extend_from_slice(&payload);
}

pub(crate) fn write_go_away(last: u32, code: Code, out: &mut Vec<u8>) {
    write_header(8, kind::GOAWAY, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Puts the header in front of a block that was written behind room for it. What is too long for a frame goes on in
/// CONTINUATION frames.
#[inline]
pub(crate) fn finish_header_block(start: usize, stream: u32, end: bool, max_payload: usize, out: &mut Vec<u8>) {
    let length = out.len() - start - HEADER;
    let end_stream = if end { flag::END_STREAM } else { 0 };
    if length <= max_payload {
        let header = FrameHeader { length, kind: kind::HEADERS, flags: end_stream | flag::END_HEADERS, stream }.bytes();
        if let Some(room) = out.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
            *room = header;
        }
    } else {
        split_header_block(start, stream, end_stream, max_payload, out);
    }
}

#[cold]
fn split_header_block(start: usize, stream: u32, end_stream: u8, max_payload: usize, out: &mut Vec<u8>) {
    let block = out.split_off(start + HEADER);
    out.truncate(start);
    let mut pieces = block.chunks(max_payload).peekable();
    let (mut frame, mut flags) = (kind::HEADERS, end_stream);
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= flag::END_HEADERS;
        }
        write_header(piece.len(), frame, flags, stream, out);
        out.extend_from_slice(piece);
        (frame, flags) = (kind::CONTINUATION, 0);
    }
}

/// The content of a padded payload, and the length of what is around it.
#[inline]
pub(crate) fn strip_padding(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    if !header.has(flag::PADDED) {
        return Some(payload);
    }
    let (padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*padding))?)
}
