//! Values as text, appended to a line.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Written;
use crate::telemetry::access_log::time;

pub(super) fn text(value: &str, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(value.as_bytes());
    if value.is_empty() { Written::Missing } else { Written::Text }
}

/// Appends words of others, who may have put line feeds into them to forge lines.
pub(super) fn said_by_others(value: &str, out: &mut Vec<u8>) -> Written {
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once(char::is_control) {
        out.extend_from_slice(before.as_bytes());
        out.push(b'?');
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    if value.is_empty() { Written::Missing } else { Written::Text }
}

pub(super) fn optional(value: Option<&str>, out: &mut Vec<u8>) -> Written {
    text(value.unwrap_or_default(), out)
}

pub(super) fn list(values: Option<&[String]>, out: &mut Vec<u8>) -> Written {
    let Some(values) = values.filter(|values| !values.is_empty()) else { return Written::Missing };
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.as_bytes());
    }
    Written::Text
}

pub(super) fn number(value: u64, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    Written::Number
}

pub(super) fn milliseconds(value: Option<Duration>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| number(value.as_millis() as u64, out))
}

pub(super) fn moment(value: Option<Duration>, out: &mut Vec<u8>) -> Written {
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

pub(super) fn host(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| address(value.ip(), out))
}

pub(super) fn port(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
    value.map_or(Written::Missing, |value| number(u64::from(value.port()), out))
}

pub(super) fn socket(value: Option<SocketAddr>, out: &mut Vec<u8>) -> Written {
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

/// Appends the network of so many leading bits that an address is in.
pub(super) fn network(value: IpAddr, prefix_length: u8, out: &mut Vec<u8>) -> Written {
    let zero_below = |bits: u8| u32::from(bits.saturating_sub(prefix_length));
    let network = match value {
        IpAddr::V4(value) => {
            IpAddr::V4(value.to_bits().checked_shr(zero_below(32)).map_or(0, |bits| bits << zero_below(32)).into())
        }
        IpAddr::V6(value) => {
            IpAddr::V6(value.to_bits().checked_shr(zero_below(128)).map_or(0, |bits| bits << zero_below(128)).into())
        }
    };
    address(network, out);
    out.push(b'/');
    number(u64::from(prefix_length), out);
    Written::Text
}

/// Appends the time between two points, in units of so many nanoseconds; negative if the second was first.
pub(super) fn between(start: Option<Duration>, end: Option<Duration>, unit: u32, out: &mut Vec<u8>) -> Written {
    let Some((start, end)) = start.zip(end) else { return Written::Missing };
    if end < start {
        out.push(b'-');
    }
    let units = end.abs_diff(start).as_nanos() / u128::from(unit.max(1));
    number(u64::try_from(units).unwrap_or(u64::MAX), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> Written) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn networks_keep_their_leading_bits() {
        let cases = [
            ("10.1.10.23", 16, "10.1.0.0/16"),
            ("10.1.10.23", 32, "10.1.10.23/32"),
            ("10.1.10.23", 0, "0.0.0.0/0"),
            ("2001:db8:1234:5678:9abc:def0:1234:5678", 64, "2001:db8:1234:5678::/64"),
            ("2001:db8::1", 0, "::/0"),
        ];
        for (text, prefix_length, expected) in cases {
            assert_eq!(written(|out| network(text.parse().unwrap(), prefix_length, out)), expected);
        }
    }

    #[test]
    fn what_others_say_forges_no_lines() {
        let said = "edge b: refused: \r\n[2026] \"GET /\u{85}\u{1b}[2Jä";
        assert_eq!(written(|out| said_by_others(said, out)), "edge b: refused: ??[2026] \"GET /??[2Jä");
        assert_eq!(
            (written(|out| said_by_others("plain", out)), said_by_others("", &mut Vec::new())),
            ("plain".into(), Written::Missing)
        );
    }

    #[test]
    fn times_between_two_points_may_be_negative() {
        let at = |microseconds| Some(Duration::from_micros(microseconds));
        assert_eq!(written(|out| between(at(1000), at(3500), 1_000_000, out)), "2");
        assert_eq!(written(|out| between(at(3500), at(1000), 1_000, out)), "-2500");
        assert_eq!(written(|out| between(at(1), None, 1, out)), "");
    }
}
