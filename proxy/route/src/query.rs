//! Query parameter conditions (`envoy.config.route.v3.QueryParameterMatcher`).

use xds_model::matcher::{QueryCondition, QueryMatcher};

/// Whether the query of a request (without `?`) satisfies the condition. Only the first occurrence of a parameter counts, and it is
/// compared as it was sent: Envoy decodes nothing here.
pub(crate) fn matches(matcher: &QueryMatcher, query: &[u8]) -> bool {
    match (&matcher.condition, first_value(query, matcher.name.as_bytes())) {
        (QueryCondition::Present(expected), value) => value.is_some() == *expected,
        (QueryCondition::Value(pattern), Some(value)) => pattern.matches(value),
        (QueryCondition::Value(_), None) => false,
    }
}

/// Value of the first parameter `name`; empty if it has no `=`.
pub(crate) fn first_value<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if query.is_empty() {
        return None;
    }
    query.split(|byte| *byte == b'&').find_map(|parameter| {
        let (key, value) = match memchr::memchr(b'=', parameter) {
            Some(at) => (&parameter[..at], &parameter[at + 1..]),
            None => (parameter, &parameter[parameter.len()..]),
        };
        (key == name).then_some(value)
    })
}
