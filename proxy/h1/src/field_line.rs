//! One field line of a head as it came over the wire (RFC 9112 5).

use crate::fields::Span;
use crate::name::{Header, lookup};
use crate::scan::{find_byte, find_control, find_in_word, is_token, keep_bytes, trim_ows, two_words};

/// Where one field lies in the bytes of its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name_start: u32,
    pub(crate) value_start: u32,
    pub(crate) value_end: u32,
    pub(crate) name_length: u16,
    pub(crate) header: Header,
    /// [`REMOVED`], [`IRREGULAR`], [`MIXED_CASE`]
    pub(crate) flags: u8,
}

/// The field is no longer part of its head.
pub(crate) const REMOVED: u8 = 1;
/// The bytes from the name on are not exactly `name: value\r\n`, so they cannot be copied as part of a run.
pub(crate) const IRREGULAR: u8 = 2;
/// The name as it came over the wire may hold upper-case letters.
pub(crate) const MIXED_CASE: u8 = 4;

impl Field {
    #[inline(always)]
    pub(crate) fn name(&self) -> Span {
        Span { start: self.name_start, end: self.name_start + u32::from(self.name_length) }
    }

    #[inline(always)]
    pub(crate) fn value(&self) -> Span {
        Span { start: self.value_start, end: self.value_end }
    }

    /// The same field, `distance` bytes further on.
    #[inline(always)]
    pub(crate) fn moved(self, distance: u32) -> Self {
        Self {
            name_start: self.name_start + distance,
            value_start: self.value_start + distance,
            value_end: self.value_end + distance,
            ..self
        }
    }

    #[inline(always)]
    pub(crate) fn is_live(&self) -> bool {
        self.flags & REMOVED == 0
    }
}

/// A line that is no field.
pub(crate) enum NoField {
    /// The empty line, and where the body starts.
    End(usize),
    /// The line is not complete.
    Incomplete,
    Refused(FieldLineError),
}

impl From<FieldLineError> for NoField {
    fn from(error: FieldLineError) -> Self {
        NoField::Refused(error)
    }
}

/// Why a field line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldLineError {
    /// Not a token directly followed by a colon.
    Name,
    /// A control character in the value.
    Value,
    /// The line starts with white space (RFC 9112 5.2, obs-fold).
    Fold,
    BareLineFeed,
    BareCarriageReturn,
    TooLarge,
}

/// Reads the line that starts at `start`: the field and where the next line starts. `input` is no longer than
/// [`crate::MAX_BYTES`], so positions fit 32 bits.
#[inline(always)]
pub(crate) fn parse(input: &[u8], start: usize) -> Result<(Field, usize), NoField> {
    let Some(line) = input.get(start..) else { return Err(NoField::Incomplete) };
    let mut name = match line.first_chunk::<16>().and_then(short_name) {
        // The empty line may be followed by a body that happens to hold a colon.
        Some(name) if name.header != Header::Other || line.first().is_some_and(|first| *first > b' ') => name,
        _ => long_name(line, start)?,
    };
    if name.header == Header::Other {
        name.mixed_case = check_name(line.get(..name.length).unwrap_or_default())?;
    }
    let Some(behind_colon) = line.get(name.length + 1..) else { return Err(NoField::Incomplete) };
    let value = parse_value(behind_colon)?;
    let value_start = start + name.length + 1 + value.start;
    let value_end = value_start + value.length;
    let regular = value.start == 1 && value.blanks_behind == 0;
    let field = Field {
        name_start: start as u32,
        value_start: value_start as u32,
        value_end: value_end as u32,
        name_length: name.length as u16,
        header: name.header,
        flags: (u8::from(!regular) * IRREGULAR) | (u8::from(name.mixed_case) * MIXED_CASE),
    };
    Ok((field, value_end + value.blanks_behind + 2))
}

/// What stands before the colon.
struct Name {
    length: usize,
    header: Header,
    mixed_case: bool,
}

/// A name of up to 15 bytes, which is most of them. A well-known name needs no further check.
#[inline(always)]
fn short_name(line: &[u8; 16]) -> Option<Name> {
    let (first, second) = two_words(line);
    let (length, first, last) = match find_in_word(first, b':') {
        Some(length) => {
            let word = keep_bytes(first, length);
            (length, word, word)
        }
        None => {
            let beyond = find_in_word(second, b':')?;
            let last = (u128::from(second) << 64 | u128::from(first)) >> (beyond * 8);
            (8 + beyond, first, last as u64)
        }
    };
    let (header, mixed_case) = lookup(line.get(..length)?, first, last);
    Some(Name { length, header, mixed_case })
}

/// A longer name, one near the end of the input, or no name at all.
#[inline(never)]
fn long_name(line: &[u8], start: usize) -> Result<Name, NoField> {
    match line {
        [] | [b'\r'] => return Err(NoField::Incomplete),
        [b'\r', b'\n', ..] => return Err(NoField::End(start + 2)),
        [b'\r', ..] => return Err(FieldLineError::BareCarriageReturn.into()),
        [b'\n', ..] => return Err(FieldLineError::BareLineFeed.into()),
        [b' ' | b'\t', ..] => return Err(FieldLineError::Fold.into()),
        _ => {}
    }
    let length = find_byte(line, b':');
    let name = line.get(..length).unwrap_or_default();
    if length == line.len() {
        check_open_name(name)?;
        return Err(NoField::Incomplete);
    }
    if name.len() > usize::from(u16::MAX) {
        return Err(FieldLineError::TooLarge.into());
    }
    Ok(Name { length, header: Header::from_name(name), mixed_case: true })
}

/// Checks a name that is not well known; says whether it holds upper-case letters.
#[inline(never)]
fn check_name(name: &[u8]) -> Result<bool, FieldLineError> {
    let mut mixed_case = false;
    for (at, byte) in name.iter().enumerate() {
        if !is_token(*byte) {
            return Err(refused_name(name, at));
        }
        mixed_case |= byte.is_ascii_uppercase();
    }
    if name.is_empty() { Err(FieldLineError::Name) } else { Ok(mixed_case) }
}

/// Checks a name whose colon has not arrived; the carriage return of a line without colon may be its last byte.
#[cold]
fn check_open_name(name: &[u8]) -> Result<(), FieldLineError> {
    match name.iter().position(|byte| !is_token(*byte)) {
        Some(at) if name.get(at..) != Some(b"\r") => Err(refused_name(name, at)),
        _ => Ok(()),
    }
}

/// Why the byte at `at` cannot stand in a name.
#[cold]
fn refused_name(name: &[u8], at: usize) -> FieldLineError {
    match (name.get(at), name.get(at + 1)) {
        (Some(b'\n'), _) => FieldLineError::BareLineFeed,
        (Some(b'\r'), Some(next)) if *next != b'\n' => FieldLineError::BareCarriageReturn,
        _ => FieldLineError::Name,
    }
}

/// Where a field value lies behind the colon, without the white space around it.
struct Value {
    start: usize,
    length: usize,
    blanks_behind: usize,
}

/// Reads what stands behind a colon. Almost always that is one space, visible bytes and spaces, and the line end.
#[inline(always)]
fn parse_value(line: &[u8]) -> Result<Value, NoField> {
    if let [b' ', value @ ..] = line
        && value.first().is_some_and(|first| *first > b' ')
    {
        let length = find_control(value);
        let ends_visibly = value.get(length.wrapping_sub(1)).is_some_and(|last| *last != b' ');
        if ends_visibly && let Some([b'\r', b'\n']) = value.get(length..length + 2) {
            return Ok(Value { start: 1, length, blanks_behind: 0 });
        }
    }
    parse_unusual_value(line)
}

#[inline(never)]
fn parse_unusual_value(line: &[u8]) -> Result<Value, NoField> {
    let start = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = line.get(start..).unwrap_or_default();
    let mut end = find_control(rest);
    while rest.get(end) == Some(&b'\t') {
        end += 1 + find_control(rest.get(end + 1..).unwrap_or_default());
    }
    let (value, behind) = rest.split_at(end);
    let length = trim_ows(value).len();
    match behind {
        [b'\r', b'\n', ..] => Ok(Value { start, length, blanks_behind: end - length }),
        [] | [b'\r'] => Err(NoField::Incomplete),
        [b'\r', ..] => Err(FieldLineError::BareCarriageReturn.into()),
        [b'\n', ..] => Err(FieldLineError::BareLineFeed.into()),
        _ => Err(FieldLineError::Value.into()),
    }
}
