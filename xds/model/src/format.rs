//! Envoy's substitution formats, in access logs and header values (`%REQ(NAME?ALTERNATIVE):LENGTH%`).
//!
//! Parsed once, when configuration arrives. What is not known is refused by name: Envoy rejects the resource as well, and a log line
//! or a header that silently lacks a value would be worse.

mod parse;
#[cfg(test)]
mod tests;

pub use parse::FormatError;

/// Text with operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// In order.
    pub segments: Vec<Segment>,
}

/// A piece of a [`Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Copied as it is (`%%` is a percent sign).
    Literal(String),
    /// Replaced by a value.
    Operator(Operator),
}

/// What an operator stands for. The names are Envoy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `REQ`.
    Request(HeaderOperand),
    /// `REQ_WITHOUT_QUERY`.
    RequestWithoutQuery(HeaderOperand),
    /// `QUERY_PARAM`: the first value of a parameter, as it was written.
    QueryParameter {
        /// Exact about case.
        name: String,
        /// Longest value that is written.
        max_length: Option<usize>,
    },
    /// `RESP`.
    Response(HeaderOperand),
    /// `TRAILER`.
    Trailer(HeaderOperand),
    /// `START_TIME`, with a strftime format (empty: `%Y-%m-%dT%H:%M:%S.%3fZ`).
    StartTime(String),
    /// `EMIT_TIME`: when the line is written, otherwise like `START_TIME`.
    EmitTime(String),
    /// `COMMON_DURATION(START:END:PRECISION)`.
    CommonDuration {
        /// From.
        start: TimePoint,
        /// To.
        end: TimePoint,
        /// The unit, nanoseconds.
        unit: u32,
    },
    /// `GRPC_STATUS(…)` and `GRPC_STATUS_NUMBER`.
    GrpcStatus(GrpcStatusForm),
    /// `…_ADDRESS_WITHOUT_PORT(LENGTH)`: the network that an address is in.
    Network {
        /// The operator that writes the whole address.
        address: PlainOperator,
        /// Leading bits that stay.
        prefix_length: u8,
    },
    /// `ENVIRONMENT(NAME)`, with its value at the time of parsing.
    Environment(String),
    /// `METADATA(ROUTE:istio:config)` and the like: type, namespace, keys.
    Metadata(Vec<String>),
    /// `DYNAMIC_METADATA(namespace:key…)`.
    DynamicMetadata(Vec<String>),
    /// `FILTER_STATE(key:…)`.
    FilterState(String),
    /// Any operator without an argument.
    Plain(PlainOperator),
}

/// Operand of the header operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderOperand {
    /// Lower-case name.
    pub name: String,
    /// Looked up when the first is missing.
    pub alternative: Option<String>,
    /// Longest value that is written.
    pub max_length: Option<usize>,
}

/// Times that `COMMON_DURATION` measures between. The names are Envoy's; other ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePoint {
    /// `DS_RX_BEG`: the request or the connection began.
    Begin,
    /// `DS_CX_BEG`: the same, in lines about connections alone.
    ConnectionBegin,
    /// `DS_CX_END`: the end of a connection.
    ConnectionEnd,
    /// `DS_RX_END`: the request was received.
    RequestReceived,
    /// `US_TX_END`: the request was sent.
    RequestSent,
    /// `US_RX_BEG`: the answer began to arrive.
    ResponseBegan,
    /// `DS_TX_END`: all of the answer was sent.
    End,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcStatusForm {
    /// Such as `NotFound`.
    Camel,
    /// Such as `NOT_FOUND`.
    Snake,
    /// Such as `5`.
    Number,
}

/// Operators without an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainOperator {
    /// What a line of this gateway never has a value for: `ROUNDTRIP_DURATION`, `SPAN_ID`, `TRACE_ID`, `TLS_JA3_FINGERPRINT`,
    /// `TLS_JA4_FINGERPRINT`.
    Absent,
    /// `ACCESS_LOG_TYPE`.
    AccessLogType,
    /// `CUSTOM_FLAGS`, `DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID`, and `LOCAL_REPLY_BODY`, which Envoy knows in local replies alone;
    /// always text of no length.
    AlwaysEmpty,
    /// `BYTES_RETRANSMITTED`, `PACKETS_RETRANSMITTED`; always 0.
    AlwaysZero,
    /// `BYTES_RECEIVED`.
    BytesReceived,
    /// `BYTES_SENT`.
    BytesSent,
    /// `CONNECTION_ID`.
    ConnectionId,
    /// `CONNECTION_TERMINATION_DETAILS`.
    ConnectionTerminationDetails,
    /// `DOWNSTREAM_DIRECT_REMOTE_ADDRESS`.
    DownstreamDirectRemoteAddress,
    /// `DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT`.
    DownstreamDirectRemoteAddressWithoutPort,
    /// `DOWNSTREAM_DIRECT_REMOTE_PORT`.
    DownstreamDirectRemotePort,
    /// `DOWNSTREAM_LOCAL_ADDRESS`.
    DownstreamLocalAddress,
    /// `DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT`.
    DownstreamLocalAddressWithoutPort,
    /// `DOWNSTREAM_LOCAL_DNS_SAN`.
    DownstreamLocalDnsSan,
    /// `DOWNSTREAM_LOCAL_PORT`.
    DownstreamLocalPort,
    /// `DOWNSTREAM_LOCAL_SUBJECT`.
    DownstreamLocalSubject,
    /// `DOWNSTREAM_LOCAL_URI_SAN`.
    DownstreamLocalUriSan,
    /// `DOWNSTREAM_PEER_CERT`.
    DownstreamPeerCert,
    /// `DOWNSTREAM_PEER_CERT_V_END`.
    DownstreamPeerCertVEnd,
    /// `DOWNSTREAM_PEER_CERT_V_START`.
    DownstreamPeerCertVStart,
    /// `DOWNSTREAM_PEER_DNS_SAN`.
    DownstreamPeerDnsSan,
    /// `DOWNSTREAM_PEER_FINGERPRINT_256`.
    DownstreamPeerFingerprint256,
    /// `DOWNSTREAM_PEER_ISSUER`.
    DownstreamPeerIssuer,
    /// `DOWNSTREAM_PEER_SERIAL`.
    DownstreamPeerSerial,
    /// `DOWNSTREAM_PEER_SUBJECT`.
    DownstreamPeerSubject,
    /// `DOWNSTREAM_PEER_URI_SAN`.
    DownstreamPeerUriSan,
    /// `DOWNSTREAM_REMOTE_ADDRESS`.
    DownstreamRemoteAddress,
    /// `DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT`.
    DownstreamRemoteAddressWithoutPort,
    /// `DOWNSTREAM_REMOTE_PORT`.
    DownstreamRemotePort,
    /// `DOWNSTREAM_TLS_CIPHER`.
    DownstreamTlsCipher,
    /// `DOWNSTREAM_TLS_VERSION`.
    DownstreamTlsVersion,
    /// `DOWNSTREAM_TRANSPORT_FAILURE_REASON`.
    DownstreamTransportFailureReason,
    /// `DURATION`, milliseconds.
    Duration,
    /// `FILTER_CHAIN_NAME`.
    FilterChainName,
    /// `HOSTNAME`.
    Hostname,
    /// `PROTOCOL`.
    Protocol,
    /// `REQUESTED_SERVER_NAME`.
    RequestedServerName,
    /// `REQUEST_DURATION`.
    RequestDuration,
    /// `REQUEST_HEADERS_BYTES`.
    RequestHeadersBytes,
    /// `REQUEST_TX_DURATION`.
    RequestTxDuration,
    /// `RESPONSE_CODE`.
    ResponseCode,
    /// `RESPONSE_CODE_DETAILS`.
    ResponseCodeDetails,
    /// `RESPONSE_DURATION`.
    ResponseDuration,
    /// `RESPONSE_FLAGS`.
    ResponseFlags,
    /// `RESPONSE_FLAGS_LONG`.
    ResponseFlagsLong,
    /// `RESPONSE_HEADERS_BYTES`.
    ResponseHeadersBytes,
    /// `RESPONSE_TRAILERS_BYTES`.
    ResponseTrailersBytes,
    /// `RESPONSE_TX_DURATION`.
    ResponseTxDuration,
    /// `ROUTE_NAME`.
    RouteName,
    /// `STREAM_ID`: the request's id.
    StreamId,
    /// `UPSTREAM_CLUSTER` and `UPSTREAM_CLUSTER_RAW`.
    UpstreamCluster,
    /// `UPSTREAM_HOST`.
    UpstreamHost,
    /// `UPSTREAM_LOCAL_ADDRESS`.
    UpstreamLocalAddress,
    /// `UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT`.
    UpstreamLocalAddressWithoutPort,
    /// `UPSTREAM_LOCAL_PORT`.
    UpstreamLocalPort,
    /// `UPSTREAM_PROTOCOL`.
    UpstreamProtocol,
    /// `UPSTREAM_REMOTE_ADDRESS`.
    UpstreamRemoteAddress,
    /// `UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT`.
    UpstreamRemoteAddressWithoutPort,
    /// `UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID`; without text where there is an upstream.
    UpstreamRemoteAddressEndpointId,
    /// `UPSTREAM_REMOTE_PORT`.
    UpstreamRemotePort,
    /// `UPSTREAM_REQUEST_ATTEMPT_COUNT`.
    UpstreamRequestAttemptCount,
    /// `UPSTREAM_TRANSPORT_FAILURE_REASON`.
    UpstreamTransportFailureReason,
    /// `VIRTUAL_CLUSTER_NAME`; always without a value.
    VirtualClusterName,
}
