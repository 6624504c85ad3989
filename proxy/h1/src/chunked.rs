//! The chunked transfer coding (RFC 9112 7.1). Chunk extensions and trailers are checked and dropped.

use crate::body::{BodyError, Decoded};
use crate::scan::{hex_digit, is_token};

/// Bytes of chunk extensions in one body.
pub const MAX_EXTENSION_BYTES: u32 = 16 << 10;

/// Trailer fields of one body.
pub const MAX_TRAILERS: u16 = 100;

/// Bytes of the trailer section of one body.
pub const MAX_TRAILER_BYTES: u32 = 60 << 10;

/// More digits do not fit 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;

/// What ends a chunked body that has no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the size line of a chunk. `size` must not be 0: that would end the body.
#[inline]
pub fn write_chunk_start(size: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(DIGITS[size >> (digit * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole chunk; nothing when there is no data.
#[inline]
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        write_chunk_start(data.len(), out);
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}

/// Decodes one chunked body.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Bytes left of the current chunk, or its size as far as it is read.
    size: u64,
    size_digits: u8,
    trailers: u16,
    extension_bytes: u32,
    trailer_bytes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataCarriageReturn,
    DataLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    EndLineFeed,
}

impl ChunkedDecoder {
    /// Decodes up to and including the first run of data, or all of the input, or the end of the body.
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        let mut at = 0;
        while let Some(byte) = input.get(at) {
            if self.state == State::Data {
                return Ok(self.data(input, at));
            }
            at += 1;
            if self.framing_byte(*byte)? {
                return Ok(Decoded { consumed: at, data: at..at, complete: true });
            }
        }
        Ok(Decoded { consumed: at, data: at..at, complete: false })
    }

    /// A run of chunk data that starts at `start`, and the line end behind it where that is at hand.
    fn data(&mut self, input: &[u8], start: usize) -> Decoded {
        let available = input.len() - start;
        let taken = usize::try_from(self.size).unwrap_or(usize::MAX).min(available);
        let end = start + taken;
        self.size -= taken as u64;
        let mut consumed = end;
        if self.size == 0 {
            self.state = State::DataCarriageReturn;
            if input.get(end..).is_some_and(|rest| rest.starts_with(CHUNK_END)) {
                self.start_chunk();
                consumed += CHUNK_END.len();
            }
        }
        Decoded { consumed, data: start..end, complete: false }
    }

    /// One byte that is not data; `true` when it ends the body.
    #[inline]
    fn framing_byte(&mut self, byte: u8) -> Result<bool, BodyError> {
        match self.state {
            State::Size => self.size_byte(byte)?,
            State::Extension => self.extension_byte(byte)?,
            State::SizeLineFeed => {
                expect(byte, b'\n')?;
                self.state = if self.size == 0 { State::TrailerStart } else { State::Data };
            }
            State::Data | State::DataCarriageReturn => {
                expect(byte, b'\r')?;
                self.state = State::DataLineFeed;
            }
            State::DataLineFeed => {
                expect(byte, b'\n')?;
                self.start_chunk();
            }
            State::EndLineFeed => {
                expect(byte, b'\n')?;
                return Ok(true);
            }
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLineFeed => {
                self.trailer_byte(byte)?;
            }
        }
        Ok(false)
    }

    fn start_chunk(&mut self) {
        self.state = State::Size;
        self.size = 0;
        self.size_digits = 0;
    }

    #[inline]
    fn size_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        match byte {
            b'\r' if self.size_digits > 0 => self.state = State::SizeLineFeed,
            b';' if self.size_digits > 0 => self.state = State::Extension,
            _ => {
                let digit = hex_digit(byte).filter(|_| self.size_digits < MAX_SIZE_DIGITS);
                self.size = self.size << 4 | u64::from(digit.ok_or(BodyError::ChunkSize)?);
                self.size_digits += 1;
            }
        }
        Ok(())
    }

    fn extension_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.extension_bytes += 1;
        match byte {
            _ if self.extension_bytes > MAX_EXTENSION_BYTES => return Err(BodyError::ExtensionsTooLarge),
            b'\r' => self.state = State::SizeLineFeed,
            byte if is_value_byte(byte) => {}
            _ => return Err(BodyError::ChunkExtension),
        }
        Ok(())
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(BodyError::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => self.state = State::EndLineFeed,
            (State::TrailerStart, byte) if is_token(byte) => self.start_trailer()?,
            (State::TrailerName, b':') => self.state = State::TrailerValue,
            (State::TrailerName, byte) if is_token(byte) => {}
            (State::TrailerValue, b'\r') => self.state = State::TrailerLineFeed,
            (State::TrailerValue, byte) if is_value_byte(byte) => {}
            (State::TrailerLineFeed, b'\n') => self.state = State::TrailerStart,
            (State::TrailerLineFeed, _) => return Err(BodyError::LineEnd),
            _ => return Err(BodyError::Trailer),
        }
        Ok(())
    }

    fn start_trailer(&mut self) -> Result<(), BodyError> {
        self.trailers += 1;
        self.state = State::TrailerName;
        if self.trailers > MAX_TRAILERS { Err(BodyError::TrailersTooLarge) } else { Ok(()) }
    }
}

#[inline]
fn expect(byte: u8, wanted: u8) -> Result<(), BodyError> {
    if byte == wanted { Ok(()) } else { Err(BodyError::LineEnd) }
}

/// Anything but a control character, tab excepted.
#[inline]
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
