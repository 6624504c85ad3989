//! What the parsers and the serialiser need of fields.

use crate::field_line::{Field, IRREGULAR, MIXED_CASE, REMOVED};
use crate::fields::{FieldError, Fields, MAX_BYTES, Span, bytes_at};
use crate::header_set::HeaderSet;
use crate::name::{self, Header};
use crate::scan::is_field_value;

impl Fields {
    /// Makes them empty; allocations are kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.table.clear();
        self.present = HeaderSet::EMPTY;
        self.repeated = HeaderSet::EMPTY;
    }

    /// How many fields were seen, removed ones included.
    #[inline(always)]
    pub(crate) fn seen(&self) -> usize {
        self.table.len()
    }

    /// Notes a field whose positions are those of the head on the wire; [`Fields::adopt`] brings the bytes.
    #[inline(always)]
    pub(crate) fn note(&mut self, field: Field) {
        if field.is_live() {
            self.present.insert_noting(field.header, &mut self.repeated);
        }
        self.table.push(field);
    }

    /// Copies the head on the wire, whose fields were noted, and lower-cases their names.
    pub(crate) fn adopt(&mut self, head: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        for field in self.table.iter().filter(|field| field.flags & MIXED_CASE != 0) {
            let start = field.name_start as usize;
            let Some(rest) = self.bytes.get_mut(start..) else { continue };
            match field.header {
                Header::Other => {
                    rest.iter_mut().take(field.name_length.into()).for_each(|byte| byte.make_ascii_lowercase());
                }
                header => name::write_lower(header, rest),
            }
        }
    }

    #[inline(always)]
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        bytes_at(&self.bytes, span)
    }

    /// Stores bytes that belong to no field.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Option<Span> {
        let start = self.bytes.len();
        if start + bytes.len() > MAX_BYTES {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        Some(Span::new(start, self.bytes.len()))
    }

    /// Stores a copy of bytes that are already there.
    pub(crate) fn store_copy(&mut self, source: Span) -> Span {
        let start = self.bytes.len();
        let range = source.range();
        if range.start <= range.end && range.end <= start {
            self.bytes.extend_from_within(range);
        }
        Span::new(start, self.bytes.len())
    }

    /// Adds a well-known field whose value is already among the bytes.
    pub(crate) fn append_copy(&mut self, header: Header, source: Span) -> Result<(), FieldError> {
        let start = self.begin(&[header.line_start().as_bytes()])?;
        let value = self.store_copy(source);
        let valid = is_field_value(self.slice(value));
        self.add(header, start, valid)
    }

    /// Values of a field in the head on the wire, removed ones included.
    pub(crate) fn values_seen(&self, header: Header) -> impl Iterator<Item = Span> {
        let seen = self.table.iter().filter(move |field| field.header == header);
        seen.map(Field::value)
    }

    /// Brings a field back that was removed while parsing.
    pub(crate) fn restore(&mut self, header: Header) {
        for field in self.table.iter_mut().filter(|field| field.header == header) {
            field.flags &= !REMOVED;
            self.present.insert(header);
        }
    }

    /// Writes the live fields but those that the serialiser writes itself. Neighbours are copied as one run.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut run = Span::default();
        for field in &self.table {
            if !field.is_live() || field.header.is_framing() {
                continue;
            }
            if field.name_start != run.end || field.flags & IRREGULAR != 0 {
                out.extend_from_slice(self.slice(run));
                run.start = field.name_start;
            }
            run.end = field.value_end + 2;
            if field.flags & IRREGULAR != 0 {
                for part in [self.name(field), b": ", self.value(field), b"\r\n"] {
                    out.extend_from_slice(part);
                }
                run = Span::default();
            }
        }
        out.extend_from_slice(self.slice(run));
    }
}
