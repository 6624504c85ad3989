//! Error codes and errors.

use std::fmt;

/// An error code (RFC 9113 7). Unknown ones are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

#[allow(missing_docs, reason = "the names are those of the RFC")]
impl Code {
    pub const NO_ERROR: Code = Code(0x0);
    pub const PROTOCOL_ERROR: Code = Code(0x1);
    pub const INTERNAL_ERROR: Code = Code(0x2);
    pub const FLOW_CONTROL_ERROR: Code = Code(0x3);
    pub const SETTINGS_TIMEOUT: Code = Code(0x4);
    pub const STREAM_CLOSED: Code = Code(0x5);
    pub const FRAME_SIZE_ERROR: Code = Code(0x6);
    pub const REFUSED_STREAM: Code = Code(0x7);
    pub const CANCEL: Code = Code(0x8);
    pub const COMPRESSION_ERROR: Code = Code(0x9);
    pub const CONNECT_ERROR: Code = Code(0xa);
    pub const ENHANCE_YOUR_CALM: Code = Code(0xb);
    pub const INADEQUATE_SECURITY: Code = Code(0xc);
    pub const HTTP_1_1_REQUIRED: Code = Code(0xd);

    /// The name in the RFC.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            _ => "unknown",
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({:#x})", self.name(), self.0)
    }
}

/// Why a connection ends. GOAWAY was written; send it and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    /// The code in GOAWAY.
    pub code: Code,
    /// What the peer did, in words for logs; for ENHANCE_YOUR_CALM which limit it exceeded.
    pub reason: &'static str,
}

impl ConnectionError {
    pub(crate) const fn new(code: Code, reason: &'static str) -> Self {
        ConnectionError { code, reason }
    }

    pub(crate) const fn protocol(reason: &'static str) -> Self {
        ConnectionError::new(Code::PROTOCOL_ERROR, reason)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.reason)
    }
}

impl std::error::Error for ConnectionError {}

/// Why no stream was opened. Another connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// One side said GOAWAY.
    GoingAway,
    /// The peer allows no more of them now.
    TooManyStreams,
    /// The connection has used up its numbers.
    NoMoreIds,
    /// The head is an upgrade, and the peer does not take extended CONNECT (RFC 8441).
    ExtendedConnect,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            OpenError::GoingAway => "the connection is going away",
            OpenError::TooManyStreams => "the peer allows no more streams",
            OpenError::NoMoreIds => "the connection has no more stream numbers",
            OpenError::ExtendedConnect => "the peer does not take extended CONNECT",
        })
    }
}

impl std::error::Error for OpenError {}
