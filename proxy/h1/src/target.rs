//! The request target (RFC 9112 3.2): its form, its bytes, and where path and authority lie in it.

use crate::fields::Span;
use crate::method::Method;
use crate::path;
use crate::scan::is_authority;

/// The scheme of an absolute-form target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The scheme in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What a target said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    pub(crate) path: Span,
    pub(crate) authority: Option<Span>,
    pub(crate) scheme: Option<Scheme>,
    /// An absolute-form target without a path: the path is `/` and stands nowhere in the target.
    pub(crate) path_missing: bool,
    pub(crate) had_fragment: bool,
    /// Whether the path holds bytes that normalisation may change.
    pub(crate) unusual: bool,
}

/// Reads the target that lies at `start` of the head.
#[inline]
pub(crate) fn parse(method: Method, target: &[u8], start: usize) -> Option<Target> {
    match target {
        [b'/', ..] if method != Method::Connect => origin_form(target, start, Target::default()),
        [] => None,
        [b'*'] if method == Method::Options => Some(Target { path: Span::new(start, start + 1), ..Target::default() }),
        _ if method == Method::Connect => authority_form(target, start),
        _ => absolute_form(target, start),
    }
}

/// A path, an optional query, and a fragment, which is cut off.
#[inline]
pub(crate) fn origin_form(target: &[u8], start: usize, mut parsed: Target) -> Option<Target> {
    let (path, query) = path::split(target);
    let path_classes = classes_of(path);
    let mut end = target.len();
    if path_classes | query.map_or(0, classes_of) >= FRAGMENT {
        end = before_fragment(target)?;
        parsed.had_fragment = true;
    }
    parsed.unusual = path_classes & UNUSUAL != 0 || path_classes & DOT != 0 && has_hidden_segment(path);
    parsed.path = Span::new(start, start + end);
    Some(parsed)
}

/// Whether a segment starts with a dot. Only those can be `.` or `..`: a dot within a name, which the path of every call by gRPC has,
/// is nothing to normalise.
fn has_hidden_segment(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"/.")
}

/// The classes of all bytes together, without a branch per byte.
#[inline]
fn classes_of(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |classes, byte| classes | CLASSES[*byte as usize])
}

/// Where the fragment of a target starts; `None` when there is none, or any byte that no target holds.
#[cold]
fn before_fragment(target: &[u8]) -> Option<usize> {
    let fragment = target.iter().position(|byte| *byte == b'#')?;
    target.iter().all(u8::is_ascii_graphic).then_some(fragment)
}

/// `host:port`, for CONNECT only.
#[cold]
fn authority_form(target: &[u8], start: usize) -> Option<Target> {
    let colon = target.iter().rposition(|byte| *byte == b':')?;
    let (host, port) = target.split_at(colon);
    let port = port.get(1..)?;
    let valid = !host.is_empty() && is_authority(host) && !host.contains(&b'@');
    if !valid || port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Target { authority: Some(Span::new(start, start + target.len())), ..Target::default() })
}

/// `http://host/path`. User information is refused (RFC 9110 4.2.4).
#[cold]
fn absolute_form(target: &[u8], start: usize) -> Option<Target> {
    let scheme_end = target.iter().position(|byte| *byte == b':')?;
    let scheme = match target.get(..scheme_end)? {
        scheme if scheme.eq_ignore_ascii_case(b"http") => Scheme::Http,
        scheme if scheme.eq_ignore_ascii_case(b"https") => Scheme::Https,
        _ => return None,
    };
    let after = target.get(scheme_end..)?.strip_prefix(b"://")?;
    let authority_start = scheme_end + 3;
    let length = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(after.len());
    let authority = after.get(..length)?;
    if authority.is_empty() || authority.starts_with(b":") || !is_authority(authority) || authority.contains(&b'@') {
        return None;
    }
    let path_start = authority_start + length;
    let path = target.get(path_start..)?;
    let parsed = Target {
        authority: Some(Span::new(start + authority_start, start + path_start)),
        scheme: Some(scheme),
        path_missing: !path.starts_with(b"/"),
        ..Target::default()
    };
    origin_form(path, start + path_start, parsed)
}

/// Whether `path` may be sent as a request target: empty, or visible ASCII without a fragment.
pub(crate) fn is_sendable(path: &[u8]) -> bool {
    classes_of(path) < FRAGMENT
}

const UNUSUAL: u8 = 1;
const DOT: u8 = 2;
const FRAGMENT: u8 = 4;
const REFUSED: u8 = 8;

static CLASSES: [u8; 256] = classes();

/// What each byte of a path means. Percents, backslashes and the bytes that normalisation encodes are unusual.
const fn classes() -> [u8; 256] {
    let mut table = [REFUSED; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = match byte as u8 {
            b'#' => FRAGMENT,
            b'.' => DOT,
            b'%' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => UNUSUAL,
            _ => 0,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{EscapedSlashes, PathOptions, PathOutcome, normalize};

    fn is_unusual(path: &[u8]) -> bool {
        origin_form(path, 0, Target::default()).is_some_and(|parsed| parsed.unusual)
    }

    #[test]
    fn what_is_not_unusual_is_not_normalised() {
        const LETTERS: &[u8] = b"/.a;%2e\\";
        const LENGTH: u32 = 5;
        let mut usual = 0;
        for number in 0..LETTERS.len().pow(LENGTH) {
            let mut path = vec![b'/'];
            path.extend((0..LENGTH).map(|at| LETTERS[number / LETTERS.len().pow(at) % LETTERS.len()]));
            if is_unusual(&path) {
                continue;
            }
            usual += 1;
            for escaped_slashes in [EscapedSlashes::Keep, EscapedSlashes::UnescapeAndForward] {
                let options = PathOptions { normalize: true, merge_slashes: false, escaped_slashes };
                let outcome = normalize(&path, &options, &mut Vec::new());
                assert_eq!(outcome, Ok(PathOutcome::Unchanged), "{}", path.escape_ascii());
            }
        }
        assert!(usual > 1000, "{usual}");
    }

    #[test]
    fn only_dots_that_start_a_segment_are_unusual() {
        for path in ["/package.Service/Method", "/a.css", "/a./b.", "/a.?/../b"] {
            assert!(!is_unusual(path.as_bytes()), "{path}");
        }
        for path in ["/.", "/..", "/./a", "/a/../b", "/a/..", "/.hidden", "/a.b/.c", "/..;x/b", "/a%2e"] {
            assert!(is_unusual(path.as_bytes()), "{path}");
        }
    }
}
