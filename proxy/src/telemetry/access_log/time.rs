//! Points in time in log lines (`%START_TIME(format)%`): the conversions of strftime, and Envoy's `%3f` and the like.

use std::time::Duration;

use crate::worker::clock::Civil;

const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// Appends a point in time, UTC. An empty format stands for `%Y-%m-%dT%H:%M:%S.%3fZ`.
pub(super) fn put(since_epoch: Duration, format: &str, out: &mut Vec<u8>) {
    let civil = Civil::from_unix(since_epoch.as_secs());
    if format.is_empty() && civil.year <= 9999 {
        put_default(civil, since_epoch.subsec_millis(), out);
        return;
    }
    let format = if format.is_empty() { DEFAULT } else { format };
    let mut rest = format.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let Some((&conversion, after)) = rest.split_first() else {
            out.push(b'%');
            return;
        };
        rest = after;
        match (conversion, rest.split_first()) {
            (digit @ b'1'..=b'9', Some((b'f', after))) => {
                rest = after;
                put_fraction(since_epoch, usize::from(digit - b'0'), out);
            }
            _ => put_conversion(conversion, civil, since_epoch, out),
        }
    }
}

/// As [`DEFAULT`], in a year of four digits. Lines in Istio's own format begin so, and going through the conversions is a fifth of what
/// such a line costs.
fn put_default(civil: Civil, milliseconds: u32, out: &mut Vec<u8>) {
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let (century, year) = ((civil.year / 100) as u8, (civil.year % 100) as u8);
    let hundredths = (milliseconds / 10) as u8;
    for (at, value) in [
        (0, century),
        (2, year),
        (5, civil.month),
        (8, civil.day),
        (11, civil.hour),
        (14, civil.minute),
        (17, civil.second),
        (20, hundredths),
    ] {
        text[at] = b'0' + value / 10;
        text[at + 1] = b'0' + value % 10;
    }
    text[22] = b'0' + (milliseconds % 10) as u8;
    out.extend_from_slice(&text);
}

fn put_conversion(conversion: u8, civil: Civil, since_epoch: Duration, out: &mut Vec<u8>) {
    match conversion {
        b'Y' => put_padded(civil.year, 4, out),
        b'y' => put_padded(civil.year % 100, 2, out),
        b'm' => put_padded(u64::from(civil.month), 2, out),
        b'd' => put_padded(u64::from(civil.day), 2, out),
        b'H' => put_padded(u64::from(civil.hour), 2, out),
        b'M' => put_padded(u64::from(civil.minute), 2, out),
        b'S' => put_padded(u64::from(civil.second), 2, out),
        b'j' => put_padded(u64::from(civil.day_of_year), 3, out),
        b'a' => out.extend_from_slice(civil.weekday_name().as_bytes()),
        b'b' | b'h' => out.extend_from_slice(civil.month_name().as_bytes()),
        b's' => put_padded(since_epoch.as_secs(), 1, out),
        b'f' => put_fraction(since_epoch, 9, out),
        b'z' => out.extend_from_slice(b"+0000"),
        b'Z' => out.extend_from_slice(b"UTC"),
        b'F' => {
            put_padded(civil.year, 4, out);
            out.push(b'-');
            put_padded(u64::from(civil.month), 2, out);
            out.push(b'-');
            put_padded(u64::from(civil.day), 2, out);
        }
        b'T' => {
            put_padded(u64::from(civil.hour), 2, out);
            out.push(b':');
            put_padded(u64::from(civil.minute), 2, out);
            out.push(b':');
            put_padded(u64::from(civil.second), 2, out);
        }
        b'%' => out.push(b'%'),
        other => out.extend_from_slice(&[b'%', other]),
    }
}

fn put_fraction(since_epoch: Duration, digits: usize, out: &mut Vec<u8>) {
    let divisor = 10u32.pow(9u32.saturating_sub(digits as u32));
    put_padded(u64::from(since_epoch.subsec_nanos() / divisor), digits, out);
}

fn put_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value).as_bytes();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_come_out_as_envoy_writes_them() {
        let at = Duration::new(1_709_164_805, 123_456_789);
        for (format, expected) in [
            ("", "2024-02-29T00:00:05.123Z"),
            (DEFAULT, "2024-02-29T00:00:05.123Z"),
            ("%s.%6f", "1709164805.123456"),
            ("%a, %d %b %y %j %%", "Thu, 29 Feb 24 060 %"),
            ("%F %T%f", "2024-02-29 00:00:05123456789"),
            ("%Q%", "%Q%"),
        ] {
            let mut out = Vec::new();
            put(at, format, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn the_default_is_what_its_conversions_make() {
        // The first moment, the last ones of a year of four digits, and one behind them.
        for (seconds, milliseconds) in
            [(0, 0), (951_782_400, 7), (1_735_689_599, 999), (253_402_300_799, 40), (253_402_300_800, 5)]
        {
            let at = Duration::new(seconds, milliseconds * 1_000_000 + 999_999);
            let (mut short, mut long) = (Vec::new(), Vec::new());
            put(at, "", &mut short);
            put(at, DEFAULT, &mut long);
            assert_eq!(String::from_utf8(short).unwrap(), String::from_utf8(long).unwrap());
        }
    }
}
