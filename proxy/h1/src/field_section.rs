//! Fields as HTTP/2 carries them (RFC 9113 8.2): decoded one by one, names before values, no lines.
//!
//! What is refused here is *malformed* in the sense of RFC 9113 8.1.1, but for what [`SectionError::is_malformed`] names
//! as a limit of ours.

use std::fmt;

use crate::body_length::ContentLengthError;
use crate::limits::Limits;
use crate::name::{Header, SEPARATOR};
use crate::scan::{is_field_value, is_token};

pub(crate) const LINE_END: &[u8] = b"\r\n";

/// A name that starts with a colon (RFC 9113 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PseudoHeader {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol` (RFC 8441)
    Protocol,
    /// `:status`
    Status,
    /// Any other.
    Unknown,
}

/// What a field of a section is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionName {
    /// A pseudo-header.
    Pseudo(PseudoHeader),
    /// A field, well-known or not.
    Field(Header),
}

/// Whether name and value may be what they are, apart from their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    Valid,
    BadName,
    BadValue,
}

/// One field of a section. Looking at the bytes is done once: a decoder that keeps fields keeps the outcome, too.
#[derive(Clone, Copy, Debug)]
pub struct SectionField<'a> {
    kind: SectionKind,
    name: &'a [u8],
    value: &'a [u8],
    /// Both as HTTP/1 writes them, if they lie there so.
    line: Option<&'a [u8]>,
}

/// What is known of a field without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SectionKind {
    name: SectionName,
    syntax: Syntax,
}

impl SectionKind {
    /// A name whose bytes are known to be fine, with a value that is.
    pub const fn known(name: SectionName) -> Self {
        SectionKind { name, syntax: Syntax::Valid }
    }

    /// Reads a name.
    pub fn of_name(name: &[u8]) -> Self {
        let header = Header::from_name(name);
        if header != Header::Other {
            let lower = name == header.as_str().as_bytes();
            return SectionKind {
                name: SectionName::Field(header),
                syntax: if lower { Syntax::Valid } else { Syntax::BadName },
            };
        }
        if name.first() == Some(&b':') {
            return SectionKind::known(SectionName::Pseudo(pseudo_header(name)));
        }
        let valid = !name.is_empty() && name.iter().all(|byte| is_token(*byte) && !byte.is_ascii_uppercase());
        let syntax = if valid { Syntax::Valid } else { Syntax::BadName };
        SectionKind { name: SectionName::Field(Header::Other), syntax }
    }

    /// The same name, with this value.
    #[inline]
    pub fn with_value(self, value: &[u8]) -> Self {
        let fits = is_field_value(value) && !has_outer_blanks(value);
        let syntax = match self.syntax {
            Syntax::BadName => Syntax::BadName,
            _ if fits => Syntax::Valid,
            _ => Syntax::BadValue,
        };
        SectionKind { syntax, ..self }
    }
}

/// White space around a value is no part of it, so nobody may send it (RFC 9113 8.2.1).
#[inline]
fn has_outer_blanks(value: &[u8]) -> bool {
    matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

fn pseudo_header(name: &[u8]) -> PseudoHeader {
    match name {
        b":method" => PseudoHeader::Method,
        b":scheme" => PseudoHeader::Scheme,
        b":authority" => PseudoHeader::Authority,
        b":path" => PseudoHeader::Path,
        b":protocol" => PseudoHeader::Protocol,
        b":status" => PseudoHeader::Status,
        _ => PseudoHeader::Unknown,
    }
}

impl<'a> SectionField<'a> {
    /// A field of which everything is known.
    #[inline]
    pub fn new(kind: SectionKind, name: &'a [u8], value: &'a [u8]) -> Self {
        SectionField { kind, name, value, line: None }
    }

    /// The same, of a field that a decoder keeps as [`SectionField::write_line`] wrote it. Its head is copied at once.
    #[inline]
    pub fn of_line(kind: SectionKind, line: &'a [u8], name_length: usize) -> Self {
        let name = line.get(..name_length).unwrap_or_default();
        let value = line.get(name_length + SEPARATOR.len()..line.len().saturating_sub(LINE_END.len()));
        SectionField { kind, name, value: value.unwrap_or_default(), line: Some(line) }
    }

    /// Writes a field as HTTP/1 does.
    pub fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        for part in [name, SEPARATOR.as_bytes(), value, LINE_END] {
            out.extend_from_slice(part);
        }
    }

    #[inline]
    pub(crate) fn line(&self) -> Option<&'a [u8]> {
        self.line
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// The name.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// What it is called, unless name or value are malformed.
    #[inline]
    pub(crate) fn checked_name(&self) -> Result<SectionName, SectionError> {
        match self.kind.syntax {
            Syntax::Valid => Ok(self.kind.name),
            Syntax::BadName => Err(SectionError::FieldName),
            Syntax::BadValue => Err(SectionError::FieldValue),
        }
    }
}

/// How much of a section was decoded, as its limits count it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SectionSize {
    bytes: usize,
    fields: usize,
}

impl SectionSize {
    /// Bytes that a field costs beside its name and value (RFC 9113 6.5.2).
    const OVERHEAD: usize = 32;

    /// Bytes so far.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// Counts a field.
    #[inline]
    pub(crate) fn add(&mut self, field: &SectionField<'_>, limits: &Limits) -> Result<(), SectionError> {
        self.bytes += field.name.len() + field.value.len() + Self::OVERHEAD;
        self.fields += 1;
        if self.bytes > limits.max_head_bytes {
            return Err(SectionError::TooLarge);
        }
        if self.fields > limits.max_headers { Err(SectionError::TooManyFields) } else { Ok(()) }
    }
}

/// Why a field section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionError {
    /// A field name that is no lower-case token.
    FieldName,
    /// A field value with a control character, or with white space around it.
    FieldValue,
    /// A pseudo-header that is unknown, or not of this kind of section.
    UnknownPseudoHeader,
    /// The same pseudo-header twice.
    DuplicatePseudoHeader,
    /// A pseudo-header behind a field.
    LatePseudoHeader,
    /// A pseudo-header that must be there is not, or one that must not be there is (CONNECT).
    PseudoHeaders,
    /// A method that is not one of [`crate::Method`].
    Method,
    /// A scheme that is none.
    Scheme,
    /// A path that does not start with `/`, or holds bytes it may not hold.
    Path,
    /// An authority or host with bytes no authority has, or more than one host.
    Authority,
    /// `:authority` and `host` differ.
    HostMismatch,
    /// Extended CONNECT that was not offered, or with a protocol that is no token.
    Protocol,
    /// A status that is not three digits, or 101.
    Status,
    /// A field that concerns one connection only (RFC 9113 8.2.2).
    ConnectionSpecific,
    /// A content-length that is no number, or more than one.
    ContentLength,
    /// More or less content than content-length says.
    LengthMismatch,
    /// A field that says something about the message as a whole, in trailers (RFC 9110 6.5.1).
    TrailerField,
    /// Content announced where there is none.
    BodyDisallowed,
    /// An underscore in a field name, where that is refused.
    Underscore,
    /// More fields than `Limits::max_headers`.
    TooManyFields,
    /// More bytes than `Limits::max_head_bytes`, 32 for each field included.
    TooLarge,
}

impl SectionError {
    /// Whether RFC 9113 calls such a message malformed. The others are well-formed, but not taken here.
    pub const fn is_malformed(self) -> bool {
        !self.is_limit() && !matches!(self, SectionError::Method)
    }

    /// Whether it is a limit or a choice of ours.
    pub const fn is_limit(self) -> bool {
        matches!(self, SectionError::Underscore | SectionError::TooManyFields | SectionError::TooLarge)
    }

    /// The response code details for logs, in Envoy's words.
    pub const fn detail(self) -> &'static str {
        match self {
            SectionError::TooManyFields => "http2.too_many_headers",
            SectionError::TooLarge => "http2.header_list_size_too_large",
            SectionError::Underscore => "http2.unexpected_underscore",
            SectionError::FieldName
            | SectionError::FieldValue
            | SectionError::UnknownPseudoHeader
            | SectionError::DuplicatePseudoHeader
            | SectionError::LatePseudoHeader
            | SectionError::Method
            | SectionError::Protocol
            | SectionError::Scheme
            | SectionError::Path
            | SectionError::Authority
            | SectionError::HostMismatch
            | SectionError::ConnectionSpecific
            | SectionError::ContentLength => "http2.invalid.header.field",
            _ => "http2.violation.of.messaging.rule",
        }
    }

    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            SectionError::FieldName => "invalid field name",
            SectionError::FieldValue => "invalid field value",
            SectionError::UnknownPseudoHeader => "unknown pseudo-header",
            SectionError::DuplicatePseudoHeader => "duplicate pseudo-header",
            SectionError::LatePseudoHeader => "pseudo-header behind a field",
            SectionError::PseudoHeaders => "pseudo-headers missing or superfluous",
            SectionError::Method => "unknown method",
            SectionError::Scheme => "invalid scheme",
            SectionError::Path => "invalid path",
            SectionError::Authority => "invalid authority",
            SectionError::HostMismatch => "authority and host differ",
            SectionError::Protocol => "unexpected extended connect",
            SectionError::Status => "invalid status",
            SectionError::ConnectionSpecific => "connection-specific field",
            SectionError::ContentLength => "invalid content-length",
            SectionError::LengthMismatch => "content-length and content differ",
            SectionError::TrailerField => "field that has no place in trailers",
            SectionError::BodyDisallowed => "content where there is none",
            SectionError::Underscore => "underscore in a field name",
            SectionError::TooManyFields => "too many fields",
            SectionError::TooLarge => "field section too large",
        }
    }
}

impl fmt::Display for SectionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for SectionError {}

impl From<ContentLengthError> for SectionError {
    fn from(_: ContentLengthError) -> Self {
        SectionError::ContentLength
    }
}

/// Whether a field may not be in any section of HTTP/2 (RFC 9113 8.2.2).
#[inline]
pub(crate) fn is_connection_specific(header: Header) -> bool {
    matches!(
        header,
        Header::Connection | Header::ProxyConnection | Header::KeepAlive | Header::TransferEncoding | Header::Upgrade
    )
}
