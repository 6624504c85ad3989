//! Requests of HTTP/2: the head, filled field by field (RFC 9113 8.3.1, RFC 8441).
//!
//! What comes out satisfies what holds of a head that came by HTTP/1: nothing in it can be read in two ways once it is
//! written to an HTTP/1 connection.

use crate::body_length::BodyLength;
use crate::field_section::{
    PseudoHeader, SectionError, SectionField, SectionName, SectionSize, is_connection_specific,
};
use crate::fields::{JOINED_IN_REQUESTS, Span};
use crate::limits::{Limits, Underscores};
use crate::method::Method;
use crate::name::Header;
use crate::request::RequestHead;
use crate::scan::{is_authority, is_token};
use crate::target;
use crate::version::Version;

/// How far a section is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    size: SectionSize,
    method: bool,
    scheme: bool,
    path: Option<Span>,
    protocol: Option<Span>,
    /// A field that is no pseudo-header was there.
    fields: bool,
}

impl RequestHead {
    /// Starts a head that comes by HTTP/2: [`RequestHead::add_section_field`] takes its fields, [`RequestHead::finish_section`] ends it.
    pub fn begin_section(&mut self) {
        self.clear();
        self.version = Version::Http2;
        self.keep_alive = true;
    }

    /// Takes the next field of the section. After an error the head is of no use.
    #[inline]
    pub fn add_section_field(&mut self, field: SectionField<'_>, limits: &Limits) -> Result<(), SectionError> {
        let name = field.checked_name()?;
        self.progress.section.size.add(&field, limits)?;
        match name {
            SectionName::Pseudo(pseudo) => self.pseudo_header(pseudo, field.value()),
            SectionName::Field(header) => {
                self.progress.section.fields = true;
                if header.needs_attention() {
                    return self.special_section_field(header, field);
                }
                if header == Header::Cookie && self.fields.extend_cookie(field.value()) {
                    return Ok(());
                }
                if header == Header::Other && limits.underscores != Underscores::Allow && field.name().contains(&b'_') {
                    return if limits.underscores == Underscores::Reject {
                        Err(SectionError::Underscore)
                    } else {
                        Ok(())
                    };
                }
                self.fields.push_section_field(header, field)
            }
        }
    }

    /// Bytes of the section so far, as its limits count them.
    pub fn section_bytes(&self) -> usize {
        self.progress.section.size.bytes()
    }

    fn pseudo_header(&mut self, pseudo: PseudoHeader, value: &[u8]) -> Result<(), SectionError> {
        let section = &mut self.progress.section;
        if section.fields {
            return Err(SectionError::LatePseudoHeader);
        }
        let seen_before = match pseudo {
            PseudoHeader::Method => {
                self.method = match Method::from_name(value) {
                    Some(method) => method,
                    None if !value.is_empty() && value.iter().all(|byte| is_token(*byte)) => {
                        return Err(SectionError::Method);
                    }
                    None => return Err(SectionError::PseudoHeaders),
                };
                std::mem::replace(&mut section.method, true)
            }
            PseudoHeader::Scheme => {
                if !is_scheme(value) {
                    return Err(SectionError::Scheme);
                }
                std::mem::replace(&mut section.scheme, true)
            }
            PseudoHeader::Authority => {
                if !is_authority(value) || value.contains(&b'@') {
                    return Err(SectionError::Authority);
                }
                let stored = self.fields.store(value).ok_or(SectionError::TooLarge)?;
                self.progress.authority.replace(stored).is_some()
            }
            PseudoHeader::Path => {
                let stored = self.fields.store(value).ok_or(SectionError::TooLarge)?;
                self.progress.section.path.replace(stored).is_some()
            }
            PseudoHeader::Protocol => {
                if value.is_empty() || !value.iter().all(|byte| is_token(*byte)) {
                    return Err(SectionError::Protocol);
                }
                let stored = self.fields.store(value).ok_or(SectionError::TooLarge)?;
                self.progress.section.protocol.replace(stored).is_some()
            }
            PseudoHeader::Status | PseudoHeader::Unknown => return Err(SectionError::UnknownPseudoHeader),
        };
        if seen_before { Err(SectionError::DuplicatePseudoHeader) } else { Ok(()) }
    }

    /// A field that says something about the message, or that concerns one connection only.
    #[cold]
    fn special_section_field(&mut self, header: Header, field: SectionField<'_>) -> Result<(), SectionError> {
        let value = field.value();
        match header {
            Header::Host => {
                if self.progress.host.is_some() || !is_authority(value) {
                    return Err(SectionError::Authority);
                }
                self.progress.host = Some(self.fields.store(value).ok_or(SectionError::TooLarge)?);
                return Ok(());
            }
            Header::ContentLength => self.progress.framing.content_length(value)?,
            Header::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(SectionError::ConnectionSpecific),
            Header::Te if self.fields.contains(Header::Te) => return Ok(()),
            Header::Expect => self.expect_continue = value.eq_ignore_ascii_case(b"100-continue"),
            Header::ProxyAuthenticate | Header::Http2Settings => return Ok(()),
            header if is_connection_specific(header) => return Err(SectionError::ConnectionSpecific),
            _ => {}
        }
        self.fields.push_section_field(header, field)
    }

    /// The section is complete. `end`: no content follows. `extended_connect`: extended CONNECT was offered to the client.
    pub fn finish_section(&mut self, end: bool, extended_connect: bool) -> Result<(), SectionError> {
        let section = self.progress.section;
        if !section.method {
            return Err(SectionError::PseudoHeaders);
        }
        self.authority = self.choose_authority()?;
        if self.fields.slice(self.authority).is_empty() {
            return Err(SectionError::Authority);
        }
        if self.method == Method::Connect {
            self.connect(section, extended_connect)?;
        } else {
            if section.protocol.is_some() {
                return Err(SectionError::Protocol);
            }
            self.section_path(section)?;
            self.body = self.section_body(end)?;
        }
        self.fields.join_cookies();
        self.fields.join_repeated(JOINED_IN_REQUESTS);
        Ok(())
    }

    /// `:authority`, else `host`; one of them must be there, and both must agree.
    #[inline]
    fn choose_authority(&self) -> Result<Span, SectionError> {
        match (self.progress.authority, self.progress.host) {
            (Some(authority), None) => Ok(authority),
            (None, Some(host)) => Ok(host),
            (Some(authority), Some(host)) => {
                let agree = self.fields.slice(authority).eq_ignore_ascii_case(self.fields.slice(host));
                if agree { Ok(authority) } else { Err(SectionError::HostMismatch) }
            }
            (None, None) => Err(SectionError::PseudoHeaders),
        }
    }

    /// The path, by the rules of the targets of HTTP/1 (RFC 9112 3.2.1, 3.2.4).
    #[inline]
    fn section_path(&mut self, section: Section) -> Result<(), SectionError> {
        let (true, Some(path)) = (section.scheme, section.path) else { return Err(SectionError::PseudoHeaders) };
        let text = self.fields.slice(path);
        let asterisk = text == b"*" && self.method == Method::Options;
        if !asterisk && text.first() != Some(&b'/') {
            return Err(SectionError::Path);
        }
        if asterisk {
            self.path = path;
        } else {
            let parsed = target::origin_form(text, path.start as usize, target::Target::default());
            let parsed = parsed.ok_or(SectionError::Path)?;
            self.path = parsed.path;
            self.had_fragment = parsed.had_fragment;
            self.unusual_path = parsed.unusual;
        }
        self.original_path = self.path;
        Ok(())
    }

    #[inline]
    fn section_body(&self, end: bool) -> Result<BodyLength, SectionError> {
        match (end, self.progress.framing.content_length) {
            (true, None) => Ok(BodyLength::None),
            (true, Some(0)) => Ok(BodyLength::Fixed(0)),
            (true, Some(_)) => Err(SectionError::LengthMismatch),
            (false, Some(length)) => Ok(BodyLength::Fixed(length)),
            (false, None) => Ok(BodyLength::Chunked),
        }
    }

    /// CONNECT (RFC 9113 8.5) has neither scheme nor path; extended CONNECT (RFC 8441 4) has both and becomes the upgrade that
    /// it would be in HTTP/1, as with Envoy.
    #[cold]
    fn connect(&mut self, section: Section, extended_connect: bool) -> Result<(), SectionError> {
        if self.progress.framing.content_length.is_some_and(|length| length > 0) {
            return Err(SectionError::BodyDisallowed);
        }
        let Some(protocol) = section.protocol else {
            if section.scheme || section.path.is_some() || self.progress.authority.is_none() {
                return Err(SectionError::PseudoHeaders);
            }
            return Ok(());
        };
        if !extended_connect {
            return Err(SectionError::Protocol);
        }
        self.section_path(section)?;
        self.method = Method::Get;
        self.extended_connect = true;
        let full = |_| SectionError::TooLarge;
        self.fields.append_known(Header::Connection, b"upgrade").map_err(full)?;
        self.fields.append_copy(Header::Upgrade, protocol).map_err(full)?;
        self.upgrade = self.fields.last_value();
        Ok(())
    }
}

/// RFC 3986 3.1
#[inline]
fn is_scheme(value: &[u8]) -> bool {
    matches!(value, b"http" | b"https")
        || value.first().is_some_and(u8::is_ascii_alphabetic)
            && value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
