//! Answers of our own: which status, which words, which response flag. One table, with Envoy's values.

use std::borrow::Cow;

use h1::RequestError;

use crate::telemetry::response_flags::ResponseFlags;
use crate::upstream::ConnectFailure;

/// An answer of our own.
#[derive(Debug)]
pub(super) struct LocalReply {
    pub(super) status: u16,
    pub(super) body: Cow<'static, str>,
    pub(super) flags: ResponseFlags,
    pub(super) details: &'static str,
    /// The connection closes afterwards.
    pub(super) close: bool,
    /// Where it sends the client.
    pub(super) location: Location,
}

/// Where the value of `location` is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// There is none.
    None,
    /// The request's path.
    Path,
    /// The scratch memory.
    Scratch,
}

impl LocalReply {
    const fn new(status: u16, body: &'static str, flags: ResponseFlags, details: &'static str) -> Self {
        Self { status, body: Cow::Borrowed(body), flags, details, close: false, location: Location::None }
    }

    /// The answer after so many tries.
    pub(super) fn after(mut self, attempts: u32) -> Self {
        if attempts > 1
            && let Some((start, reason)) = self.body.split_once("reset reason: ")
        {
            self.body = Cow::Owned(format!("{start}retried and the latest reset reason: {reason}"));
        }
        self
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(error: &RequestError) -> Self {
        // A request without a host is well-formed in Envoy's eyes, and only then refused.
        let (flags, body) = match error.detail() {
            "missing_host_header" => (ResponseFlags::NONE, ""),
            _ => (ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, h1::status::reason(error.status())),
        };
        let mut reply = Self::new(error.status(), body, flags, error.detail());
        reply.close = true;
        reply
    }

    /// The head did not arrive in time.
    pub(super) const fn headers_timeout() -> Self {
        let mut reply = Self::new(408, "request header timeout", ResponseFlags::NONE, "request_header_timeout");
        reply.close = true;
        reply
    }

    /// The request did not arrive in time.
    pub(super) const fn request_timeout() -> Self {
        let mut reply = Self::new(408, "request timeout", ResponseFlags::NONE, "request_overall_timeout");
        reply.close = true;
        reply
    }

    /// The stream was silent for too long.
    pub(super) const fn idle_timeout() -> Self {
        let mut reply = Self::new(504, "stream timeout", ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout");
        reply.close = true;
        reply
    }

    /// The path cannot be normalised.
    pub(super) const fn bad_path() -> Self {
        let mut reply = Self::new(400, "", ResponseFlags::NONE, "path_normalization_failed");
        reply.close = true;
        reply
    }

    /// The path holds an escaped slash, and the client is told the plain one.
    pub(super) const fn path_redirect() -> Self {
        let mut reply = Self::new(307, "", ResponseFlags::NONE, "path_normalization_failed");
        reply.location = Location::Path;
        reply
    }

    /// The upgrade is not let through.
    pub(super) const fn upgrade_refused() -> Self {
        let mut reply = Self::new(403, "", ResponseFlags::NONE, "upgrade_failed");
        reply.close = true;
        reply
    }

    /// `https` in clear text.
    pub(super) const fn https_in_clear_text() -> Self {
        let details = "http1.https_url_on_plaintext_connection";
        let mut reply = Self::new(403, "Forbidden", ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, details);
        reply.close = true;
        reply
    }

    /// The target is not a path.
    pub(super) const fn no_path() -> Self {
        Self::new(404, "", ResponseFlags::NONE, "absolute_path_rejected")
    }

    /// No route takes it.
    pub(super) const fn no_route() -> Self {
        Self::new(404, "", ResponseFlags::NO_ROUTE_FOUND, "route_not_found")
    }

    /// The route was refused when it was configured.
    pub(super) const fn route_refused() -> Self {
        Self::new(500, "", ResponseFlags::NONE, "route_configuration_refused")
    }

    /// A route's own answer.
    pub(super) fn direct(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            body: Cow::Owned(String::from_utf8_lossy(body).into_owned()),
            flags: ResponseFlags::NONE,
            details: "direct_response",
            close: false,
            location: Location::None,
        }
    }

    /// A route's redirect.
    pub(super) const fn redirect(status: u16) -> Self {
        let mut reply = Self::new(status, "", ResponseFlags::NONE, "direct_response");
        reply.location = Location::Scratch;
        reply
    }

    /// The cluster does not exist.
    pub(super) const fn no_cluster(status: u16) -> Self {
        Self::new(status, "", ResponseFlags::NO_CLUSTER_FOUND, "cluster_not_found")
    }

    /// No endpoint may be used.
    pub(super) const fn no_healthy_upstream() -> Self {
        Self::new(503, "no healthy upstream", ResponseFlags::NO_HEALTHY_UPSTREAM, "no_healthy_upstream")
    }

    /// The cluster speaks HTTP/2 only.
    pub(super) const fn http2_only() -> Self {
        Self::new(
            503,
            "the upstream speaks HTTP/2 only, which this gateway does not speak yet",
            ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            "http2_upstream_not_supported",
        )
    }

    /// A circuit breaker is open.
    pub(super) const fn overflow() -> Self {
        Self::new(
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            ResponseFlags::UPSTREAM_OVERFLOW,
            "upstream_reset_before_response_started{overflow}",
        )
    }

    /// There is no connection to the upstream. The log says why, the client is not told.
    pub(super) const fn connect_failure(failure: &ConnectFailure) -> Self {
        let (body, details) = match failure {
            ConnectFailure::Timeout => (
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

    /// The upstream went away before it answered.
    pub(super) const fn upstream_reset() -> Self {
        Self::new(
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
            "upstream_reset_before_response_started{connection_termination}",
        )
    }

    /// The upstream's answer cannot be understood.
    pub(super) const fn upstream_protocol_error() -> Self {
        Self::new(
            502,
            "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
            ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            "upstream_reset_before_response_started{protocol_error}",
        )
    }

    /// The upstream took too long.
    pub(super) const fn upstream_timeout() -> Self {
        Self::new(504, "upstream request timeout", ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout")
    }

    /// One try took too long, and there is no other.
    pub(super) const fn per_try_timeout() -> Self {
        Self::new(504, "upstream request timeout", ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "upstream_per_try_timeout")
    }

    /// The body of the request is broken.
    pub(super) fn bad_body(details: &'static str, status: u16) -> Self {
        let body = h1::status::reason(status);
        let mut reply = Self::new(status, body, ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, details);
        reply.close = true;
        reply
    }
}
