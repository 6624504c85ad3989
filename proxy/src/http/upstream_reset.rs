//! How an endpoint broke off what it was asked for.

use crate::http2::{Code, Reset};
use crate::telemetry::response_flags::ResponseFlags;

/// Why nothing more comes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamReset {
    /// The endpoint closed the connection.
    Termination,
    /// It broke the protocol.
    Protocol,
    /// It broke the protocol of a connection that requests share, which is counted once for all of them.
    BrokenConnection,
    /// It reset the stream.
    Remote,
    /// It has not acted upon the request, and says so.
    Refused,
}

impl UpstreamReset {
    /// How the log marks it.
    pub(super) const fn flags(self) -> ResponseFlags {
        match self {
            Self::Termination => ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
            Self::Protocol | Self::BrokenConnection => ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            Self::Remote | Self::Refused => ResponseFlags::UPSTREAM_REMOTE_RESET,
        }
    }
}

impl From<Reset> for UpstreamReset {
    fn from(reset: Reset) -> Self {
        match reset {
            Reset::ByPeer(Code::REFUSED_STREAM) => Self::Refused,
            Reset::ByPeer(Code::PROTOCOL_ERROR) => Self::Protocol,
            Reset::ByPeer(_) => Self::Remote,
            Reset::ByCodec(_) => Self::Protocol,
            Reset::BrokenConnection => Self::BrokenConnection,
            Reset::ConnectionGone => Self::Termination,
        }
    }
}
