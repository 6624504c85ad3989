//! The conditions of a route and those of its delegate's route, together.

use std::collections::BTreeMap;

use super::join;
use crate::object::string_match::StringMatch;
use crate::object::virtual_service::HttpMatch;

/// The delegate's conditions, each within those of the root that it agrees with; nothing if one agrees with none.
pub(super) fn narrow(root: &[HttpMatch], own: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    if root.is_empty() || own.is_empty() {
        return Some([root, own].concat());
    }
    let mut narrowed = Vec::new();
    for own in own {
        let before = narrowed.len();
        narrowed.extend(root.iter().filter(|root| agree(root, own)).map(|root| both(root, own)));
        if narrowed.len() == before {
            return None;
        }
    }
    Some(narrowed)
}

fn both(root: &HttpMatch, own: &HttpMatch) -> HttpMatch {
    HttpMatch {
        name: join(&root.name, &own.name),
        uri: own.uri.clone().or_else(|| root.uri.clone()),
        ignore_uri_case: own.ignore_uri_case,
        scheme: own.scheme.clone().or_else(|| root.scheme.clone()),
        method: own.method.clone().or_else(|| root.method.clone()),
        authority: own.authority.clone().or_else(|| root.authority.clone()),
        headers: united(&root.headers, &own.headers),
        without_headers: united(&root.without_headers, &own.without_headers),
        query: united(&root.query, &own.query),
        port: own.port.or(root.port),
        gateways: if own.gateways.is_empty() { root.gateways.clone() } else { own.gateways.clone() },
        source_labels: united(&root.source_labels, &own.source_labels),
        source_namespace: or(&own.source_namespace, &root.source_namespace),
        stat_prefix: or(&own.stat_prefix, &root.stat_prefix),
    }
}

/// All of both; the delegate's where both have a key.
fn united<T: Clone>(root: &BTreeMap<String, T>, own: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    root.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn or(own: &str, root: &str) -> String {
    if own.is_empty() { root.to_owned() } else { own.to_owned() }
}

/// Whether the delegate's conditions can hold within those of the root.
fn agree(root: &HttpMatch, own: &HttpMatch) -> bool {
    let texts = [
        (&root.uri, &own.uri),
        (&root.scheme, &own.scheme),
        (&root.method, &own.method),
        (&root.authority, &own.authority),
    ];
    texts.iter().all(|(root, own)| lies_within(root.as_ref(), own.as_ref()))
        && all_lie_within(&root.headers, &own.headers)
        && all_lie_within(&root.without_headers, &own.without_headers)
        && all_lie_within(&root.query, &own.query)
        && root.ignore_uri_case == own.ignore_uri_case
        && (root.port.is_none() || own.port.is_none() || root.port == own.port)
        && (root.source_namespace.is_empty() || root.source_namespace == own.source_namespace)
        && own.source_labels.iter().all(|(key, value)| root.source_labels.get(key).is_none_or(|root| root == value))
        && (root.gateways.is_empty() || own.gateways.iter().all(|gateway| root.gateways.contains(gateway)))
}

fn all_lie_within(root: &BTreeMap<String, StringMatch>, own: &BTreeMap<String, StringMatch>) -> bool {
    own.iter().all(|(key, own)| lies_within(root.get(key), Some(own)))
}

/// Whether text that meets the delegate's condition meets the root's. Of patterns that cannot be told, so they never do
/// beside another condition; neither does the mere presence of a value.
fn lies_within(root: Option<&StringMatch>, own: Option<&StringMatch>) -> bool {
    let (Some(root), Some(own)) = (root, own) else { return true };
    match (root, own) {
        (StringMatch::Exact(root), StringMatch::Exact(own)) => root == own,
        (StringMatch::Prefix(root), StringMatch::Prefix(own) | StringMatch::Exact(own)) => {
            own.starts_with(root.as_str())
        }
        _ => false,
    }
}
