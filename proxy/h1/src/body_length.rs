//! How the end of a body is known.

use crate::version::Version;

/// How the length of a body is delimited (RFC 9112 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body and nothing was said about one.
    #[default]
    None,
    /// This many bytes, announced by content-length; 0 is an announced empty body.
    Fixed(u64),
    /// Chunks.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether no byte of a body follows.
    #[inline]
    pub const fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Fixed(0))
    }

    /// How to delimit the same response body towards a client of `version`: a body that ends with its connection becomes
    /// chunks for HTTP/1.1, and the other way round for HTTP/1.0, which knows no chunks.
    #[inline]
    pub const fn towards(self, version: Version) -> BodyLength {
        match (self, version) {
            (BodyLength::Chunked, Version::Http10) => BodyLength::UntilClose,
            (BodyLength::UntilClose, Version::Http11) => BodyLength::Chunked,
            (length, _) => length,
        }
    }
}

/// What the framing fields of a head said, gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Framing {
    pub(crate) content_length: Option<u64>,
    pub(crate) transfer_encoding: Option<TransferEncoding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferEncoding {
    Chunked,
    Identity,
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentLengthError {
    Invalid,
    Duplicate,
}

impl Framing {
    /// Takes a content-length: digits only, and only once, be the values equal or not.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), ContentLengthError> {
        let length = decimal(value).ok_or(ContentLengthError::Invalid)?;
        match self.content_length.replace(length) {
            Some(_) => Err(ContentLengthError::Duplicate),
            None => Ok(()),
        }
    }

    /// Takes a transfer-encoding: one field that says `chunked` and nothing else is understood.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) {
        self.transfer_encoding = Some(match self.transfer_encoding {
            Some(_) => TransferEncoding::Unsupported,
            None if value.eq_ignore_ascii_case(b"chunked") => TransferEncoding::Chunked,
            None if value.eq_ignore_ascii_case(b"identity") => TransferEncoding::Identity,
            None => TransferEncoding::Unsupported,
        });
    }
}

/// One or more digits that fit 63 bits: what is larger is negative to those who read a signed number.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let number = value.iter().try_fold(0i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.map(i64::unsigned_abs)
}
