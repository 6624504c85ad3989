//! The status of gRPC calls.

use xds_model::format::GrpcStatusForm;

use super::Written;
use super::values::{number, text};
use crate::telemetry::access_log::Record;

/// By code: as it is written in one word, and with underscores.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// Of gRPC requests alone: what the answer says, or else what its HTTP status means (Envoy, `GrpcStatusFormatter`).
pub(super) fn status<'a>(form: GrpcStatusForm, record: &Record<'a>, out: &mut Vec<u8>) -> Written {
    let request = record.request.and_then(|request| request.fields().get(h1::Header::ContentType));
    if !request.is_some_and(is_grpc) {
        return Written::Missing;
    }
    let status = |fields: &'a h1::Fields| fields.get(h1::Header::GrpcStatus);
    let said = record.trailers.and_then(status).or_else(|| status(record.response?.fields()));
    let code = match said {
        Some(value) => std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok()),
        None if record.status == 0 => return Written::Missing,
        None => Some(of_http(record.status)),
    };
    let names = code.and_then(|code| NAMES.get(usize::try_from(code).ok()?));
    match (form, code, names) {
        (GrpcStatusForm::Camel, _, Some((name, _))) | (GrpcStatusForm::Snake, _, Some((_, name))) => text(name, out),
        (GrpcStatusForm::Number, Some(code), _) => number(code, out),
        (_, Some(code), None) => {
            number(code, out);
            Written::Text
        }
        (_, None, _) => {
            text("-1", out);
            if form == GrpcStatusForm::Number { Written::Number } else { Written::Text }
        }
    }
}

fn is_grpc(content_type: &[u8]) -> bool {
    matches!(content_type.strip_prefix(b"application/grpc"), Some([] | [b'+', ..]))
}

/// Envoy, `Grpc::Utility::httpToGrpcStatus`.
const fn of_http(status: u16) -> u64 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
