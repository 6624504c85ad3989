//! Path rewrites: `prefix_rewrite` and `regex_rewrite`. Both are plain text replacement; nothing is normalised afterwards.

use regex::bytes::Captures;
use xds_model::matcher::FullRegex;
use xds_model::route;

use crate::path::{PathMatcher, split_query};

/// How a path is changed.
#[derive(Debug, PartialEq)]
pub enum PathRewrite {
    /// The matched part is replaced.
    Prefix(Box<str>),
    /// Every match in the path is replaced.
    Regex(Box<RegexRewrite>),
}

impl PathRewrite {
    pub(crate) fn new(rewrite: &route::PathRewrite) -> Self {
        match rewrite {
            route::PathRewrite::Prefix(prefix) => Self::Prefix(prefix.as_str().into()),
            route::PathRewrite::Regex { pattern, substitution } => {
                Self::Regex(Box::new(RegexRewrite::new(pattern, substitution)))
            }
        }
    }

    /// Appends the changed `target` (path and query) to `out`. The query is kept.
    pub(crate) fn apply(&self, matcher: &PathMatcher, target: &[u8], out: &mut Vec<u8>) {
        let (path, query) = split_query(target);
        match self {
            Self::Prefix(replacement) => {
                out.extend_from_slice(replacement.as_bytes());
                out.extend_from_slice(path.get(matcher.matched_length(path)..).unwrap_or_default());
            }
            Self::Regex(rewrite) => rewrite.apply(path, out),
        }
        out.extend_from_slice(query);
    }
}

/// A pattern and what its matches are replaced by.
#[derive(Debug, PartialEq)]
pub struct RegexRewrite {
    pattern: FullRegex,
    /// `None` when it names a group the pattern does not have: RE2 then replaces nothing.
    substitution: Option<Box<[Piece]>>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(Box<[u8]>),
    Group(usize),
}

impl RegexRewrite {
    pub(crate) fn new(pattern: &FullRegex, substitution: &str) -> Self {
        let groups = pattern.unanchored().captures_len();
        Self { substitution: parse_substitution(substitution, groups), pattern: pattern.clone() }
    }

    /// Appends `path` with every match replaced (RE2 `GlobalReplace`).
    pub(crate) fn apply(&self, path: &[u8], out: &mut Vec<u8>) {
        let Some(pieces) = &self.substitution else {
            out.extend_from_slice(path);
            return;
        };
        let mut copied = 0;
        for captures in self.pattern.unanchored().captures_iter(path) {
            let Some(whole) = captures.get(0) else { continue };
            out.extend_from_slice(path.get(copied..whole.start()).unwrap_or_default());
            substitute(pieces, &captures, out);
            copied = whole.end();
        }
        out.extend_from_slice(path.get(copied..).unwrap_or_default());
    }
}

fn substitute(pieces: &[Piece], captures: &Captures<'_>, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text),
            Piece::Group(number) => {
                out.extend_from_slice(captures.get(*number).map(|group| group.as_bytes()).unwrap_or_default());
            }
        }
    }
}

/// RE2's rewrite syntax: `\0` to `\9` are groups, `\\` is a backslash. Any other escape ends the text there, as in RE2.
fn parse_substitution(text: &str, groups: usize) -> Option<Box<[Piece]>> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            literal.push(byte);
            continue;
        }
        match bytes.next() {
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group >= groups {
                    return None;
                }
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::Group(group));
            }
            Some(b'\\') => literal.push(b'\\'),
            _ => break,
        }
    }
    flush(&mut literal, &mut pieces);
    Some(pieces.into_boxed_slice())
}

fn flush(literal: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into_boxed_slice()));
    }
}
