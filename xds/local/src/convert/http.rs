//! HTTPRoutes as VirtualServices: one for each listener and host.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Sources;
use super::backend::{destination, weighted};
use super::listener::Attachable;
use super::parent::{attached, is_own_host};
use crate::object::gateway_api::http_route::{HttpRoute, Rule};
use crate::object::metadata::Metadata;
use crate::object::string_match::StringMatch;
use crate::object::virtual_service::{
    DirectResponse, Headers, HttpDestination, HttpMatch, HttpRoute as IstioRoute, Origin, VirtualService,
};

pub(super) fn convert(sources: &Sources<'_>, listeners: &[Attachable]) -> Vec<VirtualService> {
    let mut routes: Vec<_> = sources.objects.http_routes.iter().collect();
    routes.sort_by(|one, other| age(&one.metadata).cmp(&age(&other.metadata)));
    // Rules of all routes for one listener and host are ordered together.
    let mut merged: BTreeMap<(String, String), VirtualService> = BTreeMap::new();
    for route in routes {
        let parents =
            attached("HTTPRoute", &route.metadata, &route.hostnames, &route.parents, listeners, sources.problems);
        if parents.is_empty() {
            continue;
        }
        let rules = istio_routes(route, sources);
        let any = vec!["*".to_owned()];
        let hosts = if route.hostnames.is_empty() { &any } else { &route.hostnames };
        for (listener, host) in parents.iter().flat_map(|listener| hosts.iter().map(move |host| (*listener, host))) {
            if !is_own_host(host, listener, listeners) || rules.is_empty() {
                continue;
            }
            let key = (listener.name.clone(), host.clone());
            let made = merged.entry(key).or_insert_with(|| virtual_service(route, listener, host));
            made.http.extend(rules.iter().cloned());
        }
    }
    merged.into_values().map(ordered).collect()
}

/// Of routes of the same age the namespace counts before the name here.
fn age(metadata: &Metadata) -> (&str, &str, &str) {
    (&metadata.created, &metadata.namespace, &metadata.name)
}

fn virtual_service(route: &HttpRoute, listener: &Attachable, host: &str) -> VirtualService {
    let name = format!("{}/{host}", listener.name).replace('/', "~");
    VirtualService {
        metadata: Metadata { name, ..route.metadata.clone() },
        hosts: vec![host.to_owned()],
        gateways: vec![listener.name.clone()],
        export_to: Vec::new(),
        http: Vec::new(),
        tls: Vec::new(),
        tcp: Vec::new(),
        origin: Origin::HttpRoute,
    }
}

/// The most specific first: kind and length of the path, then a method, then the number of headers, then of query parameters
/// (`HTTPRouteMatch`; a pattern comes after the prefixes for istiod). What is equal keeps its order.
fn ordered(mut service: VirtualService) -> VirtualService {
    service.http.sort_by_key(|route| {
        let rank = route.matches.first().map(|condition| {
            let (kind, length) = match &condition.uri {
                Some(StringMatch::Exact(path)) => (3, path.len()),
                Some(StringMatch::Prefix(path)) => (2, path.len()),
                Some(StringMatch::Regex(path)) => (1, path.len()),
                Some(StringMatch::Present) | None => (0, 0),
            };
            (kind, length, condition.method.is_some(), condition.headers.len(), condition.query.len())
        });
        Reverse(rank)
    });
    service
}

/// One route for each condition of each rule.
fn istio_routes(route: &HttpRoute, sources: &Sources<'_>) -> Vec<IstioRoute> {
    let mut routes = Vec::new();
    for (position, rule) in route.rules.iter().enumerate() {
        let Some(common) = istio_route(route, rule, position, sources) else { return Vec::new() };
        let with = |condition: &HttpMatch| IstioRoute { matches: vec![condition.clone()], ..common.clone() };
        routes.extend(rule.matches.iter().map(with));
    }
    routes
}

fn istio_route(route: &HttpRoute, rule: &Rule, position: usize, sources: &Sources<'_>) -> Option<IstioRoute> {
    let metadata = &route.metadata;
    let name = if rule.name.is_empty() {
        format!("{}.{}.{position}", metadata.namespace, metadata.name)
    } else {
        rule.name.clone()
    };
    let mut retries = rule.retries.clone();
    if let Some(retries) = &mut retries {
        retries.per_try_timeout = rule.backend_timeout.filter(|timeout| !timeout.is_zero());
    }
    let request_timeout = rule.request_timeout.filter(|timeout| !timeout.is_zero());
    let backend_timeout = rule.backend_timeout.filter(|timeout| !timeout.is_zero() && retries.is_none());
    let mut result = IstioRoute {
        name,
        timeout: backend_timeout.or(request_timeout),
        retries,
        redirect: rule.filters.redirect.clone(),
        rewrite: rule.filters.rewrite.clone(),
        headers: Some(Headers {
            request: rule.filters.request_headers.clone(),
            response: rule.filters.response_headers.clone(),
        }),
        ..IstioRoute::default()
    };
    let has_backend = rule.backends.iter().any(|backend| backend.target.weight > 0);
    if !has_backend && result.redirect.is_none() {
        result.direct_response = Some(DirectResponse { status: 500, body: None });
        return Some(result);
    }
    for (backend, weight) in weighted(&rule.backends, |backend| backend.target.weight) {
        let destination = destination("HTTPRoute", metadata, &backend.target, sources)?;
        let headers = Headers {
            request: backend.filters.request_headers.clone(),
            response: backend.filters.response_headers.clone(),
        };
        result.route.push(HttpDestination { destination, weight, headers });
    }
    Some(result)
}
