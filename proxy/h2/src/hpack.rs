//! HPACK, the compression of field sections (RFC 7541).

mod decoder;
mod dynamic_table;
mod encoder;
mod huffman;
mod integer;
mod static_table;

pub(crate) use decoder::{BEYOND_TABLE, Decoder};
pub(crate) use encoder::Encoder;

/// The size of a dynamic table before anybody asked for another one (RFC 9113 6.5.2). We never do.
pub(crate) const TABLE_SIZE: usize = 4096;

/// A header block that cannot be decoded. The state of the table is lost, and the connection with it (RFC 9113 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompressionError(pub(crate) &'static str);
