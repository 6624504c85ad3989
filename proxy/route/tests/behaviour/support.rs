//! Requests and small models for the tests.

use std::sync::Arc;

use selvedge_route::{RequestView, RouteTable};
use xds_model::format::{Format, Segment};
use xds_model::header::{HeaderAddition, HeaderAppend, HeaderMutations};
use xds_model::matcher::{FullRegex, StringMatcher, StringPattern};
use xds_model::route::{
    ConnectMode, DirectResponse, Forward, PathMatch, Route, RouteAction, RouteConfiguration, RouteHeaders, RouteMatch,
    VirtualHost, WeightedCluster,
};

/// A request head.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) scheme: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn get(authority: &str, path: &str) -> Self {
        Self {
            method: "GET".into(),
            authority: authority.into(),
            path: path.into(),
            scheme: "http".into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_bytes())
    }
}

pub(crate) fn table(hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: "http.8080".into(),
        virtual_hosts: hosts.into_iter().map(Arc::new).collect(),
        ignore_port_in_host_matching: true,
        headers: RouteHeaders::default(),
    }
}

pub(crate) fn host(name: &str, domains: &[&str], routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        routes,
        require_tls: false,
        include_request_attempt_count: true,
        retry: None,
        headers: RouteHeaders::default(),
    }
}

pub(crate) fn route(name: &str, path: PathMatch, action: RouteAction) -> Route {
    Route {
        name: name.into(),
        matches: RouteMatch { path, case_sensitive: true, headers: Vec::new(), query: Vec::new() },
        action,
        headers: RouteHeaders::default(),
        decorator_operation: None,
        istio_config: None,
    }
}

pub(crate) fn reply(name: &str, path: PathMatch) -> Route {
    let body = name.to_owned().into();
    route(name, path, RouteAction::DirectResponse(DirectResponse { status: 200, body }))
}

pub(crate) fn forward(clusters: &[(&str, u32)]) -> Forward {
    Forward {
        clusters: clusters.iter().map(|(name, weight)| weighted(name, *weight)).collect(),
        cluster_not_found_status: 503,
        timeout: None,
        idle_timeout: None,
        grpc_timeout: None,
        max_stream_duration: None,
        retry: None,
        path_rewrite: None,
        host_rewrite: None,
        append_x_forwarded_host: false,
        connect: ConnectMode::Inherited,
        hash_policies: Vec::new(),
    }
}

pub(crate) fn weighted(name: &str, weight: u32) -> WeightedCluster {
    WeightedCluster { name: name.into(), weight, headers: RouteHeaders::default(), host_rewrite: None }
}

pub(crate) fn prefix(text: &str) -> PathMatch {
    PathMatch::Prefix(text.into())
}

pub(crate) fn exact(text: &str) -> PathMatch {
    PathMatch::Exact(text.into())
}

pub(crate) fn separated(text: &str) -> PathMatch {
    PathMatch::PathSeparatedPrefix(text.into())
}

pub(crate) fn regex(pattern: &str) -> PathMatch {
    PathMatch::Regex(FullRegex::new(pattern).unwrap())
}

pub(crate) fn equals(text: &str) -> StringMatcher {
    StringMatcher { pattern: StringPattern::Exact(text.into()), ignore_case: false }
}

pub(crate) fn adds(name: &str) -> RouteHeaders {
    let value = Format { segments: vec![Segment::Literal("1".into())] };
    let addition =
        HeaderAddition { name: name.into(), value, append: HeaderAppend::AppendIfExistsOrAdd, keep_empty_value: false };
    let mutations = HeaderMutations { remove: Vec::new(), add: vec![addition] };
    RouteHeaders { request: mutations.clone(), response: mutations }
}

/// Name of the route a request takes.
pub(crate) fn found<'a>(table: &'a RouteTable, request: &Request) -> Option<&'a str> {
    let host = table.virtual_host(request.authority.as_bytes())?;
    table.find(host, request).map(|found| &*found.route.name)
}
