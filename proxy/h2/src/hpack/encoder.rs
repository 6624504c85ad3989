//! Encoding header blocks.
//!
//! Names of the static table by their index, everything else as it is: no Huffman code and no dynamic table. That costs the
//! least processor time on both sides, and some bytes on the wire.

use h1::Header;

use crate::hpack::static_table::{index_of, pseudo_index};
use crate::hpack::{TABLE_SIZE, integer};

/// Encodes the header blocks of one direction of a connection, in order.
pub(crate) struct Encoder {
    /// The size of the dynamic table as the peer's decoder knows it.
    table_size: usize,
    /// The peer wants a smaller one, so the next block must say that it is (RFC 7541 4.2).
    size_update: bool,
}

/// A literal field that goes to no table, its name by index.
const LITERAL: u8 = 0x00;
const INDEXED: u8 = 0x80;
const SIZE_UPDATE_TO_ZERO: u8 = 0x20;

impl Encoder {
    pub(crate) fn new() -> Self {
        Encoder { table_size: TABLE_SIZE, size_update: false }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    pub(crate) fn limit_table(&mut self, size: usize) {
        self.size_update |= size < self.table_size;
    }

    /// Begins a block.
    #[inline]
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if self.size_update {
            out.push(SIZE_UPDATE_TO_ZERO);
            self.size_update = false;
            self.table_size = 0;
        }
    }

    #[inline]
    pub(crate) fn method(&self, method: &str, out: &mut Vec<u8>) {
        match method {
            "GET" => out.push(INDEXED | pseudo_index::METHOD_GET),
            "POST" => out.push(INDEXED | pseudo_index::METHOD_POST),
            other => self.by_index(pseudo_index::METHOD_GET, other.as_bytes(), out),
        }
    }

    #[inline]
    pub(crate) fn scheme(&self, scheme: h1::Scheme, out: &mut Vec<u8>) {
        out.push(match scheme {
            h1::Scheme::Http => INDEXED | pseudo_index::SCHEME_HTTP,
            h1::Scheme::Https => INDEXED | pseudo_index::SCHEME_HTTPS,
        });
    }

    #[inline]
    pub(crate) fn authority(&self, authority: &[u8], out: &mut Vec<u8>) {
        self.by_index(pseudo_index::AUTHORITY, authority, out);
    }

    #[inline]
    pub(crate) fn path(&self, path: &[u8], out: &mut Vec<u8>) {
        match path {
            b"/" => out.push(INDEXED | pseudo_index::PATH_ROOT),
            // An empty path is sent by nobody else; `/` is what it means.
            b"" => out.push(INDEXED | pseudo_index::PATH_ROOT),
            other => self.by_index(pseudo_index::PATH_ROOT, other, out),
        }
    }

    pub(crate) fn protocol(&self, protocol: &[u8], out: &mut Vec<u8>) {
        self.by_name(b":protocol", protocol, out);
    }

    #[inline]
    pub(crate) fn status(&self, status: u16, out: &mut Vec<u8>) {
        let index = match status {
            200 => 0,
            204 => 1,
            206 => 2,
            304 => 3,
            400 => 4,
            404 => 5,
            500 => 6,
            other => {
                let mut digits = itoa::Buffer::new();
                return self.by_index(pseudo_index::STATUS_200, digits.format(other).as_bytes(), out);
            }
        };
        out.push(INDEXED | (pseudo_index::STATUS_200 + index));
    }

    /// A field; `name` is that of `header` unless it is not well known.
    #[inline]
    pub(crate) fn field(&self, header: Header, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match index_of(header) {
            0 => self.by_name(name, value, out),
            index => self.by_index(index, value, out),
        }
    }

    #[inline]
    fn by_index(&self, index: u8, value: &[u8], out: &mut Vec<u8>) {
        if value.len() >= SHORT {
            integer::write(usize::from(index), 4, LITERAL, out);
            return string(value, out);
        }
        let length = value.len() as u8;
        match index.checked_sub(ONE_BYTE_INDICES) {
            None => out.extend_from_slice(&[LITERAL | index, length]),
            Some(rest) => out.extend_from_slice(&[LITERAL | ONE_BYTE_INDICES, rest, length]),
        }
        out.extend_from_slice(value);
    }

    #[inline]
    fn by_name(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        out.push(LITERAL);
        string(name, out);
        string(value, out);
    }
}

/// Shorter strings have a length of one byte.
const SHORT: usize = 127;
/// Lower indices of a literal's name take one byte, the others of the static table two.
const ONE_BYTE_INDICES: u8 = 15;

fn string(text: &[u8], out: &mut Vec<u8>) {
    integer::write(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}
