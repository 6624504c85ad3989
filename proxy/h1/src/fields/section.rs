//! Filling fields from a section of HTTP/2 (RFC 9113 8).

use crate::field_line::Field;
use crate::field_section::{LINE_END, SectionError, SectionField, SectionName, SectionSize, is_connection_specific};
use crate::fields::{FieldError, FieldRef, Fields, MAX_BYTES, MAX_FIELDS_FROM_WIRE};
use crate::limits::Limits;
use crate::name::{Header, SEPARATOR};

/// What stands between two crumbs of a cookie (RFC 9113 8.2.3).
const CRUMB_SEPARATOR: &[u8] = b"; ";

impl Fields {
    /// Adds a field of a trailer section. What says something about the message as a whole is refused there if it delimits or
    /// directs it, else dropped (RFC 9110 6.5.1).
    pub fn add_trailer(
        &mut self,
        field: SectionField<'_>,
        size: &mut SectionSize,
        limits: &Limits,
    ) -> Result<(), SectionError> {
        size.add(&field, limits)?;
        match field.checked_name()? {
            SectionName::Pseudo(_) => Err(SectionError::UnknownPseudoHeader),
            SectionName::Field(header) if is_connection_specific(header) => Err(SectionError::ConnectionSpecific),
            SectionName::Field(Header::ContentLength | Header::Host) => Err(SectionError::TrailerField),
            SectionName::Field(header) if header.needs_attention() => Ok(()),
            SectionName::Field(header) => self.push_section_field(header, field),
        }
    }

    /// The live fields but those that a serialiser writes itself, from what the head says.
    #[inline]
    pub fn iter_written(&self) -> impl Iterator<Item = FieldRef<'_>> {
        let written = self.table.iter().filter(|field| field.is_live() && !field.header.is_framing());
        written.map(|field| self.reference(field))
    }

    /// Adds a field that was checked.
    #[inline]
    pub(crate) fn push_section_field(&mut self, header: Header, field: SectionField<'_>) -> Result<(), SectionError> {
        if self.table.len() >= MAX_FIELDS_FROM_WIRE {
            return Err(SectionError::TooManyFields);
        }
        if let Some(line) = field.line() {
            return self.push_section_line(header, line, field.name().len());
        }
        let line_start: [&[u8]; 2] = match header {
            Header::Other => [field.name(), SEPARATOR.as_bytes()],
            known => [known.line_start().as_bytes(), b""],
        };
        let new = self.begin(&line_start).map_err(too_large)?;
        self.bytes.extend_from_slice(field.value());
        let field = self.finish(header, new, true).map_err(too_large)?;
        self.note(field);
        Ok(())
    }

    /// The same, for a line that lies as it is to be.
    #[inline]
    fn push_section_line(&mut self, header: Header, line: &[u8], name_length: usize) -> Result<(), SectionError> {
        let start = self.bytes.len();
        let (Ok(short_name_length), true) = (u16::try_from(name_length), start + line.len() <= MAX_BYTES) else {
            return Err(SectionError::TooLarge);
        };
        self.bytes.extend_from_slice(line);
        // MAX_BYTES fits 32 bits.
        let field = Field {
            name_start: start as u32,
            value_start: (start + name_length + SEPARATOR.len()) as u32,
            value_end: (start + line.len() - LINE_END.len()) as u32,
            name_length: short_name_length,
            header,
            flags: 0,
        };
        self.note(field);
        Ok(())
    }

    /// Adds a crumb of a cookie to the last field, if that is one; says whether it was.
    pub(crate) fn extend_cookie(&mut self, crumb: &[u8]) -> bool {
        let Some(last) = self.table.last_mut() else { return false };
        if last.header != Header::Cookie || last.value_end as usize + 2 != self.bytes.len() {
            return false;
        }
        self.bytes.truncate(last.value_end as usize);
        self.bytes.extend_from_slice(CRUMB_SEPARATOR);
        self.bytes.extend_from_slice(crumb);
        // Sections are bounded far below 32 bits.
        last.value_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(b"\r\n");
        true
    }

    /// Makes one field of the cookies, in place of the first.
    pub(crate) fn join_cookies(&mut self) {
        if self.repeated.contains(Header::Cookie) {
            // A head that is full keeps its lines.
            let _ = self.join_with(Header::Cookie, CRUMB_SEPARATOR, b"");
        }
    }

    /// The position of the last field's value, to remember it.
    pub(crate) fn last_value(&self) -> Option<crate::fields::Span> {
        self.table.last().map(Field::value)
    }
}

fn too_large(_: FieldError) -> SectionError {
    SectionError::TooLarge
}
