//! Integers (RFC 7541 5.1).

use crate::hpack::CompressionError;

/// What is left of a header block.
pub(super) struct Block<'a>(pub(super) &'a [u8]);

impl<'a> Block<'a> {
    /// Reads an integer whose first byte leaves `prefix` bits for it. What does not fit 32 bits stands for nothing here.
    #[inline]
    pub(super) fn integer(&mut self, prefix: u32) -> Result<usize, CompressionError> {
        let [first, rest @ ..] = self.0 else { return Err(TRUNCATED) };
        self.0 = rest;
        let mask = (1u32 << prefix) - 1;
        let value = u32::from(*first) & mask;
        if value < mask { Ok(value as usize) } else { self.continued(mask) }
    }

    #[cold]
    fn continued(&mut self, start: u32) -> Result<usize, CompressionError> {
        let mut value = u64::from(start);
        for shift in [0, 7, 14, 21, 28] {
            let [next, rest @ ..] = self.0 else { return Err(TRUNCATED) };
            self.0 = rest;
            value += u64::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                return u32::try_from(value).map(|value| value as usize).map_err(|_| TOO_LARGE);
            }
        }
        Err(TOO_LARGE)
    }

    /// Takes so many bytes.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CompressionError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }
}

const TRUNCATED: CompressionError = CompressionError("truncated header block");
const TOO_LARGE: CompressionError = CompressionError("integer of a header block too large");

/// Writes an integer behind the bits of `pattern`, which leave `prefix` bits for it.
#[inline]
pub(super) fn write(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7541 C.1
        for (value, prefix, bytes) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut written = Vec::new();
            write(value, prefix, 0, &mut written);
            assert_eq!(written, bytes);
            assert_eq!(Block(bytes).integer(prefix), Ok(value));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for prefix in 1..=8 {
            for value in (0..10_000).chain([u32::MAX as usize - 300, u32::MAX as usize]) {
                let mut written = Vec::new();
                write(value, prefix, 0, &mut written);
                let mut block = Block(&written);
                assert_eq!(block.integer(prefix), Ok(value));
                assert!(block.0.is_empty());
                assert_eq!(Block(&written[..written.len() - 1]).integer(prefix), Err(TRUNCATED));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Block(&[31, 0xff, 0xff, 0xff, 0xff, 0x0f]).integer(5), Err(TOO_LARGE));
        assert_eq!(Block(&[31, 0x80, 0x80, 0x80, 0x80, 0x80, 0]).integer(5), Err(TOO_LARGE));
        assert_eq!(Block(&[31, 0xe0, 0xff, 0xff, 0xff, 0x0f]).integer(5), Ok(u32::MAX as usize));
    }
}
