//! Byte classes and word-at-a-time scanning.
//!
//! Heads are short, so the loops here work on eight bytes in a plain `u64`: no set-up cost, no platform code.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The eight bytes of `bytes` at `at`, little endian, or `None` when fewer are left.
#[inline(always)]
pub(crate) fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The first `length` (below eight) bytes of a word, the rest zero.
#[inline(always)]
pub(crate) const fn keep_bytes(word: u64, length: usize) -> u64 {
    word & !(u64::MAX << (length * 8 % 64))
}

/// Sixteen bytes as two words, little endian.
#[inline(always)]
pub(crate) fn two_words(bytes: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*bytes);
    (both as u64, (both >> 64) as u64)
}

/// Index of the first `wanted` among eight bytes.
#[inline(always)]
pub(crate) fn find_in_word(word: u64, wanted: u8) -> Option<usize> {
    let found = zero_bytes(word ^ (LOW_BITS * wanted as u64));
    if found == 0 { None } else { Some(first_byte(found)) }
}

/// Index of the first `wanted`, or the length of `bytes`.
#[inline]
pub(crate) fn find_byte(bytes: &[u8], wanted: u8) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if let Some(within) = find_in_word(u64::from_le_bytes(*word), wanted) {
            return index * 8 + within;
        }
    }
    let within = tail.iter().position(|byte| *byte == wanted);
    bytes.len() - tail.len() + within.unwrap_or(tail.len())
}

/// Index of the first control byte (below 0x20, tab included, or 0x7f), or the length of `bytes`.
#[inline(always)]
pub(crate) fn find_control(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + first_byte(found);
        }
    }
    find_control_in_tail(bytes, tail.len())
}

/// Searches the last `left` (below eight) bytes.
#[inline]
fn find_control_in_tail(bytes: &[u8], left: usize) -> usize {
    let start = bytes.len() - left;
    match bytes.last_chunk::<8>() {
        // The last word, shifted: the zeros behind the end count as controls, which makes the search stop there.
        Some(last) if left > 0 => start + first_byte(controls(u64::from_le_bytes(*last) >> (8 * (8 - left)))),
        Some(_) => start,
        None => bytes.iter().position(u8::is_ascii_control).unwrap_or(left),
    }
}

/// Marks the control bytes of a word; as [`zero_bytes`], exact up to the first.
#[inline(always)]
const fn controls(word: u64) -> u64 {
    let below_space = word.wrapping_sub(LOW_BITS * 0x20);
    let delete = (word ^ (LOW_BITS * 0x7f)).wrapping_sub(LOW_BITS);
    (below_space | delete) & !word & HIGH_BITS
}

/// Marks the zero bytes of a word by their high bit. Bytes above the first marked one may be marked wrongly.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

#[inline(always)]
const fn first_byte(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// Whether a byte may stand in a field name (RFC 9110 5.6.2, `tchar`).
#[inline(always)]
pub(crate) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether every byte may stand in a field value: no control but tab (RFC 9110 5.5).
#[inline]
pub(crate) fn is_field_value(mut value: &[u8]) -> bool {
    loop {
        match value.get(find_control(value)..) {
            Some([b'\t', rest @ ..]) => value = rest,
            rest => return rest.is_none_or(<[u8]>::is_empty),
        }
    }
}

/// Whether every byte may stand in an authority (RFC 3986 3.2 without percent checks, as Envoy's `authorityIsValid`).
#[inline]
pub(crate) fn is_authority(value: &[u8]) -> bool {
    // Without a branch per byte: almost every authority is fine.
    value.iter().fold(0, |refused, byte| refused | NOT_AUTHORITY[*byte as usize]) == 0
}

/// The value without leading and trailing spaces and tabs (RFC 9110 5.6.3, `OWS`).
#[inline]
pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The non-empty, trimmed elements of a comma-separated list (RFC 9110 5.6.1).
#[inline]
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// The number a hexadecimal digit stands for.
#[inline(always)]
pub(crate) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

static TOKEN: [bool; 256] = class(b"!#$%&'*+-.^_`|~");
static NOT_AUTHORITY: [u8; 256] = others(&class(b"-._~%!$&'()*+,;=:@[]"));

/// ASCII letters, digits and `others`.
const fn class(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// 1 for each byte that is not in a class.
const fn others(class: &[bool; 256]) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = !class[byte] as u8;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_bytes() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut bytes = [b'x'; 8];
                bytes[at] = byte;
                let control = byte < 0x20 || byte == 0x7f;
                assert_eq!(find_control(&bytes), if control { at } else { 8 }, "byte {byte:#x} at {at}");
                assert_eq!(find_byte(&bytes, byte), if byte == b'x' { 0 } else { at });
            }
        }
    }

    #[test]
    fn searches_reach_every_tail() {
        for length in 0..40 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(find_control(&bytes), length);
            assert_eq!(find_byte(&bytes, b':'), length);
            for at in 0..length {
                bytes[at] = b'\r';
                assert_eq!(find_control(&bytes), at);
                assert_eq!(find_byte(&bytes, b'\r'), at);
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn lists_skip_empty_elements() {
        let elements: Vec<&[u8]> = list_elements(b" a,, b\t, ,c").collect();
        assert_eq!(elements, [&b"a"[..], b"b", b"c"]);
    }
}
