//! Several lines of one name as one value.
//!
//! Envoy has a place of its own for each of the names below: their lines become one, the others stay as they came.

use crate::fields::{FieldError, Fields, bytes_at};
use crate::header_set::HeaderSet;
use crate::name::Header;
use crate::scan::is_field_value;

/// Those of a request (Envoy, `INLINE_REQ_HEADERS`, `INLINE_REQ_RESP_HEADERS`, and what its extensions register). `Cookie` is not
/// among them: HTTP/1 cookies stay lines.
pub const JOINED_IN_REQUESTS: HeaderSet = HeaderSet::of(&[
    Header::Accept,
    Header::AcceptEncoding,
    Header::AccessControlRequestHeaders,
    Header::AccessControlRequestMethod,
    Header::AccessControlRequestPrivateNetwork,
    Header::Authentication,
    Header::Authorization,
    Header::CacheControl,
    Header::CdnLoop,
    Header::ContentEncoding,
    Header::ContentType,
    Header::Expect,
    Header::GrpcAcceptEncoding,
    Header::GrpcTimeout,
    Header::IfMatch,
    Header::IfModifiedSince,
    Header::IfNoneMatch,
    Header::IfRange,
    Header::IfUnmodifiedSince,
    Header::Origin,
    Header::Pragma,
    Header::ProxyStatus,
    Header::Referer,
    Header::UserAgent,
    Header::Via,
    Header::XClientTraceId,
    Header::XEnvoyAttemptCount,
    Header::XEnvoyDecoratorOperation,
    Header::XEnvoyDownstreamServiceCluster,
    Header::XEnvoyDownstreamServiceNode,
    Header::XEnvoyExpectedRqTimeoutMs,
    Header::XEnvoyExternalAddress,
    Header::XEnvoyForceTrace,
    Header::XEnvoyHedgeOnPerTryTimeout,
    Header::XEnvoyInternal,
    Header::XEnvoyIpTags,
    Header::XEnvoyIsTimeoutRetry,
    Header::XEnvoyMaxRetries,
    Header::XEnvoyOriginalPath,
    Header::XEnvoyOriginalUrl,
    Header::XEnvoyRetriableHeaderNames,
    Header::XEnvoyRetriableStatusCodes,
    Header::XEnvoyRetryGrpcOn,
    Header::XEnvoyRetryOn,
    Header::XEnvoyUpstreamAltStatName,
    Header::XEnvoyUpstreamRqPerTryTimeoutMs,
    Header::XEnvoyUpstreamRqTimeoutAltResponse,
    Header::XEnvoyUpstreamRqTimeoutMs,
    Header::XEnvoyUpstreamStreamDurationMs,
    Header::XForwardedClientCert,
    Header::XForwardedFor,
    Header::XForwardedHost,
    Header::XForwardedPort,
    Header::XForwardedProto,
    Header::XRequestId,
]);

/// Those of a response (Envoy, `INLINE_RESP_HEADERS`, `INLINE_REQ_RESP_HEADERS`, and what its extensions register).
pub const JOINED_IN_RESPONSES: HeaderSet = HeaderSet::of(&[
    Header::AccessControlAllowCredentials,
    Header::AccessControlAllowHeaders,
    Header::AccessControlAllowMethods,
    Header::AccessControlAllowOrigin,
    Header::AccessControlAllowPrivateNetwork,
    Header::AccessControlExposeHeaders,
    Header::AccessControlMaxAge,
    Header::Age,
    Header::CacheControl,
    Header::ContentEncoding,
    Header::ContentType,
    Header::Date,
    Header::ETag,
    Header::Expires,
    Header::GrpcMessage,
    Header::GrpcStatus,
    Header::LastModified,
    Header::Location,
    Header::ProxyStatus,
    Header::Server,
    Header::Vary,
    Header::Via,
    Header::XEnvoyAttemptCount,
    Header::XEnvoyDecoratorOperation,
    Header::XEnvoyDegraded,
    Header::XEnvoyImmediateHealthCheckFail,
    Header::XEnvoyRateLimited,
    Header::XEnvoyUpstreamCanary,
    Header::XEnvoyUpstreamHealthCheckedCluster,
    Header::XEnvoyUpstreamServiceTime,
    Header::XRequestId,
]);

impl Fields {
    /// The value of the field called `name`; several values are joined by commas in `scratch`, as Envoy matches them.
    pub fn joined<'a>(&'a self, name: &[u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let mut values = self.find_all(name);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(first) };
        scratch.clear();
        scratch.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            scratch.push(b',');
            scratch.extend_from_slice(value);
        }
        Some(scratch)
    }

    /// Adds a value to those of a well-known field: one field, its values between commas.
    pub fn append_joined(&mut self, header: Header, value: &[u8]) -> Result<(), FieldError> {
        if !self.contains(header) {
            return self.append_known(header, value);
        }
        if !is_field_value(value) {
            return Err(FieldError::Value);
        }
        self.join_with(header, b",", value)
    }

    /// Joins the lines of those of `headers` that came over the wire more than once.
    #[inline(always)]
    pub(crate) fn join_repeated(&mut self, headers: HeaderSet) {
        if self.repeated.intersects(headers) {
            self.join_all(headers);
        }
    }

    #[cold]
    fn join_all(&mut self, headers: HeaderSet) {
        let repeated = self.repeated;
        for header in Header::ALL.iter().filter(|header| repeated.contains(**header) && headers.contains(**header)) {
            // A head that is full keeps its lines.
            let _ = self.join_with(*header, b",", b"");
        }
    }

    /// The live values and `last` become one field in place of the first; empty ones leave no separator.
    pub(super) fn join_with(&mut self, header: Header, separator: &[u8], last: &[u8]) -> Result<(), FieldError> {
        let new = self.begin(&[header.line_start().as_bytes()])?;
        let start = self.bytes.len();
        let is_one = |field: &crate::field_line::Field| field.header == header && field.is_live();
        for field in self.table.iter().filter(|field| is_one(field)) {
            let value = field.value().range();
            let before: &[u8] = match bytes_at(&self.bytes, field.value()) {
                [] => continue,
                _ if self.bytes.len() > start => separator,
                _ => b"",
            };
            self.bytes.extend_from_slice(before);
            self.bytes.extend_from_within(value);
        }
        if !last.is_empty() && self.bytes.len() > start {
            self.bytes.extend_from_slice(separator);
        }
        self.bytes.extend_from_slice(last);
        let joined = self.finish(header, new, true)?;
        let first = self.table.iter().position(is_one);
        self.remove(header);
        self.present.insert(header);
        if let Some(field) = first.and_then(|first| self.table.get_mut(first)) {
            *field = joined;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Header, Limits, RequestHead};

    #[test]
    fn lines_of_a_name_with_its_own_place_become_one() {
        let mut head = RequestHead::new();
        let text = "GET / HTTP/1.1\r\nhost: a\r\nVia: 1\r\ncookie: a=1\r\nx-a: 1\r\nvia:\r\nvia: 2, 3\r\ncookie: b=2\r\nx-a: 2\r\n\r\n";
        assert_eq!(head.parse(text.as_bytes(), &Limits::default()), Ok(Some(text.len())));
        let fields = head.fields_mut();
        fields.append_joined(Header::Via, b"4").unwrap();
        fields.append_joined(Header::Via, b"").unwrap();
        fields.append_joined(Header::Accept, b"5").unwrap();
        let mut written = Vec::new();
        fields.write(&mut written);
        let expected = "via: 1,2, 3,4\r\ncookie: a=1\r\nx-a: 1\r\ncookie: b=2\r\nx-a: 2\r\naccept: 5\r\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
        fields.append_joined(Header::Via, b"\n").unwrap_err();
        assert_eq!(fields.get_all(Header::Via).collect::<Vec<_>>(), [b"1,2, 3,4"]);
    }
}
