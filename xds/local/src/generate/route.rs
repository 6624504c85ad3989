//! Routes: one for each condition of each route of a virtual service.

use std::collections::BTreeMap;
use std::time::Duration;

use xds_api::envoy::config::core::v3::{DataSource, data_source};
use xds_api::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use xds_api::envoy::config::route::v3::route::Action;
use xds_api::envoy::config::route::v3::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier,
};
use xds_api::envoy::config::route::v3::route_match::PathSpecifier;
use xds_api::envoy::config::route::v3::weighted_cluster::{ClusterWeight, cluster_weight};
use xds_api::envoy::config::route::v3::{
    Decorator, DirectResponseAction, RedirectAction, Route, RouteAction, RouteMatch, WeightedCluster,
};
use xds_api::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::header::Changes;
use super::route_match::{route_match, takes_all};
use super::wire::{cluster_name, config_path, duration, istio_metadata, quote, regex};
use super::{hash, retry};
use crate::mesh::Mesh;
use crate::mesh::ports::BoundServer;
use crate::object::virtual_service::{
    Body, Destination, DirectResponse, HttpDestination, HttpMatch, HttpRoute, PathRewrite, Redirect, RedirectPort,
    VirtualService,
};
use crate::problem::Problems;

/// The routes of a virtual service on one server of a gateway, up to the first that takes all requests.
pub(super) fn routes(mesh: &Mesh, bound: &BoundServer, service: &VirtualService, problems: &Problems) -> Vec<Route> {
    let builder = Builder { mesh, bound, service, problems };
    let mut routes = Vec::new();
    for http in &service.http {
        if http.matches.is_empty() {
            routes.push(builder.route(http, None));
            return routes;
        }
        for condition in http.matches.iter().filter(|condition| builder.applies(condition)) {
            let route = builder.route(http, Some(condition));
            let is_last = route.r#match.as_ref().is_some_and(takes_all);
            routes.push(route);
            if is_last {
                return routes;
            }
        }
    }
    routes
}

/// The cluster that a destination means. A destination without port means the only port of the service, else the port of the
/// gateway's server.
pub(super) fn destination_cluster(
    mesh: &Mesh,
    service: &VirtualService,
    destination: &Destination,
    listen_port: u32,
    problems: &Problems,
) -> String {
    if destination.host.is_empty() {
        return "UnknownService".into();
    }
    let target = mesh.services.find(&destination.host, &service.metadata.namespace);
    let host = target.map(|target| &target.alias_of).filter(|alias| !alias.is_empty()).unwrap_or(&destination.host);
    let only_port = target.and_then(|target| match target.ports.as_slice() {
        [only] => Some(only.number),
        _ => None,
    });
    let port = destination.port.or(only_port).unwrap_or(listen_port);
    if !service.origin.is_gateway_api() {
        warn_of_missing(mesh, host, port, &destination.subset, destination, problems);
    }
    cluster_name(port, &destination.subset, host)
}

/// Routes to what does not exist are made all the same: requests to them get 503.
fn warn_of_missing(mesh: &Mesh, host: &str, port: u32, subset: &str, destination: &Destination, problems: &Problems) {
    let warn = |message: String| problems.warning(&destination.place, message + ": requests to it get 503");
    let Some(target) = mesh.services.get(host) else {
        return warn(format!("there is no service {host}"));
    };
    if target.port(port).is_none() {
        return warn(format!("the service {host} has no port {port}"));
    }
    let rule = mesh.destination_rules.of(target);
    let known = rule.is_some_and(|rule| rule.subsets.iter().any(|known| known.name == subset));
    if !subset.is_empty() && !known {
        warn(format!("no DestinationRule for {host} has the subset {subset}"));
    }
}

struct Builder<'a> {
    mesh: &'a Mesh,
    bound: &'a BoundServer,
    service: &'a VirtualService,
    problems: &'a Problems,
}

impl Builder<'_> {
    /// Whether a condition is meant for this server.
    fn applies(&self, condition: &HttpMatch) -> bool {
        let port = condition.port.is_none_or(|port| port == self.bound.server.port);
        let by_gateway = condition.gateways.contains(&self.bound.gateway);
        let namespace = &condition.source_namespace;
        let from_here =
            condition.source_labels.is_empty() && (namespace.is_empty() || *namespace == self.mesh.namespace);
        port && if condition.gateways.is_empty() { from_here } else { by_gateway }
    }

    fn route(&self, http: &HttpRoute, condition: Option<&HttpMatch>) -> Route {
        let matches = route_match(condition, self.service.origin.is_gateway_api());
        let mut changes = http.headers.as_ref().map(Changes::new).unwrap_or_default();
        let action = if let Some(redirect) = &http.redirect {
            Action::Redirect(self.redirect(redirect))
        } else if let Some(response) = &http.direct_response {
            Action::DirectResponse(direct_response(response))
        } else {
            Action::Route(self.forward(http, &matches, &mut changes))
        };
        let operation = self.operation(&action, &matches);
        let name = condition.filter(|condition| !condition.name.is_empty());
        let fields = BTreeMap::from([("config".to_owned(), config_path("virtual-service", &self.service.metadata))]);
        Route {
            name: name.map_or_else(|| http.name.clone(), |condition| format!("{}.{}", http.name, condition.name)),
            r#match: Some(matches),
            action: Some(action),
            metadata: Some(istio_metadata(fields)),
            decorator: Some(Decorator { operation, ..Decorator::default() }),
            stat_prefix: condition.map(|condition| condition.stat_prefix.clone()).unwrap_or_default(),
            request_headers_to_add: changes.add_to_request,
            request_headers_to_remove: changes.remove_from_request,
            response_headers_to_add: changes.add_to_response,
            response_headers_to_remove: changes.remove_from_response,
            ..Route::default()
        }
    }

    fn forward(&self, http: &HttpRoute, matches: &RouteMatch, changes: &mut Changes) -> RouteAction {
        let timeout = http.timeout.unwrap_or(Duration::ZERO);
        let hash = hash::of_route(self.mesh, http);
        let mut action = RouteAction {
            timeout: Some(duration(timeout)),
            max_grpc_timeout: Some(duration(timeout)),
            retry_policy: retry::policy(http.retries.as_ref(), hash.decides),
            hash_policy: hash.policies,
            ..RouteAction::default()
        };
        if self.service.origin.is_gateway_api() {
            action.cluster_not_found_response_code = ClusterNotFoundResponseCode::InternalServerError as i32;
        }
        let mut authority = std::mem::take(&mut changes.authority);
        if let Some(rewrite) = &http.rewrite {
            self.rewrite_path(rewrite.path.as_ref(), matches, &mut action);
            if !rewrite.authority.is_empty() {
                authority.clone_from(&rewrite.authority);
            }
        }
        action.cluster_specifier = Some(match http.route.as_slice() {
            [only] => {
                let own = Changes::new(&only.headers);
                if authority.is_empty() {
                    authority.clone_from(&own.authority);
                }
                changes.extend(own);
                ClusterSpecifier::Cluster(self.cluster(&only.destination))
            }
            several => {
                let clusters = several.iter().filter(|target| target.weight > 0).map(|target| self.weighted(target));
                let clusters = clusters.collect();
                ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..WeightedCluster::default() })
            }
        });
        if !authority.is_empty() {
            action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(authority));
        }
        action
    }

    fn rewrite_path(&self, rewrite: Option<&PathRewrite>, matches: &RouteMatch, action: &mut RouteAction) {
        let substitute = |pattern: &str, substitution: &str| RegexMatchAndSubstitute {
            pattern: Some(regex(pattern)),
            substitution: substitution.to_owned(),
        };
        match rewrite {
            None => {}
            Some(PathRewrite::Regex { pattern, substitution }) => {
                action.regex_rewrite = Some(substitute(pattern, substitution));
            }
            // Nothing may be left of the prefix, not even a second slash.
            Some(PathRewrite::Prefix(path)) if path == "/" && self.service.origin.is_gateway_api() => {
                let matched = match &matches.path_specifier {
                    Some(PathSpecifier::PathSeparatedPrefix(path)) => path.as_str(),
                    _ => "",
                };
                action.regex_rewrite = Some(substitute(&format!("^{}(/?)(.*)", quote(matched)), "/\\2"));
            }
            Some(PathRewrite::Prefix(path)) => action.prefix_rewrite.clone_from(path),
        }
    }

    fn weighted(&self, target: &HttpDestination) -> ClusterWeight {
        let changes = Changes::new(&target.headers);
        let authority = Some(changes.authority).filter(|authority| !authority.is_empty());
        ClusterWeight {
            name: self.cluster(&target.destination),
            weight: Some(target.weight),
            request_headers_to_add: changes.add_to_request,
            request_headers_to_remove: changes.remove_from_request,
            response_headers_to_add: changes.add_to_response,
            response_headers_to_remove: changes.remove_from_response,
            host_rewrite_specifier: authority.map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
            ..ClusterWeight::default()
        }
    }

    fn cluster(&self, destination: &Destination) -> String {
        destination_cluster(self.mesh, self.service, destination, self.bound.server.port, self.problems)
    }

    fn redirect(&self, redirect: &Redirect) -> RedirectAction {
        let is_tls = self.bound.server.tls.is_some();
        let scheme = match (redirect.scheme.as_str(), is_tls) {
            ("", true) => "https",
            ("", false) => "http",
            (scheme, _) => scheme,
        };
        let port = match redirect.port {
            Some(RedirectPort::Number(number)) => number,
            Some(RedirectPort::FromRequest) => self.bound.server.port,
            Some(RedirectPort::FromProtocol) | None => 0,
        };
        let is_implied = (scheme == "http" && port == 80) || (scheme == "https" && port == 443);
        let path = if redirect.prefix.is_empty() {
            PathRewriteSpecifier::PathRedirect(redirect.uri.clone())
        } else {
            PathRewriteSpecifier::PrefixRewrite(redirect.prefix.clone())
        };
        let code = match redirect.code {
            302 => RedirectResponseCode::Found,
            303 => RedirectResponseCode::SeeOther,
            307 => RedirectResponseCode::TemporaryRedirect,
            308 => RedirectResponseCode::PermanentRedirect,
            _ => RedirectResponseCode::MovedPermanently,
        };
        let scheme_redirect = (!redirect.scheme.is_empty()).then(|| redirect.scheme.clone());
        RedirectAction {
            host_redirect: redirect.authority.clone(),
            path_rewrite_specifier: Some(path),
            scheme_rewrite_specifier: scheme_redirect.map(SchemeRewriteSpecifier::SchemeRedirect),
            port_redirect: if is_implied { 0 } else { port },
            response_code: code as i32,
            ..RedirectAction::default()
        }
    }

    /// What the route is called in traces: the target, or the virtual service where there is not one target, with the path.
    fn operation(&self, action: &Action, matches: &RouteMatch) -> String {
        let path = match &matches.path_specifier {
            Some(PathSpecifier::Prefix(path)) => format!("{path}*"),
            Some(PathSpecifier::Path(path)) => path.clone(),
            Some(PathSpecifier::SafeRegex(pattern)) => pattern.regex.clone(),
            _ => "/*".into(),
        };
        if let Action::Route(RouteAction { cluster_specifier: Some(ClusterSpecifier::Cluster(name)), .. }) = action {
            let mut parts = name.split('|').skip(1);
            if let (Some(port), Some(_), Some(host)) = (parts.next(), parts.next(), parts.next()) {
                return format!("{host}:{port}{path}");
            }
        }
        format!("{}:{}{path}", self.service.metadata.name, self.bound.server.port)
    }
}

fn direct_response(response: &DirectResponse) -> DirectResponseAction {
    let body = response.body.as_ref().map(|body| match body {
        Body::Text(text) => data_source::Specifier::InlineString(text.clone()),
        Body::Bytes(bytes) => data_source::Specifier::InlineBytes(bytes.clone()),
    });
    DirectResponseAction {
        status: response.status,
        body: body.map(|specifier| DataSource { specifier: Some(specifier), ..DataSource::default() }),
        ..DirectResponseAction::default()
    }
}
