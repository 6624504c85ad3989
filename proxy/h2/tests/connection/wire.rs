//! Frames put together by hand, and frames as text.

use crate::support::text;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const PRIORITY_FLAG: u8 = 0x20;
pub(crate) const END: u8 = END_STREAM | END_HEADERS;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields without any compression.
pub(crate) fn block<B: AsRef<[u8]>>(fields: &[(&str, B)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for part in [name.as_bytes(), value.as_ref()] {
            put_length(part.len(), &mut block);
            block.extend_from_slice(part);
        }
    }
    block
}

fn put_length(length: usize, block: &mut Vec<u8>) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut left = length - 127;
    while left >= 128 {
        block.push((left % 128) as u8 | 128);
        left /= 128;
    }
    block.push(left as u8);
}

/// The pseudo-headers of a simple request.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

pub(crate) fn request(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(&GET))
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// Each frame of what was written as a line.
pub(crate) fn describe_frames(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let [l1, l2, l3, kind, flags, s1, s2, s3, s4, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *l1, *l2, *l3]) as usize;
        let stream = u32::from_be_bytes([*s1, *s2, *s3, *s4]);
        let (payload, behind) = rest.split_at(length);
        bytes = behind;
        lines.push(describe_frame(*kind, *flags, stream, payload));
    }
    assert!(bytes.is_empty(), "half a frame was written");
    lines
}

fn describe_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> String {
    let number = |at: usize| u32::from_be_bytes(*payload[at..].first_chunk().unwrap());
    let ack = if flags & ACK != 0 { " ack" } else { "" };
    match kind {
        DATA => format!("DATA {stream} {:?}{}", text(payload), if flags & END_STREAM != 0 { " end" } else { "" }),
        HEADERS => format!("HEADERS {stream}{}", if flags & END_STREAM != 0 { " end" } else { "" }),
        RST_STREAM => format!("RST_STREAM {stream} {}", selvedge_h2::Code(number(0)).name()),
        SETTINGS => format!("SETTINGS{ack}"),
        PING => format!("PING{ack}"),
        GOAWAY => format!("GOAWAY {} {}", number(0), selvedge_h2::Code(number(4)).name()),
        WINDOW_UPDATE => format!("WINDOW_UPDATE {stream} {}", number(0)),
        CONTINUATION => format!("CONTINUATION {stream}"),
        other => format!("frame of type {other}"),
    }
}
