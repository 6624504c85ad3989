//! What gRPC says in the fields of a head: that it is gRPC, and its deadline.

use std::time::Duration;

use h1::{Fields, Header};

/// Whether a message says that it is gRPC (Envoy, `Grpc::Common::hasGrpcContentType`).
pub(super) fn is_grpc(fields: &Fields) -> bool {
    let content_type = fields.get(Header::ContentType).unwrap_or_default();
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// How long a client waits for the answer (`grpc-timeout`); `None` if it does not say, or nothing that can be understood.
pub(super) fn deadline(fields: &Fields) -> Option<Duration> {
    let (digits, unit) = fields.get(Header::GrpcTimeout)?.split_last_chunk::<1>()?;
    // At most 8 digits (gRPC over HTTP2, "Timeout").
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    match unit {
        b"H" => Some(Duration::from_secs(value * 3600)),
        b"M" => Some(Duration::from_secs(value * 60)),
        b"S" => Some(Duration::from_secs(value)),
        b"m" => Some(Duration::from_millis(value)),
        // Envoy counts in milliseconds, of which there is at least one.
        b"u" => Some(Duration::from_millis(value.div_ceil(1_000))),
        b"n" => Some(Duration::from_millis(value.div_ceil(1_000_000))),
        _ => None,
    }
}

/// Tells the endpoint of a deadline in milliseconds.
pub(super) fn write_deadline(fields: &mut Fields, milliseconds: u64) {
    /// No more than 8 digits fit.
    const MOST: u64 = 99_999_999;
    let units: [(u64, &[u8]); 4] = [(1, b"m"), (1_000, b"S"), (60_000, b"M"), (3_600_000, b"H")];
    let fitting = units.into_iter().map(|(size, name)| (milliseconds / size, name)).find(|(value, _)| *value <= MOST);
    let (value, unit) = fitting.unwrap_or((MOST, b"H"));
    fields.remove(Header::GrpcTimeout);
    let _ = fields.append_value(Header::GrpcTimeout, |writer| {
        writer.put_number(value);
        writer.put(unit);
    });
}

#[cfg(test)]
mod tests {
    use h1::{Method, RequestHead};

    use super::*;

    fn said(value: &str) -> Option<Duration> {
        let mut request = RequestHead::new();
        request.start(Method::Post, b"/", b"a.test").unwrap();
        request.fields_mut().append_known(Header::GrpcTimeout, value.as_bytes()).unwrap();
        deadline(request.fields())
    }

    #[test]
    fn deadlines_are_read_in_every_unit() {
        let cases = [
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("3S", Some(3_000)),
            ("4m", Some(4)),
            ("1u", Some(1)),
            ("5000u", Some(5)),
            ("1n", Some(1)),
            ("99999999S", Some(99_999_999_000)),
            ("100000000S", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("1 S", None),
        ];
        for (value, milliseconds) in cases {
            assert_eq!(said(value), milliseconds.map(Duration::from_millis), "{value:?}");
        }
    }

    #[test]
    fn deadlines_are_written_with_8_digits_at_most() {
        let cases = [(1, "1m"), (99_999_999, "99999999m"), (100_000_000, "100000S"), (100_000_000_000, "1666666M")];
        for (milliseconds, expected) in cases {
            let mut fields = Fields::new();
            write_deadline(&mut fields, milliseconds);
            assert_eq!(fields.get(Header::GrpcTimeout), Some(expected.as_bytes()));
        }
    }
}
