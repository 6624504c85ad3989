//! Conversion of a route's conditions.

use xds_api::envoy::config::route::v3 as route;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::fates;
use crate::matcher::{FullRegex, HeaderMatcher, QueryMatcher};
use crate::route::wire::everything;
use crate::route::{PathMatch, RouteMatch};

/// The conditions that are supported, and the first refusal of one that is not. Leaving out a condition lets more requests match,
/// never fewer.
pub(super) fn convert(wire: &Option<route::RouteMatch>, context: &mut Context<'_>) -> (RouteMatch, Option<Refusal>) {
    let Some(wire) = wire else {
        return (everything(), Some(context.refusal("match", "is missing")));
    };
    context.within("match", |context| {
        let mut first = None;
        let matches = RouteMatch {
            path: keep(path(wire, context), &mut first).unwrap_or(everything().path),
            case_sensitive: wire.case_sensitive.unwrap_or(true),
            headers: conditions("headers", &wire.headers, HeaderMatcher::convert, &mut first, context),
            query: conditions("query_parameters", &wire.query_parameters, QueryMatcher::convert, &mut first, context),
        };
        keep(others(wire, context), &mut first);
        (matches, first)
    })
}

fn others(wire: &route::RouteMatch, context: &mut Context<'_>) -> Result<(), Refusal> {
    fates! { context, wire => route::RouteMatch {
            [elsewhere] case_sensitive, headers, query_parameters;
            [refused "this condition is not supported"] runtime_fraction, cookies, grpc, tls_context, filter_state;
            [refused "claims of tokens are not supported yet"] dynamic_metadata;
        }
        oneof path_specifier {
            [elsewhere] prefix, path, safe_regex, path_separated_prefix, connect_matcher;
            [refused "path templates are not supported yet"] path_match_policy;
        }
    }
    match path_specifier {
        Some(_) => Ok(()),
        None => Err(context.refusal("path_specifier", "is missing")),
    }
}

fn path(wire: &route::RouteMatch, context: &mut Context<'_>) -> Result<PathMatch, Refusal> {
    use route::route_match::PathSpecifier;
    match &wire.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => Ok(PathMatch::Prefix(prefix.clone())),
        Some(PathSpecifier::Path(path)) => Ok(PathMatch::Exact(path.clone())),
        Some(PathSpecifier::SafeRegex(wire)) => {
            context.within("safe_regex", |context| FullRegex::convert(wire, context)).map(PathMatch::Regex)
        }
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            if prefix.is_empty() || prefix.ends_with('/') || prefix.contains(['?', '#']) {
                return Err(
                    context.refusal("path_separated_prefix", "must not be empty, end with a slash or hold ? or #")
                );
            }
            Ok(PathMatch::PathSeparatedPrefix(prefix.clone()))
        }
        Some(PathSpecifier::ConnectMatcher(_)) => Ok(PathMatch::Connect),
        Some(PathSpecifier::PathMatchPolicy(_)) => {
            Err(context.refused_member::<route::RouteMatch>("path_match_policy"))
        }
        None => Err(context.refusal("path_specifier", "is missing")),
    }
}

fn conditions<W, T>(
    field: &'static str,
    wire: &[W],
    convert: impl Fn(&W, &mut Context<'_>) -> Result<T, Refusal>,
    first: &mut Option<Refusal>,
    context: &mut Context<'_>,
) -> Vec<T> {
    let results = context.each(field, wire, |wire, context| Ok(convert(wire, context)));
    results.unwrap_or_default().into_iter().filter_map(|result| keep(result, first)).collect()
}

fn keep<T>(result: Result<T, Refusal>, first: &mut Option<Refusal>) -> Option<T> {
    result.map_err(|refusal| first.get_or_insert(refusal)).ok()
}
