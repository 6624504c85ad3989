//! The fields of one head: a reusable byte buffer and a table of positions in it.

mod change;
mod joined;
mod prepared;
mod section;
mod wire;

use std::ops::Range;

use crate::field_line::Field;
use crate::header_set::HeaderSet;
use crate::name::Header;

pub use change::ValueWriter;
pub use joined::{JOINED_IN_REQUESTS, JOINED_IN_RESPONSES};
pub use prepared::PreparedFields;

/// No head holds more fields. A removed field keeps its place until the head is cleared.
pub const MAX_FIELDS: usize = 256;

/// No more of them come from the wire, whatever the limits say, so that there is room for those added here.
pub(crate) const MAX_FIELDS_FROM_WIRE: usize = 200;

/// No head holds more bytes, removed and replaced fields included.
pub const MAX_BYTES: usize = 16 << 20;

/// A part of the bytes of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Heads are bounded by MAX_BYTES; a span that does not fit reads as empty.
        Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(0) }
    }

    #[inline(always)]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Why a field was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is not a lower-case token.
    Name,
    /// The value holds a control character other than tab.
    Value,
    /// The head has [`MAX_FIELDS`] fields or [`MAX_BYTES`] bytes.
    Full,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            FieldError::Name => "the field name is not a lower-case token",
            FieldError::Value => "the field value holds a control character",
            FieldError::Full => "the head has no room for another field",
        })
    }
}

impl std::error::Error for FieldError {}

/// One live field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The well-known name, or [`Header::Other`].
    pub header: Header,
    /// The name in lower case.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
}

/// The fields of one head, in order. Names are lower case. Clearing keeps the allocations.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    table: Vec<Field>,
    present: HeaderSet,
    /// Those that came over the wire more than once.
    repeated: HeaderSet,
}

impl Fields {
    /// A head without fields; nothing is allocated yet.
    pub fn new() -> Self {
        Fields::default()
    }

    /// The first live value of a well-known field.
    #[inline]
    pub fn get(&self, header: Header) -> Option<&[u8]> {
        self.get_all(header).next()
    }

    /// All live values of a well-known field, in order.
    #[inline]
    pub fn get_all(&self, header: Header) -> impl Iterator<Item = &[u8]> {
        let table = if self.contains(header) { self.table.as_slice() } else { &[] };
        table.iter().filter(move |field| field.header == header && field.is_live()).map(|field| self.value(field))
    }

    /// The first live value of the field called `name` (lower case).
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// All live values of the field called `name` (lower case), in order.
    #[inline]
    pub fn find_all<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let header = Header::from_name(name);
        let known_absent = header != Header::Other && !self.contains(header);
        let table = if known_absent { &[] } else { self.table.as_slice() };
        table
            .iter()
            .filter(move |field| {
                field.is_live() && field.header == header && (header != Header::Other || self.name(field) == name)
            })
            .map(|field| self.value(field))
    }

    /// Whether a well-known field is there.
    #[inline(always)]
    pub fn contains(&self, header: Header) -> bool {
        self.present.contains(header)
    }

    /// Whether any of the well-known fields is there.
    #[inline(always)]
    pub fn contains_any(&self, headers: HeaderSet) -> bool {
        self.present.intersects(headers)
    }

    /// The live fields in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.table.iter().filter(|field| field.is_live()).map(|field| self.reference(field))
    }

    /// How many live fields there are.
    pub fn len(&self) -> usize {
        self.table.iter().filter(|field| field.is_live()).count()
    }

    /// Whether there is no live field.
    pub fn is_empty(&self) -> bool {
        !self.table.iter().any(Field::is_live)
    }

    /// Bytes of the live fields as HTTP/1 writes them.
    pub fn wire_length(&self) -> usize {
        self.iter().map(|field| field.name.len() + field.value.len() + 4).sum()
    }

    /// Gives back memory above `bytes` bytes; for owners that keep heads in a pool.
    #[inline]
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.table.shrink_to(bytes / 64);
    }

    #[inline(always)]
    fn name(&self, field: &Field) -> &[u8] {
        bytes_at(&self.bytes, field.name())
    }

    #[inline(always)]
    fn value(&self, field: &Field) -> &[u8] {
        bytes_at(&self.bytes, field.value())
    }

    #[inline(always)]
    fn reference(&self, field: &Field) -> FieldRef<'_> {
        FieldRef { header: field.header, name: self.name(field), value: self.value(field) }
    }
}

#[inline(always)]
fn bytes_at(bytes: &[u8], span: Span) -> &[u8] {
    bytes.get(span.range()).unwrap_or_default()
}
