//! Responses of HTTP/2: the head, filled field by field (RFC 9113 8.3.2).

use crate::body_length::BodyLength;
use crate::field_section::{
    PseudoHeader, SectionError, SectionField, SectionName, SectionSize, is_connection_specific,
};
use crate::fields::JOINED_IN_RESPONSES;
use crate::limits::Limits;
use crate::method::Method;
use crate::name::Header;
use crate::response::ResponseHead;
use crate::version::Version;

/// What a request of HTTP/2 was, as far as the meaning of its response depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SectionExpectation<'a> {
    /// The method of the request.
    pub method: Method,
    /// The protocol that extended CONNECT asked for.
    pub protocol: Option<&'a [u8]>,
}

/// How far a section is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    size: SectionSize,
    fields: bool,
}

impl ResponseHead {
    /// Starts a head that comes by HTTP/2: [`ResponseHead::add_section_field`] takes its fields, [`ResponseHead::finish_section`] ends it.
    pub fn begin_section(&mut self) {
        self.clear();
        self.version = Version::Http2;
        self.keep_alive = true;
    }

    /// Takes the next field of the section. After an error the head is of no use.
    #[inline]
    pub fn add_section_field(&mut self, field: SectionField<'_>, limits: &Limits) -> Result<(), SectionError> {
        self.progress.section.size.add(&field, limits)?;
        match field.checked_name()? {
            SectionName::Pseudo(PseudoHeader::Status) => self.section_status(field.value()),
            SectionName::Pseudo(_) => Err(SectionError::UnknownPseudoHeader),
            SectionName::Field(header) => {
                self.progress.section.fields = true;
                match header {
                    Header::ContentLength => self.progress.framing.content_length(field.value())?,
                    // They mean nothing in a response, and an HTTP/1 parser takes them out.
                    Header::Host | Header::Te | Header::ProxyAuthenticate | Header::Http2Settings => return Ok(()),
                    header if is_connection_specific(header) => return Err(SectionError::ConnectionSpecific),
                    _ => {}
                }
                self.fields.push_section_field(header, field)
            }
        }
    }

    fn section_status(&mut self, value: &[u8]) -> Result<(), SectionError> {
        if self.progress.section.fields {
            return Err(SectionError::LatePseudoHeader);
        }
        if self.status != 0 {
            return Err(SectionError::DuplicatePseudoHeader);
        }
        let [first @ b'1'..=b'9', second @ b'0'..=b'9', third @ b'0'..=b'9'] = value else {
            return Err(SectionError::Status);
        };
        self.status = [first, second, third].iter().fold(0, |number, digit| number * 10 + u16::from(**digit - b'0'));
        Ok(())
    }

    /// The section is complete. `end`: no content follows.
    pub fn finish_section(&mut self, end: bool, expectation: SectionExpectation<'_>) -> Result<(), SectionError> {
        match self.status {
            0 => return Err(SectionError::PseudoHeaders),
            // HTTP/2 has no such status (RFC 9113 8.6), and after an interim response there is another one.
            101 => return Err(SectionError::Status),
            100..200 if end => return Err(SectionError::Status),
            _ => {}
        }
        self.fields.join_repeated(JOINED_IN_RESPONSES);
        if let Some(protocol) = expectation.protocol
            && (200..300).contains(&self.status)
        {
            return self.switch_to(protocol);
        }
        self.content_length = self.progress.framing.content_length;
        self.tunnel = expectation.method == Method::Connect && (200..300).contains(&self.status);
        self.body = self.section_body(end, expectation.method)?;
        Ok(())
    }

    #[inline]
    fn section_body(&mut self, end: bool, method: Method) -> Result<BodyLength, SectionError> {
        if self.status < 200 || self.status == 204 {
            if self.content_length.is_some_and(|length| length > 0) {
                return Err(SectionError::BodyDisallowed);
            }
            self.fields.remove(Header::ContentLength);
            self.content_length = None;
            return Ok(BodyLength::None);
        }
        let bodiless = method == Method::Head || self.status == 304 || self.tunnel;
        match (self.content_length, end) {
            _ if bodiless => Ok(BodyLength::None),
            (None, true) => Ok(BodyLength::None),
            (Some(0), true) => Ok(BodyLength::Fixed(0)),
            (Some(_), true) => Err(SectionError::LengthMismatch),
            (Some(length), false) => Ok(BodyLength::Fixed(length)),
            (None, false) => Ok(BodyLength::Chunked),
        }
    }

    /// Success of extended CONNECT (RFC 8441 5) is the 101 that it would be in HTTP/1.
    #[cold]
    fn switch_to(&mut self, protocol: &[u8]) -> Result<(), SectionError> {
        self.status = 101;
        self.tunnel = true;
        self.keep_alive = false;
        self.fields.remove(Header::ContentLength);
        let full = |_| SectionError::TooLarge;
        self.fields.append_known(Header::Connection, b"upgrade").map_err(full)?;
        self.fields.append_known(Header::Upgrade, protocol).map_err(full)?;
        self.upgrade = self.fields.last_value();
        Ok(())
    }
}
