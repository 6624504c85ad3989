//! Integers of one, two, four or eight bytes; the first two bits say which (RFC 9000 section 16).

/// The largest that can be written.
pub const MAX: u64 = (1 << 62) - 1;

/// Appends `value` in as few bytes as it takes. What is above [`MAX`] is written as [`MAX`].
pub fn put(out: &mut Vec<u8>, value: u64) {
    let value = value.min(MAX);
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// How many bytes [`put`] takes.
pub fn length(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// The integer at the beginning, and what is behind it; `None` if it is cut off.
pub fn take(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, _) = bytes.split_first()?;
    let length = 1 << (first >> 6);
    let (integer, rest) = bytes.split_at_checked(length)?;
    let value = integer.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Some((value & (u64::MAX >> (66 - 8 * length)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        let examples: [(&[u8], u64); 4] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ];
        for (bytes, value) in examples {
            assert_eq!(take(bytes), Some((value, &[][..])));
            let mut written = Vec::new();
            put(&mut written, value);
            assert_eq!((written.as_slice(), length(value)), (bytes, bytes.len()));
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_not() {
        for bits in 0..=62 {
            for value in [1_u64 << bits, (1 << bits) - 1] {
                let value = value.min(MAX);
                let mut bytes = Vec::new();
                put(&mut bytes, value);
                assert_eq!(bytes.len(), length(value));
                assert_eq!(take(&bytes[..bytes.len() - 1]), None);
                bytes.push(7);
                assert_eq!(take(&bytes), Some((value, &[7][..])));
            }
        }
    }
}
