//! Path conditions (`RouteMatch.path_specifier`).

use xds_model::matcher::FullRegex;
use xds_model::route::PathMatch;

/// The condition of a route on the path.
#[derive(Debug, PartialEq)]
pub struct PathMatcher {
    pub(crate) kind: PathKind,
    pub(crate) case_sensitive: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum PathKind {
    Prefix(Box<str>),
    Exact(Box<str>),
    SeparatedPrefix(Box<str>),
    Regex(Box<FullRegex>),
    /// Only a CONNECT request has no path.
    Connect,
}

impl PathMatcher {
    pub(crate) fn new(matches: &PathMatch, case_sensitive: bool) -> Self {
        let kind = match matches {
            PathMatch::Prefix(prefix) => PathKind::Prefix(prefix.as_str().into()),
            PathMatch::Exact(path) => PathKind::Exact(path.as_str().into()),
            PathMatch::PathSeparatedPrefix(prefix) => PathKind::SeparatedPrefix(prefix.as_str().into()),
            PathMatch::Regex(regex) => PathKind::Regex(Box::new(regex.clone())),
            PathMatch::Connect => PathKind::Connect,
        };
        Self { kind, case_sensitive }
    }

    /// Whether `path`, without query, satisfies the condition. That of a CONNECT request is empty.
    pub fn matches(&self, path: &[u8]) -> bool {
        if path.is_empty() {
            return self.kind == PathKind::Connect;
        }
        match &self.kind {
            PathKind::Connect => false,
            PathKind::Prefix(prefix) => self.starts_with(path, prefix.as_bytes()),
            PathKind::Exact(expected) => path.len() == expected.len() && self.starts_with(path, expected.as_bytes()),
            PathKind::SeparatedPrefix(prefix) => {
                self.starts_with(path, prefix.as_bytes()) && matches!(path.get(prefix.len()), None | Some(b'/'))
            }
            PathKind::Regex(regex) => regex.is_match(path),
        }
    }

    /// How much of a matching `path`, without query, counts as the matched part that a prefix rewrite replaces.
    pub(crate) fn matched_length(&self, path: &[u8]) -> usize {
        match &self.kind {
            PathKind::Prefix(prefix) | PathKind::SeparatedPrefix(prefix) => prefix.len().min(path.len()),
            PathKind::Exact(_) | PathKind::Regex(_) | PathKind::Connect => path.len(),
        }
    }

    /// The text a matching path must start with, byte for byte.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match &self.kind {
            PathKind::Prefix(text) | PathKind::Exact(text) | PathKind::SeparatedPrefix(text) if self.case_sensitive => {
                Some(text.as_bytes())
            }
            _ => None,
        }
    }

    fn starts_with(&self, path: &[u8], prefix: &[u8]) -> bool {
        path.get(..prefix.len())
            .is_some_and(|head| if self.case_sensitive { head == prefix } else { head.eq_ignore_ascii_case(prefix) })
    }
}

/// Splits a request target into its path and the rest, which starts with `?` or `#` or is empty.
pub(crate) fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    target.split_at(memchr::memchr2(b'?', b'#', target).unwrap_or(target.len()))
}
