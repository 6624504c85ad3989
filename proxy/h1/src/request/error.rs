//! Why a request head is refused, and how that is answered.

use std::fmt;

use crate::body_length::ContentLengthError;
use crate::field_line::FieldLineError;

/// Why a request head is refused. The connection cannot be used any further: after one of these nobody knows where the
/// next message starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestError {
    /// The request line is not `method SP target SP version`.
    RequestLine,
    /// The method is not one of [`crate::Method`].
    Method,
    /// The target holds bytes it may not hold, or has a form the method does not allow (RFC 9112 3.2).
    Target,
    /// An absolute-form target that is no `http` or `https` URL with a host.
    AbsoluteTarget,
    /// A version other than HTTP/1.1 (and HTTP/1.0 where accepted).
    Version,
    /// A field name is not a token directly followed by a colon.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// A field line that starts with white space (RFC 9112 5.2).
    Fold,
    /// A line feed without a carriage return before it.
    BareLineFeed,
    /// A carriage return without a line feed behind it.
    BareCarriageReturn,
    /// An underscore in a field name, where that is refused.
    Underscore,
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
    /// transfer-encoding in an HTTP/1.0 request.
    TransferEncodingInHttp10,
    /// `transfer-encoding: identity`, which RFC 9112 removed.
    IdentityTransferEncoding,
    /// A transfer-encoding other than one single `chunked`.
    TransferEncoding,
    /// No host and no absolute-form target.
    MissingHost,
    /// More than one host field.
    DuplicateHost,
    /// A host with bytes no authority has.
    Host,
    /// `Connection` names a field that must not be taken out, or too many fields.
    ConnectionNomination,
    /// More than one upgrade field.
    DuplicateUpgrade,
    /// A body on CONNECT or on an upgrade.
    BodyDisallowed,
}

impl RequestError {
    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            RequestError::Version => 426,
            RequestError::TooManyHeaders | RequestError::HeadTooLarge => 431,
            RequestError::TransferEncoding => 501,
            _ => 400,
        }
    }

    /// The response code details for logs, in Envoy's words where Envoy has them.
    pub const fn detail(self) -> &'static str {
        match self {
            RequestError::Version => "low_version",
            RequestError::MissingHost => "missing_host_header",
            RequestError::Host => "http.invalid_authority",
            RequestError::TooManyHeaders => "http1.too_many_headers",
            RequestError::HeadTooLarge => "http1.headers_too_large",
            RequestError::FieldValue => "http1.invalid_characters",
            RequestError::AbsoluteTarget => "http1.invalid_url",
            RequestError::Underscore => "http1.unexpected_underscore",
            RequestError::ConnectionNomination => "http1.connection_header_rejected",
            RequestError::BodyDisallowed => "http1.body_disallowed",
            RequestError::TransferEncoding => "http1.invalid_transfer_encoding",
            RequestError::TransferEncodingInHttp10 => "http1.transfer_encoding_not_allowed",
            RequestError::ContentLengthWithTransferEncoding => "http1.content_length_and_chunked_not_allowed",
            _ => "http1.codec_error",
        }
    }

    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            RequestError::RequestLine => "malformed request line",
            RequestError::Method => "unknown method",
            RequestError::Target => "invalid request target",
            RequestError::AbsoluteTarget => "invalid absolute request target",
            RequestError::Version => "unsupported HTTP version",
            RequestError::FieldName => "invalid field name",
            RequestError::FieldValue => "control character in a field value",
            RequestError::Fold => "folded field line",
            RequestError::BareLineFeed => "line feed without carriage return",
            RequestError::BareCarriageReturn => "carriage return without line feed",
            RequestError::Underscore => "underscore in a field name",
            RequestError::TooManyHeaders => "too many header fields",
            RequestError::HeadTooLarge => "request head too large",
            RequestError::ContentLength => "invalid content-length",
            RequestError::DuplicateContentLength => "more than one content-length",
            RequestError::ContentLengthWithTransferEncoding => "both content-length and transfer-encoding",
            RequestError::TransferEncodingInHttp10 => "transfer-encoding in an HTTP/1.0 request",
            RequestError::IdentityTransferEncoding => "transfer-encoding identity",
            RequestError::TransferEncoding => "unsupported transfer-encoding",
            RequestError::MissingHost => "no host",
            RequestError::DuplicateHost => "more than one host",
            RequestError::Host => "invalid host",
            RequestError::ConnectionNomination => "connection nominates a protected field",
            RequestError::DuplicateUpgrade => "more than one upgrade field",
            RequestError::BodyDisallowed => "body on a connect or upgrade request",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

impl std::error::Error for RequestError {}

impl From<FieldLineError> for RequestError {
    fn from(error: FieldLineError) -> Self {
        match error {
            FieldLineError::Name => RequestError::FieldName,
            FieldLineError::Value => RequestError::FieldValue,
            FieldLineError::Fold => RequestError::Fold,
            FieldLineError::BareLineFeed => RequestError::BareLineFeed,
            FieldLineError::BareCarriageReturn => RequestError::BareCarriageReturn,
            FieldLineError::TooLarge => RequestError::HeadTooLarge,
        }
    }
}

impl From<ContentLengthError> for RequestError {
    fn from(error: ContentLengthError) -> Self {
        match error {
            ContentLengthError::Invalid => RequestError::ContentLength,
            ContentLengthError::Duplicate => RequestError::DuplicateContentLength,
        }
    }
}
