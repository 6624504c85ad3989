//! Finding a well-known name without comparing strings: by its first and last eight bytes and its length.

use crate::name::Header;
use crate::scan::word_at;

/// The well-known name equal to `name` ignoring ASCII case, or [`Header::Other`].
#[inline]
pub(crate) fn by_name(name: &[u8]) -> Header {
    let length = name.len();
    if length == 0 || length > LONGEST {
        return Header::Other;
    }
    let first = word_at(name, 0).unwrap_or_else(|| short_word(name));
    let last = if length < 8 { first } else { word_at(name, length - 8).unwrap_or(0) };
    lookup(name, first, last).0
}

/// Finds a name by its length and its first and last eight bytes (of a shorter name: the whole of it twice, filled up
/// with zeros). Says also whether the name may hold upper-case letters.
#[inline(always)]
pub(crate) fn lookup(name: &[u8], first: u64, last: u64) -> (Header, bool) {
    let mut slot = hash(first, last, name.len());
    loop {
        let index = SLOTS[slot % SLOT_COUNT];
        if index == Header::Other as u8 {
            return (Header::Other, true);
        }
        let key = &KEYS[usize::from(index) % KEYS.len()];
        let (first_case, last_case) = (first ^ key.first, last ^ key.last);
        if (first_case & key.first_exact) | (last_case & key.last_exact) == 0
            && usize::from(key.length) == name.len()
            && (name.len() <= 16 || middle_matches(name, key.header))
        {
            return (key.header, first_case | last_case != 0 || name.len() > 16);
        }
        slot += 1;
    }
}

/// Names of up to sixteen bytes are covered by their two words; longer ones are compared between them.
#[inline(never)]
fn middle_matches(name: &[u8], header: Header) -> bool {
    let known = header.as_str().as_bytes();
    match (name.get(8..name.len() - 8), known.get(8..known.len().saturating_sub(8))) {
        // Most are in lower case, which is seen faster.
        (Some(name), Some(known)) => name == known || name.eq_ignore_ascii_case(known),
        _ => false,
    }
}

/// The bytes of a name shorter than eight.
#[inline]
fn short_word(name: &[u8]) -> u64 {
    let mut bytes = [0u8; 8];
    for (to, from) in bytes.iter_mut().zip(name) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// Writes a well-known name in lower case over the same name in any case, which starts `bytes`.
#[inline(always)]
pub(crate) fn write_lower(header: Header, bytes: &mut [u8]) {
    let key = &KEYS[header as usize % KEYS.len()];
    let length = usize::from(key.length);
    match (bytes.first_chunk_mut::<8>(), length) {
        (Some(word), 0..8) => {
            let behind = u64::from_le_bytes(*word) & (u64::MAX << (length * 8));
            *word = (key.first | behind).to_le_bytes();
        }
        (Some(word), 8..=16) => {
            *word = key.first.to_le_bytes();
            if let Some(last) = bytes.get_mut(length - 8..).and_then(|end| end.first_chunk_mut::<8>()) {
                *last = key.last.to_le_bytes();
            }
        }
        _ => bytes.iter_mut().take(length).for_each(|byte| byte.make_ascii_lowercase()),
    }
}

#[derive(Clone, Copy)]
struct Key {
    first: u64,
    last: u64,
    /// All bits but the case bits of letters.
    first_exact: u64,
    last_exact: u64,
    length: u8,
    header: Header,
}

/// No well-known name is longer.
const LONGEST: usize = 40;
const SLOT_COUNT: usize = 512;
/// One per well-known name; filled up to a power of two so that indexing needs no check.
static KEYS: [Key; 128] = keys();
/// Indices of keys at the places where their hash leads. A free slot, marked by [`Header::Other`], ends a search.
static SLOTS: [u8; SLOT_COUNT] = slots();

/// Setting this bit lower-cases a letter. Other bytes may collide with letters, which only costs a comparison.
const CASE_BITS: u64 = 0x2020_2020_2020_2020;

#[inline(always)]
const fn hash(first: u64, last: u64, length: usize) -> usize {
    let mixed = (first | CASE_BITS) ^ (last | CASE_BITS).rotate_left(29) ^ (length as u64) << 17;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}

/// The case bits of those bytes of a well-known name that are letters; the others are `-` and digits, below 0x40.
#[inline(always)]
const fn letters(word: u64) -> u64 {
    word >> 1 & CASE_BITS
}

const fn keys() -> [Key; 128] {
    let free = Key { first: 0, last: 0, first_exact: 0, last_exact: 0, length: 0, header: Header::Other };
    let mut keys = [free; 128];
    let mut index = 0;
    while index < Header::ALL.len() {
        let header = Header::ALL[index];
        let name = header.as_str().as_bytes();
        assert!(name.len() <= LONGEST);
        let start = if name.len() < 8 { 0 } else { name.len() - 8 };
        let (first, last) = (word_from(name, 0), word_from(name, start));
        let (first_exact, last_exact) = (!letters(first), !letters(last));
        keys[index] = Key { first, last, first_exact, last_exact, length: name.len() as u8, header };
        index += 1;
    }
    keys
}

const fn word_from(name: &[u8], start: usize) -> u64 {
    let mut word = 0;
    let mut at = 0;
    while at < 8 && start + at < name.len() {
        let byte = name[start + at];
        assert!(byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        word |= (byte as u64) << (at * 8);
        at += 1;
    }
    word
}

const fn slots() -> [u8; SLOT_COUNT] {
    assert!(Header::ALL.len() < 128, "a HeaderSet has 128 bits");
    let keys = keys();
    let mut slots = [Header::Other as u8; SLOT_COUNT];
    let mut index = 0;
    while index < Header::ALL.len() {
        let mut slot = hash(keys[index].first, keys[index].last, keys[index].length as usize);
        while slots[slot % SLOT_COUNT] != Header::Other as u8 {
            slot += 1;
        }
        slots[slot % SLOT_COUNT] = index as u8;
        index += 1;
    }
    slots
}
