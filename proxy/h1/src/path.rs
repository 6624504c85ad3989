//! Path normalisation as Envoy's connection manager does it, before routing and authorization see the path.
//!
//! The rules are those of Chromium's URL canonicaliser, which Envoy uses for `normalize_path`, and of Envoy's
//! `merge_slashes` and `path_with_escaped_slashes_action`. Only the path changes, never the query.

use crate::scan::hex_digit;

/// What to normalise. [`PathOptions::default`] does nothing but refuse `%00`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathOptions {
    /// Resolve dot segments, turn `\` into `/`, decode unreserved bytes, encode bytes that no path may hold
    /// (Envoy `normalize_path`).
    pub normalize: bool,
    /// Make one slash of several (Envoy `merge_slashes`).
    pub merge_slashes: bool,
    /// What to do about `%2F` and `%5C` (Envoy `path_with_escaped_slashes_action`).
    pub escaped_slashes: EscapedSlashes,
}

/// What to do about `%2F` and `%5C` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// They stay (`KEEP_UNCHANGED`).
    #[default]
    Keep,
    /// The request is refused (`REJECT_REQUEST`).
    Reject,
    /// They are decoded and the client is redirected there (`UNESCAPE_AND_REDIRECT`).
    UnescapeAndRedirect,
    /// They are decoded and the request goes on (`UNESCAPE_AND_FORWARD`).
    UnescapeAndForward,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathOutcome {
    /// It is as it should be.
    Unchanged,
    /// Use the new one.
    Changed,
    /// Answer 307 with the new one as location; for gRPC, which follows no redirects, 400.
    Redirect,
}

/// Why a path is refused: answer 400 with the details `path_normalization_failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// `%00`, whatever the options: no path means it, and C programs stop reading there.
    Nul,
    /// An escaped slash where these are refused.
    EscapedSlash,
}

impl PathError {
    /// The status of the answer.
    pub const fn status(self) -> u16 {
        400
    }

    /// The response code details, in Envoy's words.
    pub const fn detail(self) -> &'static str {
        "path_normalization_failed"
    }
}

impl std::fmt::Display for PathError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            PathError::Nul => "the path holds %00",
            PathError::EscapedSlash => "the path holds an escaped slash",
        })
    }
}

impl std::error::Error for PathError {}

/// Path, and query without its question mark.
#[inline]
pub fn split(path_and_query: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', path_and_query) {
        Some(at) => (path_and_query.get(..at).unwrap_or_default(), path_and_query.get(at + 1..)),
        None => (path_and_query, None),
    }
}

/// Normalises `path_and_query` into `out` (its former content is lost). A target that is no path (`*`) stays.
pub fn normalize(path_and_query: &[u8], options: &PathOptions, out: &mut Vec<u8>) -> Result<PathOutcome, PathError> {
    let (path, _) = split(path_and_query);
    if memchr::memmem::find(path, b"%00").is_some() {
        return Err(PathError::Nul);
    }
    if !path.starts_with(b"/") {
        return Ok(PathOutcome::Unchanged);
    }
    out.clear();
    out.extend_from_slice(path);
    let unescaped = options.escaped_slashes != EscapedSlashes::Keep && unescape_slashes(out);
    if unescaped && options.escaped_slashes == EscapedSlashes::Reject {
        return Err(PathError::EscapedSlash);
    }
    if options.normalize {
        canonicalize(out);
    }
    if options.merge_slashes {
        merge_slashes(out);
    }
    out.extend_from_slice(path_and_query.get(path.len()..).unwrap_or_default());
    Ok(match () {
        () if unescaped && options.escaped_slashes == EscapedSlashes::UnescapeAndRedirect => PathOutcome::Redirect,
        () if out.as_slice() == path_and_query => PathOutcome::Unchanged,
        () => PathOutcome::Changed,
    })
}

/// Decodes `%2F` and `%5C`; says whether there was one.
fn unescape_slashes(path: &mut Vec<u8>) -> bool {
    let (mut read, mut write) = (0, 0);
    while read < path.len() {
        let slash = match path.get(read..read + 3) {
            Some([b'%', b'2', b'f' | b'F']) => Some(b'/'),
            Some([b'%', b'5', b'c' | b'C']) => Some(b'\\'),
            _ => None,
        };
        path[write] = slash.unwrap_or(path[read]);
        read += if slash.is_some() { 3 } else { 1 };
        write += 1;
    }
    let found = write < path.len();
    path.truncate(write);
    found
}

/// Makes one slash of several. As in Envoy, a path of slashes only becomes two.
fn merge_slashes(path: &mut Vec<u8>) {
    let only_slashes = path.len() > 1 && path.iter().all(|byte| *byte == b'/');
    path.dedup_by(|next, kept| *next == b'/' && *kept == b'/');
    if only_slashes {
        path.push(b'/');
    }
}

/// Rewrites the path in `buffer`: the new one grows behind the old one, which is then dropped.
fn canonicalize(buffer: &mut Vec<u8>) {
    let mut canonicalizer = Canonicalizer { length: buffer.len(), buffer, lone_percent: None };
    let mut at = 0;
    while at < canonicalizer.length {
        at = canonicalizer.step(at);
    }
    let length = canonicalizer.length;
    buffer.drain(..length);
}

struct Canonicalizer<'a> {
    /// The old path, then the new one.
    buffer: &'a mut Vec<u8>,
    /// Length of the old path.
    length: usize,
    /// Where in the buffer a `%` was written that started no valid escape.
    lone_percent: Option<usize>,
}

/// What a dot after a slash turns out to be, and where the rest of the path starts.
enum Dots {
    Name,
    Here(usize),
    Up(usize),
}

impl Canonicalizer<'_> {
    /// Handles what stands at `at` of the old path and returns where the next thing starts.
    fn step(&mut self, at: usize) -> usize {
        if let Some(after) = self.dot(at) {
            return self.dots(after);
        }
        match self.buffer[at] {
            b'\\' => self.buffer.push(b'/'),
            b'%' => return self.percent(at),
            byte if is_encoded(byte) => self.encode(byte),
            byte => self.buffer.push(byte),
        }
        at + 1
    }

    /// A dot was read up to `after`.
    fn dots(&mut self, after: usize) -> usize {
        let follows_slash = self.buffer.len() > self.length && self.buffer.last() == Some(&b'/');
        match if follows_slash { self.classify(after) } else { Dots::Name } {
            Dots::Name => {
                self.buffer.push(b'.');
                after
            }
            Dots::Here(next) => next,
            Dots::Up(next) => {
                self.up();
                next
            }
        }
    }

    fn classify(&self, after: usize) -> Dots {
        if let Some(next) = self.segment_end(after) {
            return Dots::Here(next);
        }
        match self.dot(after).and_then(|after_second| self.segment_end(after_second)) {
            Some(next) => Dots::Up(next),
            None => Dots::Name,
        }
    }

    /// Where the next segment starts if this one ends at `at`. Parameters (`;x=y`) do not hide a dot segment.
    fn segment_end(&self, at: usize) -> Option<usize> {
        let rest = self.buffer.get(at..self.length).unwrap_or_default();
        match rest.first() {
            None => Some(self.length),
            Some(b'/' | b'\\') => Some(at + 1),
            Some(b';') => {
                let slash = rest.iter().position(|byte| matches!(byte, b'/' | b'\\'));
                Some(slash.map_or(self.length, |slash| at + slash + 1))
            }
            Some(_) => None,
        }
    }

    /// If a dot, plain or escaped, stands at `at`: where it ends.
    fn dot(&self, at: usize) -> Option<usize> {
        match self.buffer.get(at..self.length)? {
            [b'.', ..] => Some(at + 1),
            [b'%', b'2', b'e' | b'E', ..] => Some(at + 3),
            _ => None,
        }
    }

    /// Drops the last segment of the new path, which ends with a slash.
    fn up(&mut self) {
        let path = self.buffer.get(self.length..self.buffer.len() - 1).unwrap_or_default();
        if let Some(slash) = memchr::memrchr(b'/', path) {
            self.buffer.truncate(self.length + slash + 1);
        }
    }

    /// A percent sign: an escape of an unreserved byte is decoded, any other escape and a lone sign stay as they are.
    fn percent(&mut self, at: usize) -> usize {
        let digits = match self.buffer.get(at + 1..self.length) {
            Some([high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        let Some((high, low)) = digits else {
            self.lone_percent = Some(self.buffer.len());
            self.buffer.push(b'%');
            return at + 1;
        };
        let byte = high << 4 | low;
        if is_unreserved(byte) {
            self.buffer.push(byte);
            self.keep_percent_alone(at + 3);
        } else {
            self.buffer.extend_from_within(at..at + 3);
        }
        at + 3
    }

    /// A byte was decoded. If it makes an escape of a lone percent sign before it, that sign is encoded, so that nobody
    /// can decode the path once more and find something else in it. `next` is what follows in the old path.
    fn keep_percent_alone(&mut self, next: usize) {
        let Some(percent) = self.lone_percent else { return };
        let digits = match self.buffer.get(percent + 1..).unwrap_or_default() {
            [first] => (Some(*first), self.buffer.get(next..self.length).and_then(|rest| rest.first().copied())),
            [first, second] => (Some(*first), Some(*second)),
            _ => (None, None),
        };
        if let (Some(first), Some(second)) = digits
            && hex_digit(first).is_some()
            && hex_digit(second).is_some()
        {
            self.buffer.splice(percent + 1..percent + 1, *b"25");
            self.lone_percent = None;
        }
    }

    fn encode(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.buffer.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Bytes that no path holds unencoded, as Chromium has it.
const fn is_encoded(byte: u8) -> bool {
    byte <= b' ' || byte >= 0x7f || matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// RFC 3986 2.3, but the dot, which is handled before.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

#[cfg(test)]
mod tests;
