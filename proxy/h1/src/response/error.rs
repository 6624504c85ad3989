//! Why an upstream's response head is refused.

use std::fmt;

use crate::body_length::ContentLengthError;
use crate::field_line::FieldLineError;

/// Why a response head is refused. The client gets 502, and the upstream connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseError {
    /// The status line is not `HTTP/1.x SP three digits [SP reason]`.
    StatusLine,
    /// A field name is not a token directly followed by a colon.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// A field line that starts with white space.
    Fold,
    /// A line feed without a carriage return before it.
    BareLineFeed,
    /// A carriage return without a line feed behind it.
    BareCarriageReturn,
    /// More fields than `Limits::max_headers`.
    TooManyHeaders,
    /// More bytes than `Limits::max_head_bytes`.
    HeadTooLarge,
    /// A content-length that is not a decimal number of 63 bits.
    ContentLength,
    /// More than one content-length, equal or not.
    DuplicateContentLength,
    /// Both content-length and transfer-encoding.
    ContentLengthWithTransferEncoding,
    /// A transfer-encoding other than one single `chunked`.
    TransferEncoding,
    /// A body announced by a status that has none (RFC 9110 8.6: 1xx and 204).
    BodyDisallowed,
    /// 101 that nobody asked for, or without saying to what.
    UnexpectedUpgrade,
}

impl ResponseError {
    /// The status the client gets.
    pub const fn status(self) -> u16 {
        502
    }

    /// The details for logs, in Envoy's words where Envoy has them.
    pub const fn detail(self) -> &'static str {
        match self {
            ResponseError::TooManyHeaders => "http1.too_many_headers",
            ResponseError::HeadTooLarge => "http1.headers_too_large",
            ResponseError::FieldValue => "http1.invalid_characters",
            ResponseError::TransferEncoding => "http1.invalid_transfer_encoding",
            ResponseError::ContentLengthWithTransferEncoding => "http1.content_length_and_chunked_not_allowed",
            ResponseError::BodyDisallowed => "http1.content_length_not_allowed",
            _ => "http1.codec_error",
        }
    }

    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            ResponseError::StatusLine => "malformed status line",
            ResponseError::FieldName => "invalid field name",
            ResponseError::FieldValue => "control character in a field value",
            ResponseError::Fold => "folded field line",
            ResponseError::BareLineFeed => "line feed without carriage return",
            ResponseError::BareCarriageReturn => "carriage return without line feed",
            ResponseError::TooManyHeaders => "too many header fields",
            ResponseError::HeadTooLarge => "response head too large",
            ResponseError::ContentLength => "invalid content-length",
            ResponseError::DuplicateContentLength => "more than one content-length",
            ResponseError::ContentLengthWithTransferEncoding => "both content-length and transfer-encoding",
            ResponseError::TransferEncoding => "unsupported transfer-encoding",
            ResponseError::BodyDisallowed => "body announced by a status that has none",
            ResponseError::UnexpectedUpgrade => "unexpected switch of protocols",
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for ResponseError {}

impl From<FieldLineError> for ResponseError {
    fn from(error: FieldLineError) -> Self {
        match error {
            FieldLineError::Name => ResponseError::FieldName,
            FieldLineError::Value => ResponseError::FieldValue,
            FieldLineError::Fold => ResponseError::Fold,
            FieldLineError::BareLineFeed => ResponseError::BareLineFeed,
            FieldLineError::BareCarriageReturn => ResponseError::BareCarriageReturn,
            FieldLineError::TooLarge => ResponseError::HeadTooLarge,
        }
    }
}

impl From<ContentLengthError> for ResponseError {
    fn from(error: ContentLengthError) -> Self {
        match error {
            ContentLengthError::Invalid => ResponseError::ContentLength,
            ContentLengthError::Duplicate => ResponseError::DuplicateContentLength,
        }
    }
}
