//! Header conditions (`envoy.config.route.v3.HeaderMatcher`).

use xds_model::matcher::{HeaderCondition, HeaderMatcher};

use crate::request::{RequestView, pseudo_header};

/// Whether the request satisfies the condition.
pub(crate) fn matches(matcher: &HeaderMatcher, request: &impl RequestView) -> bool {
    match pseudo_header(request, &matcher.name) {
        Some(value) => evaluate(matcher, Some(value)),
        None => evaluate_lines(matcher, request.header(&matcher.name)),
    }
}

/// A repeated header satisfies a condition when one of its lines does; inverted, when none does (seen in Envoy 1.40).
fn evaluate_lines<'a>(matcher: &HeaderMatcher, mut lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let Some(first) = lines.next() else {
        return evaluate(matcher, None);
    };
    let any = holds(matcher, Some(first))
        .is_some_and(|held| held || lines.any(|line| holds(matcher, Some(line)) == Some(true)));
    any != matcher.invert
}

fn evaluate(matcher: &HeaderMatcher, value: Option<&[u8]>) -> bool {
    // Envoy ignores a condition on a missing value as a whole: it does not match, inverted or not.
    holds(matcher, value).is_some_and(|held| held != matcher.invert)
}

/// Whether the condition holds, inversion aside; `None` if there is no value for it.
fn holds(matcher: &HeaderMatcher, value: Option<&[u8]>) -> Option<bool> {
    let value = value.or(matcher.treat_missing_as_empty.then_some(b""));
    match (&matcher.condition, value) {
        (HeaderCondition::Present(expected), value) => Some(value.is_some() == *expected),
        (_, None) => None,
        (HeaderCondition::Value(pattern), Some(value)) => Some(pattern.matches(value)),
        (HeaderCondition::Range { start, end }, Some(value)) => {
            Some(decimal(value).is_some_and(|number| (*start..*end).contains(&number)))
        }
    }
}

fn decimal(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}
