//! How frames of a leg are written.

use super::{LegFrame, Open, kind};
use crate::varint;

/// Appends a frame. Whoever calls it keeps names within [`MAX_NAME`](super::MAX_NAME) and data within [`MAX_DATA`](super::MAX_DATA).
pub fn put(out: &mut Vec<u8>, frame: &LegFrame<'_>) {
    match frame {
        LegFrame::Open(open) => put_content(out, kind::OPEN, |content| put_open(content, open)),
        LegFrame::Accept { progress, shard } => {
            put_integers(out, kind::ACCEPT, &[progress.delivered, progress.allowed, u64::from(*shard)]);
        }
        LegFrame::Refuse(code, reason) => put_content(out, kind::REFUSE, |content| {
            varint::put(content, code.number());
            put_text(content, reason);
        }),
        LegFrame::Data(offset, bytes) => {
            put_data_head(out, *offset, bytes.len());
            out.extend_from_slice(bytes);
        }
        LegFrame::Ack(progress) => put_integers(out, kind::ACK, &[progress.delivered, progress.allowed]),
        LegFrame::Fin(offset) => put_integers(out, kind::FIN, &[*offset]),
        LegFrame::Reset(code) => put_integers(out, kind::RESET, &[*code]),
        LegFrame::Catalogue => put_integers(out, kind::CATALOGUE, &[]),
        LegFrame::Unknown(kind) => put_integers(out, *kind, &[]),
    }
}

/// As [`put`] of [data](LegFrame::Data), of which there are `count` bytes: they are to be appended.
pub(crate) fn put_data_head(out: &mut Vec<u8>, offset: u64, count: usize) {
    varint::put(out, kind::DATA);
    varint::put(out, (varint::length(offset) + count) as u64);
    varint::put(out, offset);
}

fn put_open(content: &mut Vec<u8>, open: &Open) {
    content.extend_from_slice(&open.key.session);
    for value in [open.key.number, u64::from(open.resumes), open.progress.delivered, open.progress.allowed] {
        varint::put(content, value);
    }
    for name in [&open.from, &open.to, &open.tenant] {
        put_text(content, name);
    }
    // 0 is no shard.
    let to_shard = open.to_shard.map_or(0, |shard| u64::from(shard) + 1);
    for value in [u64::from(open.class), u64::from(open.from_shard), to_shard] {
        varint::put(content, value);
    }
}

fn put_text(content: &mut Vec<u8>, text: &str) {
    varint::put(content, text.len() as u64);
    content.extend_from_slice(text.as_bytes());
}

pub(super) fn put_integers(out: &mut Vec<u8>, kind: u64, integers: &[u64]) {
    varint::put(out, kind);
    varint::put(out, integers.iter().map(|value| varint::length(*value)).sum::<usize>() as u64);
    for value in integers {
        varint::put(out, *value);
    }
}

fn put_content(out: &mut Vec<u8>, kind: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    write(&mut content);
    varint::put(out, kind);
    varint::put(out, content.len() as u64);
    out.extend_from_slice(&content);
}
