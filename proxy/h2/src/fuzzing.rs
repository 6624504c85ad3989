//! HPACK by itself, for the fuzzers: whoever uses connections has no use for it.

use h1::Header;

use crate::hpack::{self, Decoder, Encoder};

/// Why a block is refused that names a field which is not in the table.
pub const BEYOND_TABLE: &str = hpack::BEYOND_TABLE.0;

/// Decodes the blocks of one direction of a connection, in order.
pub struct BlockDecoder(Decoder);

/// Name and value.
pub type Field = (Vec<u8>, Vec<u8>);

impl Default for BlockDecoder {
    fn default() -> Self {
        BlockDecoder(Decoder::new())
    }
}

impl BlockDecoder {
    /// Names and values of a block.
    ///
    /// # Errors
    /// Why the block cannot be decoded.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, &'static str> {
        let mut fields = Vec::new();
        let taken = self.0.decode(block, |field| fields.push((field.name().to_vec(), field.value().to_vec())));
        taken.map(|()| fields).map_err(|error| error.0)
    }
}

/// The block that we send for these names and values.
pub fn encode(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut encoder = Encoder::new();
    encoder.begin(&mut block);
    for (name, value) in fields {
        encoder.field(Header::from_name(name), name, value, &mut block);
    }
    block
}
