//! Answers of our own: which status, which words, which response flag. One table, with Envoy's values.

mod upstream;

use bytes::Bytes;
use h1::{BodyLength, Header, RequestError, RequestHead, ResponseHead, Version};

use super::grpc::is_grpc;
use crate::telemetry::response_flags::ResponseFlags;

/// An answer of our own.
#[derive(Debug)]
pub(super) struct LocalReply {
    pub(super) status: u16,
    pub(super) body: Bytes,
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
        Self {
            status,
            body: Bytes::from_static(body.as_bytes()),
            flags,
            details,
            close: false,
            location: Location::None,
        }
    }

    /// The answer after so many tries.
    pub(super) fn after(mut self, attempts: u32) -> Self {
        if attempts > 1
            && let Some((start, reason)) = self.text().split_once("reset reason: ")
        {
            self.body = format!("{start}retried and the latest reset reason: {reason}").into();
        }
        self
    }

    /// The body, where it is text of ours.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// Writes the head of the answer to `request`; returns the body that follows.
    pub(super) fn start(&self, request: &RequestHead, response: &mut ResponseHead) -> Bytes {
        if is_grpc(request.fields()) {
            self.start_grpc(request.version, response);
            return Bytes::new();
        }
        // A 304 may say the length of what it leaves out, but that of nothing would be a lie.
        let length = match self.body.len() {
            0 if self.status == 304 || request.version == Version::Http2 => BodyLength::None,
            length => BodyLength::Fixed(length as u64),
        };
        response.start(self.status, length);
        if !self.body.is_empty() {
            let _ = response.fields_mut().set_known(Header::ContentType, b"text/plain");
        }
        self.body.clone()
    }

    /// gRPC clients look for the status in a response without a body (gRPC over HTTP2, "Trailers-Only").
    fn start_grpc(&self, version: Version, response: &mut ResponseHead) {
        // The length of nothing is said where it says that nothing follows.
        response.start(200, if version == Version::Http2 { BodyLength::None } else { BodyLength::Fixed(0) });
        let fields = response.fields_mut();
        let _ = fields.set_known(Header::ContentType, b"application/grpc");
        let _ = fields.append_value(Header::GrpcStatus, |value| value.put_number(grpc_status(self.status)));
        if !self.body.is_empty() {
            let _ = fields.append(b"grpc-message", &percent_encoded(&self.body));
        }
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

    /// There is no memory to serve it.
    pub(super) const fn overloaded() -> Self {
        Self::new(503, "envoy overloaded", ResponseFlags::OVERLOAD_MANAGER, "overload")
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

    /// The listener wants the connection to end now.
    pub(super) const fn closing() -> Self {
        let mut reply = Self::new(503, "", ResponseFlags::LOCAL_RESET, "connection_closed_by_configuration");
        reply.close = true;
        reply
    }

    /// What a rewrite made of the request cannot be sent.
    pub(super) const fn bad_rewrite() -> Self {
        Self::new(500, "", ResponseFlags::NONE, "invalid_rewrite")
    }

    /// The body arrives more slowly than it may.
    pub(super) const fn too_slow() -> Self {
        let mut reply = Self::new(408, "request too slow", ResponseFlags::STREAM_IDLE_TIMEOUT, "minimum_rate");
        reply.close = true;
        reply
    }

    /// The stream was silent for too long. It was the upstream's turn if the request had arrived (Envoy, `maybeRequestTimeoutCode`).
    pub(super) const fn idle_timeout(request_arrived: bool) -> Self {
        let status = if request_arrived { 504 } else { 408 };
        let mut reply = Self::new(status, "stream timeout", ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout");
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

    /// The RBAC filter lets nothing pass.
    pub(super) const fn denied() -> Self {
        Self::new(403, "RBAC: access denied", ResponseFlags::NONE, "rbac_access_denied_matched_policy[none]")
    }

    /// A filter that comes by discovery has not come, and has no default. Envoy gives no details.
    pub(super) const fn filter_without_configuration() -> Self {
        Self::new(500, "", ResponseFlags::NO_FILTER_CONFIG_FOUND, "")
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
    pub(super) fn direct(status: u16, body: &Bytes) -> Self {
        Self {
            status,
            body: body.clone(),
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

    /// The body of the request is broken.
    pub(super) fn bad_body(details: &'static str, status: u16) -> Self {
        let body = h1::status::reason(status);
        let mut reply = Self::new(status, body, ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR, details);
        reply.close = true;
        reply
    }
}

/// Envoy, `Grpc::Utility::httpToGrpcStatus`.
fn grpc_status(status: u16) -> u64 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// As gRPC writes `grpc-message`.
fn percent_encoded(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'%' | 0..=b'\x1f' | b'\x7f'..=0xff => {
                encoded.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
            }
            plain => encoded.push(*plain),
        }
    }
    encoded
}
