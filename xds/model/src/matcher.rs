//! Matchers shared by routes, TLS and policies (`envoy.type.matcher.v3`).

#[cfg(test)]
mod tests;
pub(crate) mod wire;

use regex::bytes::{Regex, RegexBuilder};

/// Compiled programs larger than this are refused, so that one pattern cannot take the memory of an edge. Bytes.
pub const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// A string condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringMatcher {
    /// What must hold.
    pub pattern: StringPattern,
    /// Ignore ASCII case (never set with a regular expression).
    pub ignore_case: bool,
}

/// The forms of `StringMatcher.match_pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringPattern {
    /// Equal.
    Exact(String),
    /// Starts with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Contains.
    Contains(String),
    /// Matches from beginning to end.
    Regex(FullRegex),
}

impl StringMatcher {
    /// Whether `value` satisfies the condition.
    pub fn matches(&self, value: &[u8]) -> bool {
        let fold = self.ignore_case;
        match &self.pattern {
            StringPattern::Exact(expected) => equals(value, expected.as_bytes(), fold),
            StringPattern::Prefix(prefix) => {
                value.get(..prefix.len()).is_some_and(|head| equals(head, prefix.as_bytes(), fold))
            }
            StringPattern::Suffix(suffix) => value
                .len()
                .checked_sub(suffix.len())
                .and_then(|start| value.get(start..))
                .is_some_and(|tail| equals(tail, suffix.as_bytes(), fold)),
            StringPattern::Contains(part) => {
                part.is_empty() || value.windows(part.len()).any(|window| equals(window, part.as_bytes(), fold))
            }
            StringPattern::Regex(regex) => regex.is_match(value),
        }
    }
}

fn equals(left: &[u8], right: &[u8], ignore_case: bool) -> bool {
    if ignore_case { left.eq_ignore_ascii_case(right) } else { left == right }
}

/// A regular expression that must match the whole input, as Envoy's `safe_regex` does (RE2 full match).
#[derive(Clone, Debug)]
pub struct FullRegex {
    pattern: String,
    anchored: Regex,
    unanchored: Regex,
}

impl FullRegex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// The pattern is not valid, or compiles to more than [`REGEX_SIZE_LIMIT`].
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        let build = |source: &str| RegexBuilder::new(source).size_limit(REGEX_SIZE_LIMIT).build();
        Ok(Self {
            pattern: pattern.to_owned(),
            anchored: build(&format!(r"\A(?:{pattern})\z"))?,
            unanchored: build(pattern)?,
        })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole of `value` matches.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.anchored.is_match(value)
    }

    /// The expression without anchors, for substitution (`RegexMatchAndSubstitute` replaces every match).
    pub fn unanchored(&self) -> &Regex {
        &self.unanchored
    }
}

impl PartialEq for FullRegex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for FullRegex {}

/// A condition on one request header (`envoy.config.route.v3.HeaderMatcher`). Repeated headers count as one value joined by `,`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatcher {
    /// Lower-case name, or a pseudo-header such as `:method`.
    pub name: String,
    /// What must hold.
    pub condition: HeaderCondition,
    /// The opposite must hold (`invert_match`).
    pub invert: bool,
    /// A missing header counts as an empty one.
    pub treat_missing_as_empty: bool,
}

/// The forms of `HeaderMatcher.header_match_specifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderCondition {
    /// It is there (`true`) or not (`false`).
    Present(bool),
    /// Its value.
    Value(StringMatcher),
    /// A decimal number in `[start, end)`.
    Range {
        /// First value.
        start: i64,
        /// First value after the last.
        end: i64,
    },
}

/// A condition on one query parameter: its first occurrence, raw (`QueryParameterMatcher`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatcher {
    /// Name, case-sensitive.
    pub name: String,
    /// What must hold; `None` for mere presence.
    pub condition: QueryCondition,
}

/// The forms of `QueryParameterMatcher`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryCondition {
    /// It is there (`true`) or not (`false`).
    Present(bool),
    /// Its value.
    Value(StringMatcher),
}
