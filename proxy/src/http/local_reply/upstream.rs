//! Answers in place of an endpoint's, because there is none.

use super::LocalReply;
use crate::http::upstream_reset::UpstreamReset;
use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::ConnectFailure;

impl LocalReply {
    /// No endpoint may be used.
    pub(in crate::http) const fn no_healthy_upstream() -> Self {
        Self::new(503, "no healthy upstream", ResponseFlags::NO_HEALTHY_UPSTREAM, "no_healthy_upstream")
    }

    /// A circuit breaker is open.
    pub(in crate::http) const fn overflow() -> Self {
        Self::new(
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            ResponseFlags::UPSTREAM_OVERFLOW,
            "upstream_reset_before_response_started{overflow}",
        )
    }

    /// There is no connection to the upstream. The log says why, the client is not told.
    pub(in crate::http) const fn connect_failure(failure: &ConnectFailure) -> Self {
        let (body, details) = match failure {
            ConnectFailure::Timeout(_) => (
                "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
                "upstream_reset_before_response_started{connection_timeout}",
            ),
            ConnectFailure::Refused(_) => (
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
                "upstream_reset_before_response_started{remote_connection_failure}",
            ),
        };
        Self::new(503, body, ResponseFlags::UPSTREAM_CONNECTION_FAILURE, details)
    }

    /// The endpoint broke off before it answered.
    pub(in crate::http) const fn upstream_reset(reset: UpstreamReset) -> Self {
        let (status, body, details) = match reset {
            UpstreamReset::Termination => (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                "upstream_reset_before_response_started{connection_termination}",
            ),
            UpstreamReset::Protocol | UpstreamReset::BrokenConnection => (
                502,
                "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
                "upstream_reset_before_response_started{protocol_error}",
            ),
            UpstreamReset::Remote => (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
                "upstream_reset_before_response_started{remote_reset}",
            ),
            UpstreamReset::Refused => (
                503,
                "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
            ),
        };
        Self::new(status, body, reset.flags(), details)
    }

    /// The upstream took too long.
    pub(in crate::http) const fn upstream_timeout() -> Self {
        Self::new(504, "upstream request timeout", ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout")
    }

    /// One try took too long, and there is no other.
    pub(in crate::http) const fn per_try_timeout() -> Self {
        Self::new(504, "upstream request timeout", ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "upstream_per_try_timeout")
    }
}
