//! The values of Envoy's command operators, for log lines and for header values.

mod grpc;
mod values;

use std::net::SocketAddr;
use std::time::Duration;

use xds_model::format::{Format, HeaderOperand, Operator, PlainOperator, Segment, TimePoint};

pub use self::values::address;
use self::values::{
    between, host, list, milliseconds, moment, network, number, optional, port, said_by_others, socket, text,
};
use super::{Record, time};
use crate::http::client_certificate;
use crate::telemetry::response_flags::ResponseFlags;
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
            Segment::Literal(text) => match text.as_bytes() {
                // Most stand between two values, and to copy a byte costs as much as to copy many.
                [byte] => out.push(*byte),
                bytes => out.extend_from_slice(bytes),
            },
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
        Operator::Response(operand) if operand.name == ":status" => {
            record.response.map_or(Written::Missing, |response| {
                number(u64::from(response.status), out);
                Written::Text
            })
        }
        Operator::Response(operand) => {
            header(operand, |name| record.response.and_then(|response| response.fields().find(name.as_bytes())), out)
        }
        Operator::Trailer(operand) => {
            header(operand, |name| record.trailers.and_then(|trailers| trailers.find(name.as_bytes())), out)
        }
        Operator::QueryParameter { name, max_length } => query_parameter(name, *max_length, record, out),
        Operator::StartTime(format) => {
            time::put(record.started, format, out);
            Written::Text
        }
        Operator::EmitTime(format) => {
            time::put(record.started.saturating_add(record.duration), format, out);
            Written::Text
        }
        Operator::CommonDuration { start, end, unit } => {
            between(time_point(*start, record), time_point(*end, record), *unit, out)
        }
        Operator::GrpcStatus(form) => grpc::status(*form, record, out),
        Operator::Network { address, prefix_length } => {
            socket_of(*address, record).map_or(Written::Missing, |value| network(value.ip(), *prefix_length, out))
        }
        Operator::Environment(value) => text(value, out),
        Operator::Metadata(path) => match path.iter().map(String::as_str).collect::<smallvec::SmallVec<[_; 4]>>()[..] {
            ["ROUTE", "istio", "config"] => optional(record.route_config, out),
            _ => Written::Missing,
        },
        Operator::DynamicMetadata(_) | Operator::FilterState(_) => Written::Missing,
        Operator::Plain(operator) => plain(*operator, record, out),
    }
}

fn plain(operator: PlainOperator, record: &Record<'_>, out: &mut Vec<u8>) -> Written {
    use PlainOperator as Op;
    let connection = record.connection;
    let upstream = record.upstream;
    match operator {
        Op::Absent | Op::VirtualClusterName => Written::Missing,
        Op::AccessLogType => text(record.log_type, out),
        Op::AlwaysEmpty => Written::Text,
        Op::UpstreamRemoteAddressEndpointId => upstream.map_or(Written::Missing, |_| Written::Text),
        Op::AlwaysZero => number(0, out),
        Op::BytesReceived => number(record.bytes_received, out),
        Op::BytesSent => number(record.bytes_sent, out),
        Op::ConnectionId => number(connection.id, out),
        Op::ConnectionTerminationDetails => text(record.termination_details, out),
        Op::DownstreamDirectRemoteAddress
        | Op::DownstreamLocalAddress
        | Op::DownstreamRemoteAddress
        | Op::UpstreamLocalAddress
        | Op::UpstreamRemoteAddress => socket(socket_of(operator, record), out),
        Op::DownstreamDirectRemoteAddressWithoutPort
        | Op::DownstreamLocalAddressWithoutPort
        | Op::DownstreamRemoteAddressWithoutPort
        | Op::UpstreamLocalAddressWithoutPort
        | Op::UpstreamRemoteAddressWithoutPort => host(socket_of(operator, record), out),
        Op::DownstreamDirectRemotePort
        | Op::DownstreamLocalPort
        | Op::DownstreamRemotePort
        | Op::UpstreamLocalPort
        | Op::UpstreamRemotePort => port(socket_of(operator, record), out),
        Op::DownstreamTransportFailureReason => said_by_others(record.downstream_failure, out),
        Op::Duration => milliseconds(Some(record.duration), out),
        Op::FilterChainName => text(record.filter_chain, out),
        Op::Hostname => text(record.host_name, out),
        // Of a request that could not be understood the protocol is known all the same.
        Op::Protocol => {
            let known = Some(record.protocol).filter(|protocol| !protocol.is_empty());
            optional(record.request.map(|request| request.version.as_str()).or(known), out)
        }
        Op::RequestedServerName => optional(connection.server_name(), out),
        Op::RequestDuration => milliseconds(record.request_duration, out),
        Op::RequestHeadersBytes => number(record.request.map_or(0, |request| request_bytes(request, record)), out),
        Op::RequestTxDuration => milliseconds(record.request_sent_duration, out),
        Op::ResponseCode => number(u64::from(record.status), out),
        Op::ResponseCodeDetails => text(record.details, out),
        Op::ResponseDuration => milliseconds(record.response_duration, out),
        Op::ResponseFlags => response_flags(record, |flags, out| flags.put(record.request.is_some(), out), out),
        Op::ResponseFlagsLong => {
            response_flags(record, |flags, out| flags.put_long(record.request.is_some(), out), out)
        }
        Op::ResponseTrailersBytes => {
            let sizes = record
                .trailers
                .into_iter()
                .flat_map(h1::Fields::iter)
                .map(|field| field.name.len() + field.value.len());
            number(sizes.sum::<usize>() as u64, out)
        }
        Op::ResponseHeadersBytes => number(record.response.map_or(0, response_bytes), out),
        Op::ResponseTxDuration => {
            milliseconds(record.response_duration.map(|first| record.duration.saturating_sub(first)), out)
        }
        Op::RouteName => text(record.route_name, out),
        Op::StreamId => {
            header_value(record.request.and_then(|request| request.fields().get(h1::Header::XRequestId)), out)
        }
        Op::UpstreamCluster => optional(record.cluster, out),
        Op::UpstreamHost => optional(upstream.map(|upstream| upstream.address), out),
        Op::UpstreamProtocol => {
            let protocol = upstream.map(|upstream| upstream.protocol).filter(|protocol| !protocol.is_empty());
            optional(record.request.and(protocol), out)
        }
        Op::UpstreamRequestAttemptCount => number(u64::from(record.attempts), out),
        Op::UpstreamTransportFailureReason => said_by_others(record.upstream_failure, out),
        Op::DownstreamLocalDnsSan
        | Op::DownstreamLocalSubject
        | Op::DownstreamLocalUriSan
        | Op::DownstreamPeerCert
        | Op::DownstreamPeerCertVEnd
        | Op::DownstreamPeerCertVStart
        | Op::DownstreamPeerDnsSan
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
        Op::DownstreamLocalDnsSan => list(facts.local.as_ref().map(|local| local.dns_names.as_slice()), out),
        Op::DownstreamPeerDnsSan => list(peer.map(|peer| peer.dns_names.as_slice()), out),
        Op::DownstreamPeerCert => peer.and_then(|peer| peer.chain.first()).map_or(Written::Missing, |leaf| {
            text(&client_certificate::url_encoded_pem(std::slice::from_ref(leaf)), out)
        }),
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

/// The address that an operator is about.
fn socket_of(operator: PlainOperator, record: &Record<'_>) -> Option<SocketAddr> {
    use PlainOperator as Op;
    match operator {
        Op::DownstreamDirectRemoteAddress
        | Op::DownstreamDirectRemoteAddressWithoutPort
        | Op::DownstreamDirectRemotePort => Some(record.connection.direct_remote()),
        Op::DownstreamLocalAddress | Op::DownstreamLocalAddressWithoutPort | Op::DownstreamLocalPort => {
            Some(record.connection.local)
        }
        Op::DownstreamRemoteAddress | Op::DownstreamRemoteAddressWithoutPort | Op::DownstreamRemotePort => {
            Some(record.client)
        }
        Op::UpstreamLocalAddress | Op::UpstreamLocalAddressWithoutPort | Op::UpstreamLocalPort => {
            record.upstream?.local
        }
        Op::UpstreamRemoteAddress | Op::UpstreamRemoteAddressWithoutPort | Op::UpstreamRemotePort => {
            record.upstream?.remote
        }
        _ => None,
    }
}

/// Since the beginning.
fn time_point(point: TimePoint, record: &Record<'_>) -> Option<Duration> {
    let of_connection = record.log_type == "TcpConnectionEnd";
    match point {
        TimePoint::ConnectionBegin => of_connection.then_some(Duration::ZERO),
        TimePoint::ConnectionEnd => of_connection.then_some(record.duration),
        TimePoint::Begin => Some(Duration::ZERO),
        TimePoint::RequestReceived => record.request_duration,
        TimePoint::RequestSent => record.request_sent_duration,
        TimePoint::ResponseBegan => record.response_duration,
        TimePoint::End => Some(record.duration),
    }
}

/// Names and values, without what HTTP/1 writes between them; the request line counts as the fields that HTTP/2 makes of it.
fn request_bytes(request: &h1::RequestHead, record: &Record<'_>) -> u64 {
    let pseudo = ":authority".len() + ":path".len() + ":method".len() + ":scheme".len();
    let line = request.authority().len() + request.path_and_query().len() + request.method.as_str().len();
    (pseudo + line + record.scheme.len() + field_bytes(request.fields())) as u64
}

fn response_bytes(response: &h1::ResponseHead) -> u64 {
    let length = match response.content_length {
        Some(length) if !response.fields().contains(h1::Header::ContentLength) => {
            "content-length".len() + itoa::Buffer::new().format(length).len()
        }
        _ => 0,
    };
    (":status".len() + 3 + length + field_bytes(response.fields())) as u64
}

fn field_bytes(fields: &h1::Fields) -> usize {
    fields.iter().map(|field| field.name.len() + field.value.len()).sum()
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

fn header_value(value: Option<&[u8]>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| shortened(value, None, out))
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
fn response_flags(record: &Record<'_>, put: impl FnOnce(ResponseFlags, &mut Vec<u8>), out: &mut Vec<u8>) -> Written {
    match record.flags.is_empty() {
        true => out.push(b'-'),
        false => put(record.flags, out),
    }
    Written::Text
}
