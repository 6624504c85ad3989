//! Adding, replacing and removing fields.

use crate::field_line::{Field, REMOVED};
use crate::fields::{FieldError, FieldRef, Fields, MAX_BYTES, MAX_FIELDS, bytes_at};
use crate::header_set::HeaderSet;
use crate::name::{Header, SEPARATOR};
use crate::scan::{is_field_value, is_token};

impl Fields {
    /// Adds a field at the end. The name must be a lower-case token; the value is taken as it is.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        let header = Header::from_name(name);
        if header == Header::Other && (name.is_empty() || !name.iter().all(|byte| is_token(*byte))) {
            return Err(FieldError::Name);
        }
        if name.iter().any(u8::is_ascii_uppercase) {
            return Err(FieldError::Name);
        }
        let start = self.begin(&[name, SEPARATOR.as_bytes()])?;
        self.bytes.extend_from_slice(value);
        self.add(header, start, is_field_value(value))
    }

    /// Adds a well-known field at the end.
    #[inline(never)]
    pub fn append_known(&mut self, header: Header, value: &[u8]) -> Result<(), FieldError> {
        self.append_value(header, |writer| writer.put(value))
    }

    /// Adds a well-known field whose value is always so long and holds no control character, such as a date. Nothing is checked.
    #[inline(always)]
    pub fn append_fixed<const LENGTH: usize>(
        &mut self,
        header: Header,
        value: &[u8; LENGTH],
    ) -> Result<(), FieldError> {
        debug_assert!(header != Header::Other && is_field_value(value));
        let start = self.begin(&[header.line_start().as_bytes()])?;
        self.bytes.extend_from_slice(value);
        self.add(header, start, true)
    }

    /// Adds a well-known field whose value `write` puts together in place.
    #[inline(always)]
    pub fn append_value(&mut self, header: Header, write: impl FnOnce(&mut ValueWriter<'_>)) -> Result<(), FieldError> {
        if header == Header::Other {
            return Err(FieldError::Name);
        }
        let start = self.begin(&[header.line_start().as_bytes()])?;
        let mut writer = ValueWriter { bytes: &mut self.bytes, valid: true };
        write(&mut writer);
        let valid = writer.valid;
        self.add(header, start, valid)
    }

    /// Replaces every field called `name` by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        self.remove_name(name);
        self.append(name, value)
    }

    /// Replaces every such field by one.
    #[inline]
    pub fn set_known(&mut self, header: Header, value: &[u8]) -> Result<(), FieldError> {
        self.remove(header);
        self.append_known(header, value)
    }

    /// Replaces all values of a well-known field by one: the values and `element`, joined by `separator`.
    pub fn extend_list(&mut self, header: Header, separator: &[u8], element: &[u8]) -> Result<(), FieldError> {
        if !self.contains(header) {
            return self.append_known(header, element);
        }
        let start = self.begin(&[header.line_start().as_bytes()])?;
        for field in self.table.iter().filter(|field| field.header == header && field.is_live()) {
            let end = self.bytes.len();
            self.bytes.extend_from_within((field.value_start as usize).min(end)..(field.value_end as usize).min(end));
            self.bytes.extend_from_slice(separator);
        }
        self.bytes.extend_from_slice(element);
        // The values were checked when they came.
        let field = self.finish(header, start, is_field_value(element) && is_field_value(separator))?;
        self.remove_matching(|field| field.header == header);
        self.table.push(field);
        Ok(())
    }

    /// Takes out every such field; says whether there was one.
    #[inline]
    pub fn remove(&mut self, header: Header) -> bool {
        let found = self.contains(header);
        if found {
            self.remove_matching(|field| field.header == header);
            self.present.remove(header);
        }
        found
    }

    /// Takes out every field whose well-known name is in `headers`.
    #[inline]
    pub fn remove_all(&mut self, headers: HeaderSet) {
        if self.present.intersects(headers) {
            self.remove_matching(|field| headers.contains(field.header));
            self.present = self.present.without(headers);
        }
    }

    /// Takes out every field called `name` (lower case); says whether there was one.
    pub fn remove_name(&mut self, name: &[u8]) -> bool {
        let header = Header::from_name(name);
        if header != Header::Other {
            return self.remove(header);
        }
        self.remove_if(|field| field.header == Header::Other && field.name == name)
    }

    /// Takes out every live field for which `condition` holds; says whether there was one.
    pub fn remove_if(&mut self, mut condition: impl FnMut(FieldRef<'_>) -> bool) -> bool {
        let mut found = false;
        let mut present = HeaderSet::EMPTY;
        for field in self.table.iter_mut().filter(|field| field.is_live()) {
            let (name, value) = (bytes_at(&self.bytes, field.name()), bytes_at(&self.bytes, field.value()));
            if condition(FieldRef { header: field.header, name, value }) {
                field.flags |= REMOVED;
                found = true;
            } else {
                present.insert(field.header);
            }
        }
        self.present = present;
        found
    }

    #[inline]
    fn remove_matching(&mut self, matches: impl Fn(&Field) -> bool) {
        for field in &mut self.table {
            field.flags |= u8::from(matches(field)) * REMOVED;
        }
    }

    /// Starts a field, in wire form so that a run of fields is written by one copy.
    #[inline(always)]
    pub(super) fn begin(&mut self, line_start: &[&[u8]]) -> Result<NewField, FieldError> {
        if self.table.len() >= MAX_FIELDS {
            return Err(FieldError::Full);
        }
        let name_start = self.bytes.len();
        for part in line_start {
            self.bytes.extend_from_slice(part);
        }
        Ok(NewField { name_start, value_start: self.bytes.len() })
    }

    /// Adds the field whose value was written since, if that is valid.
    #[inline(always)]
    pub(super) fn add(&mut self, header: Header, new: NewField, valid: bool) -> Result<(), FieldError> {
        let field = self.finish(header, new, valid)?;
        self.present.insert(header);
        self.table.push(field);
        Ok(())
    }

    /// Ends the line whose value was written behind the name. An invalid field leaves no trace.
    #[inline(always)]
    pub(super) fn finish(&mut self, header: Header, new: NewField, valid: bool) -> Result<Field, FieldError> {
        let value_end = self.bytes.len();
        let error = match valid {
            _ if value_end > MAX_BYTES => Some(FieldError::Full),
            true => None,
            false => Some(FieldError::Value),
        };
        let name_length = u16::try_from(new.value_start - new.name_start - SEPARATOR.len());
        let (Ok(name_length), None) = (name_length, error) else {
            self.bytes.truncate(new.name_start);
            return Err(error.unwrap_or(FieldError::Full));
        };
        self.bytes.extend_from_slice(b"\r\n");
        // MAX_BYTES fits 32 bits.
        let (name_start, value_start) = (new.name_start as u32, new.value_start as u32);
        Ok(Field { name_start, value_start, value_end: value_end as u32, name_length, header, flags: 0 })
    }
}

/// A field of which the name is written and the value is being written.
pub(super) struct NewField {
    name_start: usize,
    value_start: usize,
}

/// Writes one field value piece by piece.
#[derive(Debug)]
pub struct ValueWriter<'a> {
    bytes: &'a mut Vec<u8>,
    /// All of it may stand in a value.
    valid: bool,
}

impl ValueWriter<'_> {
    /// Adds bytes.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.valid &= is_field_value(bytes);
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a number in decimal.
    #[inline]
    pub fn put_number(&mut self, number: u64) {
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}
