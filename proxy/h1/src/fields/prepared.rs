//! Fields that are the same in many heads.

use crate::field_line::Field;
use crate::fields::{FieldError, Fields, MAX_BYTES, MAX_FIELDS};
use crate::header_set::HeaderSet;
use crate::name::Header;

/// Fields that were checked and written once, to be added to many heads.
#[derive(Clone, Debug)]
pub struct PreparedFields {
    /// As on the wire.
    bytes: Box<[u8]>,
    /// Where they lie in `bytes`.
    table: Box<[Field]>,
    present: HeaderSet,
}

impl PreparedFields {
    /// Of the live fields.
    pub fn of(fields: &Fields) -> Self {
        let mut live = Fields::new();
        for field in fields.iter() {
            // They were taken once and fit again.
            let _ = live.append(field.name, field.value);
        }
        Self { bytes: live.bytes.into(), table: live.table.into(), present: live.present }
    }

    /// A single well-known one.
    pub fn one(header: Header, value: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::new();
        fields.append_known(header, value)?;
        Ok(Self::of(&fields))
    }
}

impl Fields {
    /// Adds prepared fields at the end.
    #[inline]
    pub fn append_prepared(&mut self, prepared: &PreparedFields) -> Result<(), FieldError> {
        let start = self.bytes.len();
        if self.table.len() + prepared.table.len() > MAX_FIELDS || start + prepared.bytes.len() > MAX_BYTES {
            return Err(FieldError::Full);
        }
        self.bytes.extend_from_slice(&prepared.bytes);
        self.table.extend(prepared.table.iter().map(|field| field.moved(start as u32))); // MAX_BYTES fits 32 bits
        self.present = self.present.with(prepared.present);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_fields_are_as_good_as_appended_ones() {
        let mut source = Fields::new();
        source.append_known(Header::XForwardedFor, b"192.0.2.1").unwrap();
        source.append_known(Header::Server, b"gone").unwrap();
        source.append(b"x-other", b"two words").unwrap();
        source.remove(Header::Server);
        let prepared = PreparedFields::of(&source);
        let mut fields = Fields::new();
        fields.append_known(Header::Date, b"today").unwrap();
        fields.append_prepared(&prepared).unwrap();
        assert_eq!(fields.get(Header::XForwardedFor), Some(&b"192.0.2.1"[..]));
        assert_eq!(fields.find(b"x-other"), Some(&b"two words"[..]));
        assert!(!fields.contains(Header::Server));
        let mut written = Vec::new();
        fields.write(&mut written);
        assert_eq!(written, b"date: today\r\nx-forwarded-for: 192.0.2.1\r\nx-other: two words\r\n");
        assert_eq!(PreparedFields::one(Header::Server, b"a\nb").unwrap_err(), FieldError::Value);
    }
}
