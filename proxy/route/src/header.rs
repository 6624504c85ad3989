//! Header conditions (`envoy.config.route.v3.HeaderMatcher`).

use smallvec::SmallVec;
use xds_model::matcher::{HeaderCondition, HeaderMatcher};

use crate::request::RequestView;

/// Whether the request satisfies the condition.
pub(crate) fn matches(matcher: &HeaderMatcher, request: &impl RequestView) -> bool {
    match matcher.name.as_str() {
        ":method" => evaluate(matcher, Some(request.method())),
        ":authority" | "host" => evaluate(matcher, Some(request.authority())),
        ":path" => evaluate(matcher, Some(request.path())),
        ":scheme" => evaluate(matcher, Some(request.scheme())),
        name => evaluate_lines(matcher, request.header(name)),
    }
}

/// Several lines of one header count as one value joined by commas.
fn evaluate_lines<'a>(matcher: &HeaderMatcher, mut lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let Some(first) = lines.next() else {
        return evaluate(matcher, None);
    };
    let Some(second) = lines.next() else {
        return evaluate(matcher, Some(first));
    };
    let mut joined = SmallVec::<[u8; 256]>::from_slice(first);
    for line in std::iter::once(second).chain(lines) {
        joined.push(b',');
        joined.extend_from_slice(line);
    }
    evaluate(matcher, Some(&joined))
}

fn evaluate(matcher: &HeaderMatcher, value: Option<&[u8]>) -> bool {
    let value = value.or(matcher.treat_missing_as_empty.then_some(b""));
    let holds = match (&matcher.condition, value) {
        (HeaderCondition::Present(expected), value) => value.is_some() == *expected,
        // Envoy ignores a condition on a missing value as a whole: it does not match, inverted or not.
        (_, None) => return false,
        (HeaderCondition::Value(pattern), Some(value)) => pattern.matches(value),
        (HeaderCondition::Range { start, end }, Some(value)) => {
            decimal(value).is_some_and(|number| (*start..*end).contains(&number))
        }
    };
    holds != matcher.invert
}

fn decimal(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}
