//! The Huffman code of strings (RFC 7541 5.2, appendix B).
//!
//! The code is canonical: the codes of one length are consecutive numbers in the order of their symbols. So the lengths say
//! everything.

use crate::hpack::CompressionError;

/// Length in bits of the code of each byte; the last one marks the end of a string and must never appear.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
const SYMBOLS: usize = LENGTHS.len();
/// Codes of up to so many bits are found by one look into [`SHORT`]: those of all bytes that are common in fields.
const SHORT_BITS: u32 = 10;

/// Symbol (low byte) and length (high byte) for each number that starts with a short code; 0 for the others.
static SHORT: [u16; 1 << SHORT_BITS] = short_codes();
/// Of each length: the first code, aligned to the left; the codes of this length end where the next ones begin.
static FIRST_CODES: [u32; LONGEST + 2] = first_codes();
/// How many symbols have shorter codes.
static FIRST_SYMBOLS: [u16; LONGEST + 2] = first_symbols();
/// The symbols in the order of their codes.
static ORDERED: [u16; SYMBOLS] = ordered();

/// Decodes a string and appends it.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    // Bits that were read and not used, aligned to the left; zeros behind them.
    let mut bits = 0u64;
    let mut count = 0u32;
    let mut rest = input;
    loop {
        if count < 32 {
            if let Some((word, behind)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - count);
                count += 32;
                rest = behind;
            } else if let Some((byte, behind)) = rest.split_first() {
                bits |= u64::from(*byte) << (56 - count);
                count += 8;
                rest = behind;
                continue;
            }
        }
        let entry = SHORT[(bits >> (64 - SHORT_BITS)) as usize];
        let (symbol, length) = if entry != 0 { (entry & 0xff, u32::from(entry >> 8)) } else { long_code(bits) };
        if length > count {
            return padding(bits, count);
        }
        if symbol > 0xff {
            return Err(CompressionError("end of string in a Huffman code"));
        }
        out.push(symbol as u8);
        bits <<= length;
        count -= length;
    }
}

/// What is left at the end: fewer than eight bits, all of them ones (RFC 7541 5.2).
#[inline]
fn padding(bits: u64, count: u32) -> Result<(), CompressionError> {
    let ones = count == 0 || bits == u64::MAX << (64 - count);
    if count < 8 && ones { Ok(()) } else { Err(CompressionError("invalid padding of a Huffman code")) }
}

/// Symbol and length of the code that the bits start with.
#[cold]
fn long_code(bits: u64) -> (u16, u32) {
    let prefix = (bits >> 32) as u32;
    let mut length = SHORT_BITS as usize + 1;
    while length < LONGEST && prefix >= FIRST_CODES[length + 1] {
        length += 1;
    }
    let within = (prefix - FIRST_CODES[length]) >> (32 - length);
    let symbol = ORDERED.get(usize::from(FIRST_SYMBOLS[length]) + within as usize);
    // There is no code that is no symbol: the code is complete.
    (symbol.copied().unwrap_or(SYMBOLS as u16 - 1), length as u32)
}

const fn ordered() -> [u16; SYMBOLS] {
    let mut ordered = [0; SYMBOLS];
    let (mut length, mut at) = (1, 0);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                ordered[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    ordered
}

const fn first_symbols() -> [u16; LONGEST + 2] {
    let mut first = [0; LONGEST + 2];
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0;
        let mut symbols = first[length];
        while symbol < SYMBOLS {
            symbols += (LENGTHS[symbol] as usize == length) as u16;
            symbol += 1;
        }
        first[length + 1] = symbols;
        length += 1;
    }
    first
}

const fn first_codes() -> [u32; LONGEST + 2] {
    let symbols = first_symbols();
    let mut first = [0; LONGEST + 2];
    let mut length = 1;
    while length < LONGEST {
        let codes = (symbols[length + 1] - symbols[length]) as u32;
        first[length + 1] = first[length] + (codes << (32 - length));
        length += 1;
    }
    first
}

const fn short_codes() -> [u16; 1 << SHORT_BITS] {
    let (first, symbols, ordered) = (first_codes(), first_symbols(), ordered());
    let mut table = [0; 1 << SHORT_BITS];
    let mut length = 1;
    while length <= SHORT_BITS as usize {
        let mut at = symbols[length];
        while at < symbols[length + 1] {
            let code = (first[length] >> (32 - length)) + (at - symbols[length]) as u32;
            let from = (code << (SHORT_BITS as usize - length)) as usize;
            let mut entry = 0;
            while entry < 1 << (SHORT_BITS as usize - length) {
                table[from + entry] = (length as u16) << 8 | ordered[at as usize];
                entry += 1;
            }
            at += 1;
        }
        length += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of a symbol, aligned to the left, found without the tables of the decoder.
    fn code(symbol: usize) -> (u32, u8) {
        let length = LENGTHS[symbol];
        let before = |other: &usize| (LENGTHS[*other], *other) < (length, symbol);
        let start: u64 = (0..SYMBOLS).filter(before).map(|other| 1u64 << (32 - LENGTHS[other])).sum();
        (u32::try_from(start).unwrap(), length)
    }

    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let (code, length) = code(usize::from(*byte));
            bits += &format!("{code:032b}")[..usize::from(length)];
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap()).collect()
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn the_code_is_that_of_the_rfc() {
        // RFC 7541 appendix B: a few of each length, and the last one.
        for (symbol, bits, length) in [
            (b'0' as usize, 0x0, 5),
            (b't' as usize, 0x9, 5),
            (b' ' as usize, 0x14, 6),
            (b':' as usize, 0x5c, 7),
            (b'z' as usize, 0x7b, 7),
            (b'X' as usize, 0xfc, 8),
            (b'!' as usize, 0x3f8, 10),
            (b'|' as usize, 0x7fc, 11),
            (0, 0x1ff8, 13),
            (b'\\' as usize, 0x7fff0, 19),
            (128, 0xfffe6, 20),
            (255, 0x3ff_ffee, 26),
            (249, 0xfff_fffe, 28),
            (22, 0x3fff_fffe, 30),
            (256, 0x3fff_ffff, 30),
        ] {
            assert_eq!(code(symbol), (bits << (32 - length), length as u8), "symbol {symbol}");
        }
    }

    #[test]
    fn every_string_of_two_bytes_comes_back() {
        for first in 0..=255 {
            for second in 0..=255 {
                assert_eq!(decoded(&encode(&[first, second])), Ok(vec![first, second]));
            }
        }
    }

    #[test]
    fn long_strings_come_back() {
        for length in 0..200 {
            let text: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
            assert_eq!(decoded(&encode(&text)), Ok(text));
        }
    }

    #[test]
    fn wrong_ends_are_refused() {
        // A whole byte of padding, padding of zeros, the end of string, a code that is cut off.
        for input in
            [&[0xff][..], &[0x00], &[0xff, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xfc], &[0xfe], &[0x1f, 0xff]]
        {
            assert!(decoded(input).is_err(), "{input:x?}");
        }
        assert_eq!(decoded(&[]), Ok(Vec::new()));
        assert_eq!(decoded(&[0x07]), Ok(vec![b'0']));
    }
}
