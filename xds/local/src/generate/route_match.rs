//! Conditions on requests.

use xds_api::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use xds_api::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use xds_api::envoy::config::route::v3::route_match::PathSpecifier;
use xds_api::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher, RouteMatch};
use xds_api::envoy::r#type::matcher::v3::StringMatcher;
use xds_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use super::wire::{regex, string_matcher};
use crate::object::string_match::StringMatch;
use crate::object::virtual_service::HttpMatch;

/// `segments` makes path prefixes end at a slash (Gateway API). No condition means all requests.
pub(super) fn route_match(condition: Option<&HttpMatch>, segments: bool) -> RouteMatch {
    let everything = Some(PathSpecifier::Prefix("/".into()));
    let Some(condition) = condition else {
        return RouteMatch { path_specifier: everything, ..RouteMatch::default() };
    };
    let path = condition.uri.as_ref().map_or(everything, |uri| Some(path(uri, segments)));
    RouteMatch {
        path_specifier: path,
        case_sensitive: Some(!condition.ignore_uri_case),
        headers: headers(condition),
        query_parameters: condition.query.iter().map(|(name, value)| query(name, value)).collect(),
        ..RouteMatch::default()
    }
}

/// Whether all requests fit, so that nothing after it can.
pub(super) fn takes_all(condition: &RouteMatch) -> bool {
    let any_path = match &condition.path_specifier {
        Some(PathSpecifier::Prefix(path) | PathSpecifier::PathSeparatedPrefix(path)) => path == "/",
        Some(PathSpecifier::SafeRegex(pattern)) => pattern.regex == ".*",
        _ => false,
    };
    any_path && condition.headers.is_empty() && condition.query_parameters.is_empty()
}

fn path(uri: &StringMatch, segments: bool) -> PathSpecifier {
    match uri {
        StringMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        StringMatch::Regex(pattern) => PathSpecifier::SafeRegex(regex(pattern)),
        StringMatch::Prefix(path) if segments && path != "/" => {
            PathSpecifier::PathSeparatedPrefix(path.strip_suffix('/').unwrap_or(path).to_owned())
        }
        StringMatch::Prefix(path) => PathSpecifier::Prefix(path.clone()),
        StringMatch::Present => PathSpecifier::Prefix("/".into()),
    }
}

/// Headers by name, then what is a pseudo-header on the wire.
fn headers(condition: &HttpMatch) -> Vec<HeaderMatcher> {
    let mut headers: Vec<_> = condition.headers.iter().map(|(name, value)| header(name, value)).collect();
    headers.extend(condition.without_headers.iter().map(|(name, value)| HeaderMatcher {
        invert_match: true,
        treat_missing_header_as_empty: !is_present(value),
        ..header(name, value)
    }));
    headers.sort_by(|one, other| one.name.cmp(&other.name));
    let pseudo = [(":method", &condition.method), (":authority", &condition.authority), (":scheme", &condition.scheme)];
    headers.extend(pseudo.into_iter().filter_map(|(name, value)| Some(header(name, value.as_ref()?))));
    headers
}

fn header(name: &str, value: &StringMatch) -> HeaderMatcher {
    let specifier = match pattern(value) {
        Some(matcher) => HeaderMatchSpecifier::StringMatch(matcher),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    HeaderMatcher { name: name.to_owned(), header_match_specifier: Some(specifier), ..HeaderMatcher::default() }
}

fn query(name: &str, value: &StringMatch) -> QueryParameterMatcher {
    let specifier = match pattern(value) {
        Some(matcher) => QueryParameterMatchSpecifier::StringMatch(matcher),
        None => QueryParameterMatchSpecifier::PresentMatch(true),
    };
    QueryParameterMatcher { name: name.to_owned(), query_parameter_match_specifier: Some(specifier) }
}

/// `*` is no pattern: it means that there is any value.
fn is_present(value: &StringMatch) -> bool {
    matches!(value, StringMatch::Present) || matches!(value, StringMatch::Regex(pattern) if pattern == "*")
}

fn pattern(value: &StringMatch) -> Option<StringMatcher> {
    let pattern = match value {
        _ if is_present(value) => return None,
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern)),
        StringMatch::Present => return None,
    };
    Some(string_matcher(pattern))
}
