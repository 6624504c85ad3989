//! Well-known field names as small integers.
//!
//! The codec and its users speak of [`Header::Host`], not of strings: a lookup compares one byte, and a head knows from
//! one bitmap which well-known fields it holds.

mod lookup;

pub(crate) use lookup::{lookup, write_lower};

/// What stands between the name and the value of a field.
pub(crate) const SEPARATOR: &str = ": ";

macro_rules! well_known {
    ($($variant:ident = $name:literal,)*) => {
        /// A well-known field name, or [`Header::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each variant is documented by its name on the wire")]
        pub enum Header {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other name; compare its bytes.
            Other,
        }

        impl Header {
            /// Every well-known name, [`Header::Other`] excluded.
            pub const ALL: &'static [Header] = &[$(Header::$variant,)*];
            /// Each with what separates it from its value.
            const NAMES: &'static [&'static str] = &[$(concat!($name, ": "),)* ": "];
        }
    };
}

// The first group decides framing or ends at this hop: order matters to `is_framing` and `ends_at_this_hop`.
well_known! {
    Host = "host",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Connection = "connection",
    ProxyConnection = "proxy-connection",
    KeepAlive = "keep-alive",
    Upgrade = "upgrade",
    Te = "te",
    Trailer = "trailer",
    ProxyAuthenticate = "proxy-authenticate",
    Http2Settings = "http2-settings",
    Expect = "expect",

    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedClientCert = "x-forwarded-client-cert",
    Forwarded = "forwarded",
    XRequestId = "x-request-id",
    XClientTraceId = "x-client-trace-id",
    XB3TraceId = "x-b3-traceid",
    XB3SpanId = "x-b3-spanid",
    XB3Sampled = "x-b3-sampled",
    B3 = "b3",
    TraceParent = "traceparent",
    TraceState = "tracestate",
    Baggage = "baggage",

    XEnvoyAttemptCount = "x-envoy-attempt-count",
    XEnvoyDecoratorOperation = "x-envoy-decorator-operation",
    XEnvoyDegraded = "x-envoy-degraded",
    XEnvoyDownstreamServiceCluster = "x-envoy-downstream-service-cluster",
    XEnvoyDownstreamServiceNode = "x-envoy-downstream-service-node",
    XEnvoyExpectedRqTimeoutMs = "x-envoy-expected-rq-timeout-ms",
    XEnvoyExternalAddress = "x-envoy-external-address",
    XEnvoyForceTrace = "x-envoy-force-trace",
    XEnvoyHedgeOnPerTryTimeout = "x-envoy-hedge-on-per-try-timeout",
    XEnvoyImmediateHealthCheckFail = "x-envoy-immediate-health-check-fail",
    XEnvoyInternal = "x-envoy-internal",
    XEnvoyIpTags = "x-envoy-ip-tags",
    XEnvoyIsTimeoutRetry = "x-envoy-is-timeout-retry",
    XEnvoyMaxRetries = "x-envoy-max-retries",
    XEnvoyOriginalDstHost = "x-envoy-original-dst-host",
    XEnvoyOriginalHost = "x-envoy-original-host",
    XEnvoyOriginalMethod = "x-envoy-original-method",
    XEnvoyOriginalPath = "x-envoy-original-path",
    XEnvoyOriginalUrl = "x-envoy-original-url",
    XEnvoyOverloaded = "x-envoy-overloaded",
    XEnvoyPeerMetadata = "x-envoy-peer-metadata",
    XEnvoyPeerMetadataId = "x-envoy-peer-metadata-id",
    XEnvoyRateLimited = "x-envoy-ratelimited",
    XEnvoyRetriableHeaderNames = "x-envoy-retriable-header-names",
    XEnvoyRetriableStatusCodes = "x-envoy-retriable-status-codes",
    XEnvoyRetryGrpcOn = "x-envoy-retry-grpc-on",
    XEnvoyRetryOn = "x-envoy-retry-on",
    XEnvoyUpstreamAltStatName = "x-envoy-upstream-alt-stat-name",
    XEnvoyUpstreamCanary = "x-envoy-upstream-canary",
    XEnvoyUpstreamHealthCheckedCluster = "x-envoy-upstream-healthchecked-cluster",
    XEnvoyUpstreamRqPerTryTimeoutMs = "x-envoy-upstream-rq-per-try-timeout-ms",
    XEnvoyUpstreamRqTimeoutAltResponse = "x-envoy-upstream-rq-timeout-alt-response",
    XEnvoyUpstreamRqTimeoutMs = "x-envoy-upstream-rq-timeout-ms",
    XEnvoyUpstreamServiceTime = "x-envoy-upstream-service-time",
    XEnvoyUpstreamStreamDurationMs = "x-envoy-upstream-stream-duration-ms",

    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    AcceptRanges = "accept-ranges",
    AccessControlAllowCredentials = "access-control-allow-credentials",
    AccessControlAllowHeaders = "access-control-allow-headers",
    AccessControlAllowMethods = "access-control-allow-methods",
    AccessControlAllowOrigin = "access-control-allow-origin",
    AccessControlAllowPrivateNetwork = "access-control-allow-private-network",
    AccessControlExposeHeaders = "access-control-expose-headers",
    AccessControlMaxAge = "access-control-max-age",
    AccessControlRequestHeaders = "access-control-request-headers",
    AccessControlRequestMethod = "access-control-request-method",
    AccessControlRequestPrivateNetwork = "access-control-request-private-network",
    Age = "age",
    AltSvc = "alt-svc",
    Authentication = "authentication",
    Authorization = "authorization",
    CacheControl = "cache-control",
    CdnLoop = "cdn-loop",
    ContentDisposition = "content-disposition",
    ContentEncoding = "content-encoding",
    ContentLanguage = "content-language",
    ContentRange = "content-range",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    ETag = "etag",
    Expires = "expires",
    GrpcAcceptEncoding = "grpc-accept-encoding",
    GrpcMessage = "grpc-message",
    GrpcStatus = "grpc-status",
    GrpcTimeout = "grpc-timeout",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    IfUnmodifiedSince = "if-unmodified-since",
    LastModified = "last-modified",
    Location = "location",
    Origin = "origin",
    Pragma = "pragma",
    ProxyAuthorization = "proxy-authorization",
    ProxyStatus = "proxy-status",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    SecFetchDest = "sec-fetch-dest",
    SecFetchMode = "sec-fetch-mode",
    SecFetchSite = "sec-fetch-site",
    SecWebSocketKey = "sec-websocket-key",
    Server = "server",
    SetCookie = "set-cookie",
    StrictTransportSecurity = "strict-transport-security",
    UpgradeInsecureRequests = "upgrade-insecure-requests",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    WwwAuthenticate = "www-authenticate",
    XContentTypeOptions = "x-content-type-options",
    XFrameOptions = "x-frame-options",
    XPoweredBy = "x-powered-by",
    XRealIp = "x-real-ip",
}

impl Header {
    /// The name in lower case; empty for [`Header::Other`].
    #[inline]
    pub const fn as_str(self) -> &'static str {
        let name = Self::NAMES[self as usize];
        name.split_at(name.len() - SEPARATOR.len()).0
    }

    /// The name as it stands on the wire, the separator from its value included.
    #[inline]
    pub(crate) const fn line_start(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether the serialiser alone writes this field, from what the head says, never from the stored field.
    #[inline(always)]
    pub(crate) const fn is_framing(self) -> bool {
        self as u8 <= Header::Upgrade as u8
    }

    /// Whether a parser must look at the value or take the field out.
    #[inline(always)]
    pub(crate) const fn needs_attention(self) -> bool {
        self as u8 <= Header::Expect as u8
    }

    /// Whether the field concerns this connection only (RFC 9110 7.6.1) and is taken out while parsing. `Host` is among
    /// them because it becomes the authority; `TE` is reduced rather than removed.
    #[inline(always)]
    pub(crate) const fn ends_at_this_hop(self) -> bool {
        (self as u8) < Header::Expect as u8 && !matches!(self, Header::ContentLength | Header::Te)
    }

    /// The well-known name equal to `name` ignoring ASCII case, or [`Header::Other`].
    #[inline]
    pub fn from_name(name: &[u8]) -> Header {
        lookup::by_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_itself_in_any_case() {
        for header in Header::ALL {
            let name = header.as_str();
            assert_eq!(Header::from_name(name.as_bytes()), *header, "{name}");
            assert_eq!(Header::from_name(name.to_ascii_uppercase().as_bytes()), *header, "{name}");
        }
    }

    #[test]
    fn near_misses_are_other() {
        for header in Header::ALL {
            let name = header.as_str().as_bytes();
            for at in 0..name.len() {
                for replacement in [b'\r', 0x00, b'_', b'@', b'~', 0xff, name[at] ^ 0x40] {
                    let mut changed = name.to_vec();
                    changed[at] = replacement;
                    if changed != name {
                        assert_eq!(Header::from_name(&changed), Header::Other, "{changed:?}");
                    }
                }
            }
            assert_eq!(Header::from_name(&[name, b"x"].concat()), Header::Other);
        }
        assert_eq!(Header::from_name(b""), Header::Other);
        assert_eq!(Header::from_name(&[b'a'; 5000]), Header::Other);
    }
}
