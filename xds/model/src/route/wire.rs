//! Conversion of route tables.

mod action;
mod direct_response;
mod forward;
mod matching;
mod redirect;
mod retry;
#[cfg(test)]
mod tests;
mod weighted;

use std::collections::HashSet;
use std::sync::Arc;

use xds_api::envoy::config::core::v3::HeaderValueOption;
use xds_api::envoy::config::route::v3 as route;
use xds_api::envoy::config::route::v3::virtual_host::TlsRequirementType;

use crate::context::Context;
use crate::error::Refusal;
use crate::fate::{Report, fates};
use crate::header::wire::Mutations;
use crate::route::{
    PathMatch, RetryPolicy, Route, RouteAction, RouteConfiguration, RouteHeaders, RouteMatch, VirtualHost,
};

pub(crate) use retry::{HOST_PREDICATES, PRIORITIES};

/// Largest body of a direct response, unless the table sets another limit. Bytes.
const DIRECT_RESPONSE_LIMIT: u32 = 4096;
/// No table may set a limit beyond this one. Bytes.
const DIRECT_RESPONSE_MAXIMUM: u32 = 1 << 20;

impl RouteConfiguration {
    /// Converts a route table.
    ///
    /// What cannot be served of it becomes [`RouteAction::Refused`], for one route or for all of a virtual host, and is named in
    /// `report.refusals`. A route whose *conditions* are not all supported keeps those that are: it answers for too many requests
    /// rather than let one of them reach a later route.
    ///
    /// # Errors
    /// The table as a whole makes no sense, or has a setting for all its routes that is not supported.
    pub fn from_wire(wire: &route::RouteConfiguration, report: &mut Report) -> Result<Self, Refusal> {
        Self::convert(wire, &mut Context::new(&wire.name, report))
    }

    pub(crate) fn convert(wire: &route::RouteConfiguration, context: &mut Context<'_>) -> Result<Self, Refusal> {
        fates! { context, wire => route::RouteConfiguration {
            [implemented] name, virtual_hosts, ignore_port_in_host_matching, request_headers_to_add, request_headers_to_remove,
                response_headers_to_add, response_headers_to_remove;
            [implemented "at most 1 MiB"] max_direct_response_body_size_bytes;
            [no_op "clusters are looked up when a request needs them"] validate_clusters if *validate_clusters == Some(true);
            [no_op "nothing reads it"] metadata;
            [refused "virtual hosts are not fetched one by one"] vhds;
            [refused "not supported"] internal_only_headers, most_specific_header_mutations_wins, cluster_specifier_plugins,
                vhost_header, ignore_path_parameters_in_path_matching, route_specifiers;
            [refused "mirroring is not supported yet"] request_mirror_policies;
            [refused "settings of filters per route are not supported yet"] typed_per_filter_config;
        } }
        let limit = body_limit(*max_direct_response_body_size_bytes);
        let headers = RouteHeaders {
            request: request_headers(request_headers_to_add, request_headers_to_remove).convert(context)?,
            response: response_headers(response_headers_to_add, response_headers_to_remove).convert(context)?,
        };
        let virtual_hosts = context
            .each("virtual_hosts", virtual_hosts, |wire, context| Ok(Arc::new(virtual_host(wire, limit, context)?)))?;
        if let Some(domain) = repeated_domain(&virtual_hosts) {
            return Err(context.refusal("virtual_hosts", format_args!("domain {domain:?} occurs twice")));
        }
        Ok(Self {
            name: name.clone(),
            virtual_hosts,
            ignore_port_in_host_matching: *ignore_port_in_host_matching,
            headers,
        })
    }
}

/// The request's part of [`RouteHeaders`].
fn request_headers<'w>(add: &'w [HeaderValueOption], remove: &'w [String]) -> Mutations<'w> {
    Mutations { add: ("request_headers_to_add", add), remove: ("request_headers_to_remove", remove) }
}

/// The response's part of [`RouteHeaders`].
fn response_headers<'w>(add: &'w [HeaderValueOption], remove: &'w [String]) -> Mutations<'w> {
    Mutations { add: ("response_headers_to_add", add), remove: ("response_headers_to_remove", remove) }
}

/// Largest body of a direct response, from what the table says of it. Bytes.
pub(super) fn body_limit(max_direct_response_body_size_bytes: Option<u32>) -> u32 {
    max_direct_response_body_size_bytes.unwrap_or(DIRECT_RESPONSE_LIMIT).min(DIRECT_RESPONSE_MAXIMUM)
}

pub(super) fn virtual_host(
    wire: &route::VirtualHost,
    body_limit: u32,
    context: &mut Context<'_>,
) -> Result<VirtualHost, Refusal> {
    if wire.domains.is_empty() {
        return Err(context.refusal("domains", "is empty"));
    }
    let converted = host_settings(wire, context).map(|(headers, retry)| {
        let route = |route: &_, context: &mut Context<'_>| Ok(action::route(route, body_limit, context));
        // Routes are refused one by one, so that there is no refusal here.
        (headers, retry, context.each("routes", &wire.routes, route).unwrap_or_default())
    });
    let (headers, retry, routes) = converted.unwrap_or_else(|refusal| {
        let routes = vec![refused_route(String::new(), everything(), &refusal)];
        context.report(refusal);
        (RouteHeaders::default(), None, routes)
    });
    Ok(VirtualHost {
        name: wire.name.clone(),
        domains: wire.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
        routes,
        require_tls: wire.require_tls == i32::from(TlsRequirementType::All),
        include_request_attempt_count: wire.include_request_attempt_count,
        retry,
        headers,
    })
}

/// What holds for all routes of a host. A refusal is one of the whole host.
fn host_settings(
    wire: &route::VirtualHost,
    context: &mut Context<'_>,
) -> Result<(RouteHeaders, Option<RetryPolicy>), Refusal> {
    fates! { context, wire => route::VirtualHost {
        [elsewhere] name, domains, routes, include_request_attempt_count;
        [implemented "NONE and ALL"] require_tls;
        [implemented] request_headers_to_add, request_headers_to_remove, response_headers_to_add, response_headers_to_remove,
            retry_policy;
        [no_op "virtual clusters are for statistics only"] virtual_clusters;
        [no_op "nothing reads it"] metadata;
        [refused "not supported"] matcher, include_attempt_count_in_response, retry_policy_typed_config, hedge_policy,
            include_is_timeout_retry_header, per_request_buffer_limit_bytes, request_body_buffer_limit, route_specifiers;
        [refused "rate limits are not supported yet"] rate_limits;
        [refused "CORS is not supported yet"] cors;
        [refused "mirroring is not supported yet"] request_mirror_policies;
        [refused "settings of filters per route are not supported yet"] typed_per_filter_config;
    } }
    let require_tls: TlsRequirementType = context.enumeration("require_tls", *require_tls)?;
    if require_tls == TlsRequirementType::ExternalOnly {
        return Err(context.refusal("require_tls", "EXTERNAL_ONLY is not supported"));
    }
    let headers = RouteHeaders {
        request: request_headers(request_headers_to_add, request_headers_to_remove).convert(context)?,
        response: response_headers(response_headers_to_add, response_headers_to_remove).convert(context)?,
    };
    Ok((headers, context.optional("retry_policy", retry_policy, retry::policy)?))
}

/// A route that answers for everything its conditions let through with an error.
fn refused_route(name: String, matches: RouteMatch, refusal: &Refusal) -> Route {
    Route {
        name,
        matches,
        action: RouteAction::Refused(format!("{}: {}", refusal.field, refusal.reason)),
        headers: RouteHeaders::default(),
        decorator_operation: None,
        istio_config: None,
    }
}

/// No condition at all.
fn everything() -> RouteMatch {
    RouteMatch { path: PathMatch::Prefix(String::new()), case_sensitive: true, headers: Vec::new(), query: Vec::new() }
}

/// A host name may occur once in a table, or it would be unclear whose routes it gets.
pub(super) fn repeated_domain(hosts: &[Arc<VirtualHost>]) -> Option<&str> {
    let mut seen = HashSet::new();
    hosts.iter().flat_map(|host| &host.domains).map(String::as_str).find(|domain| !seen.insert(*domain))
}
