//! The values of Envoy's command operators, for log lines and for header values.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xds_model::format::{Format, HeaderOperand, Operator, PlainOperator, Segment};

use super::{Record, time};
use crate::worker::connection::{CertificateFacts, TlsFacts};

/// What stands for a value that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `-`, in log lines.
    Dash,
    /// Nothing, in header values.
    Nothing,
}

/// What [`put`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing: there is no value.
    Missing,
    /// A decimal number.
    Number,
    /// Text.
    Text,
}

/// Appends a format with its operators replaced.
pub fn put_format(format: &Format, record: &Record<'_>, missing: Missing, out: &mut Vec<u8>) {
    for segment in &format.segments {
        match segment {
            Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Segment::Operator(operator) => {
                if put(operator, record, out) == Written::Missing && missing == Missing::Dash {
                    out.push(b'-');
                }
            }
        }
    }
}

/// Appends the value of an operator.
pub fn put(operator: &Operator, record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    match operator {
        Operator::Request(operand) => header(operand, |name| request_header(name, record), out),
        Operator::RequestWithoutQuery(operand) => {
            header(operand, |name| request_header(name, record).map(without_query), out)
        }
        Operator::Response(operand) => {
            header(operand, |name| record.response.and_then(|response| response.fields().find(name.as_bytes())), out)
        }
        Operator::QueryParameter { name, max_length } => query_parameter(name, *max_length, record, out),
        Operator::StartTime(format) => {
            time::put(record.started, format, out);
            Written::Text
        }
        Operator::Environment(value) => text(value, out),
        Operator::Metadata(path) => match path.iter().map(String::as_str).collect::<smallvec::SmallVec<[_; 4]>>()[..] {
            ["ROUTE", "istio", "config"] => optional(record.route_config, out),
            _ => Written::Missing,
        },
        Operator::Trailer(_) | Operator::DynamicMetadata(_) | Operator::FilterState(_) => Written::Missing,
        Operator::Plain(operator) => plain(*operator, record, out),
    }
}

fn plain(operator: PlainOperator, record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    use PlainOperator as Op;
    let connection = record.connection;
    let upstream = record.upstream;
    match operator {
        Op::BytesReceived => number(record.bytes_received, out),
        Op::BytesSent => number(record.bytes_sent, out),
        Op::ConnectionId => number(connection.id, out),
        Op::ConnectionTerminationDetails => text(record.termination_details, out),
        Op::DownstreamDirectRemoteAddress => socket(Some(connection.direct_remote), out),
        Op::DownstreamDirectRemoteAddressWithoutPort => address(connection.direct_remote.ip(), out),
        Op::DownstreamLocalAddress => socket(Some(connection.local), out),
        Op::DownstreamLocalAddressWithoutPort => address(connection.local.ip(), out),
        Op::DownstreamLocalPort => number(u64::from(connection.local.port()), out),
        Op::DownstreamRemoteAddress => socket(Some(record.client), out),
        Op::DownstreamRemoteAddressWithoutPort => address(record.client.ip(), out),
        Op::DownstreamRemotePort => number(u64::from(record.client.port()), out),
        Op::DownstreamTransportFailureReason => text(record.downstream_failure, out),
        Op::Duration => milliseconds(Some(record.duration), out),
        Op::FilterChainName => text(record.filter_chain, out),
        Op::GrpcStatus => grpc_status(record, out),
        Op::Hostname => text(record.host_name, out),
        // Of a request that could not be understood the protocol is known all the same.
        Op::Protocol if record.request.is_none() && record.status != 0 => text("HTTP/1.1", out),
        Op::Protocol => optional(record.request.map(|request| request.version.as_str()), out),
        Op::RequestedServerName => optional(connection.server_name.as_deref(), out),
        Op::RequestDuration => milliseconds(record.request_duration, out),
        Op::RequestTxDuration => milliseconds(record.request_sent_duration, out),
        Op::ResponseCode => number(u64::from(record.status), out),
        Op::ResponseCodeDetails => text(record.details, out),
        Op::ResponseDuration => milliseconds(record.response_duration, out),
        Op::ResponseFlags => response_flags(record, out),
        Op::ResponseTxDuration => {
            milliseconds(record.response_duration.map(|first| record.duration.saturating_sub(first)), out)
        }
        Op::RouteName => text(record.route_name, out),
        Op::UpstreamCluster => optional(record.cluster, out),
        Op::UpstreamHost => optional(upstream.map(|upstream| upstream.address), out),
        Op::UpstreamLocalAddress => socket(upstream.and_then(|upstream| upstream.local), out),
        Op::UpstreamLocalAddressWithoutPort => host(upstream.and_then(|upstream| upstream.local), out),
        Op::UpstreamLocalPort => port(upstream.and_then(|upstream| upstream.local), out),
        Op::UpstreamProtocol => optional(record.request.and(upstream).map(|_| "HTTP/1.1"), out),
        Op::UpstreamRemoteAddress => socket(upstream.and_then(|upstream| upstream.remote), out),
        Op::UpstreamRemoteAddressWithoutPort => host(upstream.and_then(|upstream| upstream.remote), out),
        Op::UpstreamRemotePort => port(upstream.and_then(|upstream| upstream.remote), out),
        Op::UpstreamRequestAttemptCount => number(u64::from(record.attempts), out),
        Op::UpstreamTransportFailureReason => text(record.upstream_failure, out),
        Op::VirtualClusterName => Written::Missing,
        Op::DownstreamLocalSubject
        | Op::DownstreamLocalUriSan
        | Op::DownstreamPeerCertVEnd
        | Op::DownstreamPeerCertVStart
        | Op::DownstreamPeerFingerprint256
        | Op::DownstreamPeerIssuer
        | Op::DownstreamPeerSerial
        | Op::DownstreamPeerSubject
        | Op::DownstreamPeerUriSan
        | Op::DownstreamTlsCipher
        | Op::DownstreamTlsVersion => {
            connection.tls.as_ref().map_or(Written::Missing, |facts| tls(operator, facts, out))
        }
    }
}

/// Operators about the client's TLS session.
fn tls(operator: PlainOperator, facts: &TlsFacts, out: &mut Vec<u8>) -> Written {
    use PlainOperator as Op;
    let peer = facts.peer.as_deref();
    let of_peer = |value: fn(&CertificateFacts) -> &str| peer.map(value);
    match operator {
        Op::DownstreamTlsCipher => text(facts.cipher, out),
        Op::DownstreamTlsVersion => text(facts.version, out),
        Op::DownstreamLocalSubject => optional(facts.local.as_ref().map(|local| local.subject.as_str()), out),
        Op::DownstreamLocalUriSan => list(facts.local.as_ref().map(|local| local.uri_names.as_slice()), out),
        Op::DownstreamPeerUriSan => list(peer.map(|peer| peer.uri_names.as_slice()), out),
        Op::DownstreamPeerFingerprint256 => optional(of_peer(|peer| &peer.sha256), out),
        Op::DownstreamPeerIssuer => optional(of_peer(|peer| &peer.issuer), out),
        Op::DownstreamPeerSerial => optional(of_peer(|peer| &peer.serial), out),
        Op::DownstreamPeerSubject => optional(of_peer(|peer| &peer.subject), out),
        Op::DownstreamPeerCertVStart => moment(peer.map(|peer| peer.not_before), out),
        Op::DownstreamPeerCertVEnd => moment(peer.map(|peer| peer.not_after), out),
        _ => Written::Missing,
    }
}

/// A request header; the pseudo-headers and `host` are read from the head itself.
pub fn request_header<'a>(name: &str, record: &Record<'a>) -> Option<&'a [u8]> {
    let request = record.request?;
    let value = match name {
        ":authority" | "host" => request.authority(),
        ":path" => request.path_and_query(),
        ":method" => request.method.as_str().as_bytes(),
        ":scheme" => record.scheme.as_bytes(),
        name => return request.fields().find(name.as_bytes()),
    };
    (!value.is_empty()).then_some(value)
}

fn header<'a>(operand: &HeaderOperand, look_up: impl Fn(&str) -> Option<&'a [u8]>, out: &mut Vec<u8>) -> Written {
    let value = look_up(&operand.name).or_else(|| look_up(operand.alternative.as_ref()?));
    value.map_or(Written::Missing, |value| shortened(value, operand.max_length, out))
}

fn query_parameter(name: &str, max_length: Option<usize>, record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    let target = record.request.map(|request| request.path_and_query()).unwrap_or_default();
    let query = memchr::memchr(b'?', target).and_then(|at| target.get(at + 1..)).unwrap_or_default();
    let value = query.split(|byte| *byte == b'&').find_map(|pair| match pair.strip_prefix(name.as_bytes())? {
        [] => Some(&[][..]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    });
    value.map_or(Written::Missing, |value| shortened(value, max_length, out))
}

fn shortened(value: &[u8], max_length: Option<usize>, out: &mut Vec<u8>) -> Written {
    let length = max_length.map_or(value.len(), |most| most.min(value.len()));
    out.extend_from_slice(value.get(..length).unwrap_or(value));
    Written::Text
}

fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr(b'?', path).and_then(|at| path.get(..at)).unwrap_or(path)
}

/// `-` for none, even where other missing values are null.
fn response_flags(record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    if record.flags.is_empty() {
        out.push(b'-');
    } else {
        record.flags.put(record.request.is_some(), out);
    }
    Written::Text
}

fn grpc_status(record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let Some(value) = record.response.and_then(|response| response.fields().find(b"grpc-status")) else {
        return Written::Missing;
    };
    let code = std::str::from_utf8(value).ok().and_then(|value| value.parse::<usize>().ok());
    match code.and_then(|code| NAMES.get(code)) {
        Some(name) => text(name, out),
        None => {
            out.extend_from_slice(value);
            Written::Text
        }
    }
}

fn text(value: &str, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(value.as_bytes());
    if value.is_empty() { Written::Missing } else { Written::Text }
}

fn optional(value: Option<&str>, out: &mut Vec<u8>) -> Written {
    text(value.unwrap_or_default(), out)
}

fn list(values: Option<&[String]>, out: &mut Vec<u8>) -> Written {
    let Some(values) = values.filter(|values| !values.is_empty()) else { return Written::Missing };
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes());
    }
    Written::Text
}

fn number(value: u64, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Written::Number
}

fn milliseconds(value: Option<Duration>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| number(value.as_millis() as u64, out))
}

fn moment(value: Option<Duration>, out: &mut Vec<u8>) -> Written {
    let Some(value) = value else { return Written::Missing };
    time::put(value, "", out);
    Written::Text
}

/// Appends an address without its port.
pub fn address(value: IpAddr, out: &mut Vec<u8>) -> Written {
    match value {
        IpAddr::V4(value) => put_dotted(value.octets(), out),
        // Writing to a vector cannot fail.
        IpAddr::V6(value) => drop(write!(out, "{value}")),
    }
    Written::Text
}

/// Every request has an address of its client written: put together on the stack, copied once.
fn put_dotted(octets: [u8; 4], out: &mut Vec<u8>) {
    let mut text = [b'.'; 15];
    let mut length = 0;
    for (index, octet) in octets.into_iter().enumerate() {
        length += usize::from(index > 0);
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least
                && let Some(place) = text.get_mut(length)
            {
                *place = b'0' + octet / divisor % 10;
                length += 1;
            }
        }
    }
    out.extend_from_slice(text.get(..length).unwrap_or_default());
}

fn host(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| address(value.ip(), out))
}

fn port(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| number(u64::from(value.port()), out))
}

fn socket(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
    let Some(value) = value else { return Written::Missing };
    if value.is_ipv6() {
        out.push(b'[');
    }
    address(value.ip(), out);
    if value.is_ipv6() {
        out.push(b']');
    }
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(value.port()).as_bytes());
    Written::Text
}
