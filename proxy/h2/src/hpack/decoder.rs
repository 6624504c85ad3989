//! Decoding header blocks (RFC 7541 3.2, 6).

use std::ops::Range;

use h1::{SectionField, SectionKind};

use crate::hpack::dynamic_table::DynamicTable;
use crate::hpack::integer::Block;
use crate::hpack::static_table::STATIC_TABLE;
use crate::hpack::{CompressionError, TABLE_SIZE, huffman};

/// Decodes the header blocks of one direction of a connection, in order.
pub(crate) struct Decoder {
    table: DynamicTable,
    /// Strings that came in Huffman code.
    decoded: Vec<u8>,
}

pub(crate) const BEYOND_TABLE: CompressionError = CompressionError("index beyond the dynamic table");

/// Where a string lies.
enum Text<'a> {
    Block(&'a [u8]),
    Decoded(Range<usize>),
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Decoder { table: DynamicTable::new(TABLE_SIZE), decoded: Vec::new() }
    }

    /// Gives back memory above `bytes` bytes, but for the table.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.decoded.shrink_to(bytes);
    }

    /// Decodes a whole block and hands out its fields. All of it must be decoded even if the fields are of no use.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(SectionField<'_>),
    ) -> Result<(), CompressionError> {
        let mut block = Block(block);
        let mut at_start = true;
        while let [first, ..] = block.0 {
            match first {
                0x80.. => take(self.indexed(block.integer(7)?)?),
                0x40.. => self.literal(&mut block, 6, true, &mut take)?,
                0x20.. => {
                    let capacity = block.integer(5)?;
                    if !at_start || !self.table.resize(capacity) {
                        return Err(CompressionError("unexpected size of the dynamic table"));
                    }
                    continue;
                }
                _ => self.literal(&mut block, 4, false, &mut take)?,
            }
            at_start = false;
        }
        Ok(())
    }

    #[inline]
    fn indexed(&self, index: usize) -> Result<SectionField<'_>, CompressionError> {
        match STATIC_TABLE.get(index.wrapping_sub(1)) {
            Some(field) => Ok(SectionField::new(field.kind, field.name.as_bytes(), field.value.as_bytes())),
            None => {
                let found = index.checked_sub(STATIC_TABLE.len() + 1).and_then(|index| self.table.get(index));
                found.map(|(_, field)| field).ok_or(BEYOND_TABLE)
            }
        }
    }

    /// A field that stands in the block, its name perhaps in a table; `kept` if it goes there itself.
    #[inline]
    fn literal(
        &mut self,
        block: &mut Block<'_>,
        prefix: u32,
        kept: bool,
        take: &mut impl FnMut(SectionField<'_>),
    ) -> Result<(), CompressionError> {
        let index = block.integer(prefix)?;
        self.decoded.clear();
        let name_text = if index == 0 { Some(string(block, &mut self.decoded)?) } else { None };
        let value_text = string(block, &mut self.decoded)?;
        let value = bytes_of(&value_text, &self.decoded);
        if let (None, Some(dynamic)) = (&name_text, index.checked_sub(STATIC_TABLE.len() + 1)) {
            let (kind, named) = self.table.get(dynamic).ok_or(BEYOND_TABLE)?;
            let kind = kind.with_value(value);
            take(SectionField::new(kind, named.name(), value));
            if kept {
                self.table.insert_with_name_of(dynamic, kind, value);
            }
            return Ok(());
        }
        let (kind, name) = match (&name_text, STATIC_TABLE.get(index.wrapping_sub(1))) {
            (None, Some(field)) => (field.kind, field.name.as_bytes()),
            (text, _) => {
                let name = text.as_ref().map_or(&[][..], |text| bytes_of(text, &self.decoded));
                (SectionKind::of_name(name), name)
            }
        };
        let kind = kind.with_value(value);
        take(SectionField::new(kind, name, value));
        if kept {
            self.table.insert(kind, name, value);
        }
        Ok(())
    }
}

/// Reads a string (RFC 7541 5.2).
#[inline]
fn string<'a>(block: &mut Block<'a>, decoded: &mut Vec<u8>) -> Result<Text<'a>, CompressionError> {
    let is_huffman = block.0.first().is_some_and(|first| first & 0x80 != 0);
    let length = block.integer(7)?;
    let bytes = block.take(length)?;
    if !is_huffman {
        return Ok(Text::Block(bytes));
    }
    let start = decoded.len();
    huffman::decode(bytes, decoded)?;
    Ok(Text::Decoded(start..decoded.len()))
}

#[inline]
fn bytes_of<'a>(text: &Text<'a>, decoded: &'a [u8]) -> &'a [u8] {
    match text {
        Text::Block(bytes) => bytes,
        Text::Decoded(range) => decoded.get(range.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
