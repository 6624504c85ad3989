//! A compiled route, and what follows from matching it.

use std::sync::Arc;
use std::time::Duration;

use xds_model::hash_policy::HashPolicy;
use xds_model::header::HeaderMutations;
use xds_model::matcher::{HeaderMatcher, QueryMatcher};
use xds_model::route::{ConnectMode, DirectResponse, GrpcTimeout, MaxStreamDuration, RetryPolicy, RouteHeaders};

use crate::path::{PathMatcher, split_query};
use crate::redirect::Redirect;
use crate::request::RequestView;
use crate::rewrite::PathRewrite;
use crate::table::RoutePosition;
use crate::virtual_host::VirtualHost;
use crate::weighted::{Target, Targets};
use crate::{header, query};

/// A condition and what follows from it.
#[derive(Debug, PartialEq)]
pub struct Route {
    /// Name, for logs (`%ROUTE_NAME%`).
    pub name: Arc<str>,
    /// What happens to a request.
    pub action: Action,
    /// Sent upstream as `x-envoy-decorator-operation`.
    pub decorator_operation: Option<Arc<str>>,
    /// Path of the Istio object it comes from (`metadata.filter_metadata.istio.config`).
    pub istio_config: Option<Arc<str>>,
    pub(crate) path: PathMatcher,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) headers: Option<Box<RouteHeaders>>,
}

/// Conditions beyond the path; all must hold.
#[derive(Debug, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) headers: Box<[HeaderMatcher]>,
    pub(crate) query: Box<[QueryMatcher]>,
}

/// What a route does.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Forward.
    Forward(Box<Forward>),
    /// Answer with a redirect; see [`RouteMatch::location`].
    Redirect(Box<Redirect>),
    /// Answer with a fixed response.
    DirectResponse(Box<DirectResponse>),
    /// Refused when configuration arrived, for this reason: answer 500.
    Refused(Box<str>),
}

/// Where and how a request is forwarded.
#[derive(Debug, PartialEq)]
pub struct Forward {
    /// Clusters, by weight.
    pub targets: Targets,
    /// Status when no target can be picked or its cluster does not exist.
    pub cluster_not_found_status: u16,
    /// Bound on the whole response, counted from the end of the request; `None` for none.
    pub timeout: Option<Duration>,
    /// Bound on the silence of the stream; `None` for that of the connection manager.
    pub idle_timeout: Option<Duration>,
    /// How `grpc-timeout` of a gRPC request counts, in place of `timeout`; `None` if it does not.
    pub grpc_timeout: Option<GrpcTimeout>,
    /// Bound on the life of the whole stream, in place of `timeout` and `grpc_timeout`.
    pub max_stream_duration: Option<Box<MaxStreamDuration>>,
    /// When to try again: the route's own policy, or that of its virtual host.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Change of the path; see [`RouteMatch::rewrite_path`].
    pub path_rewrite: Option<PathRewrite>,
    /// Change of the authority.
    pub host_rewrite: Option<Box<str>>,
    /// Append the old authority to `x-forwarded-host` when it is changed.
    pub append_x_forwarded_host: bool,
    /// What becomes of a CONNECT request.
    pub connect: ConnectMode,
    /// What is hashed, where the cluster balances by hash; see [`hash`](crate::hash()).
    pub hash_policies: Box<[HashPolicy]>,
}

impl Forward {
    /// The authority sent to `target`, if it is changed: the route's own rewrite is applied after the target's and wins.
    pub fn host_rewrite<'a>(&'a self, target: &'a Target) -> Option<&'a str> {
        self.host_rewrite.as_deref().or(target.host_rewrite.as_deref())
    }
}

impl Route {
    pub(crate) fn matches(&self, path: &[u8], query: &[u8], request: &impl RequestView) -> bool {
        self.path.matches(path) && self.conditions.as_ref().is_none_or(|conditions| conditions.hold(query, request))
    }
}

impl Conditions {
    fn hold(&self, query: &[u8], request: &impl RequestView) -> bool {
        self.headers.iter().all(|matcher| header::matches(matcher, request))
            && self.query.iter().all(|matcher| query::matches(matcher, query.get(1..).unwrap_or_default()))
    }
}

/// A route that matched, and the levels above it.
#[derive(Clone, Copy, Debug)]
pub struct RouteMatch<'a> {
    /// The route.
    pub route: &'a Route,
    /// Its virtual host.
    pub virtual_host: &'a VirtualHost,
    pub(crate) position: RoutePosition,
    /// Header changes of the virtual host and of the table.
    pub(crate) outer_headers: [Option<&'a RouteHeaders>; 2],
}

impl<'a> RouteMatch<'a> {
    /// Where it is in its table; [`RouteTable::at`](crate::RouteTable::at) finds it again.
    pub fn position(&self) -> RoutePosition {
        self.position
    }

    /// Changes of the request's headers, to be made one after the other, each with its removals first. Envoy's order: target, route,
    /// virtual host, table (`most_specific_header_mutations_wins` is not set by istiod).
    pub fn request_headers(&self, target: Option<&'a Target>) -> impl Iterator<Item = &'a HeaderMutations> + use<'a> {
        self.levels(target).map(|headers| &headers.request).filter(|mutations| !mutations.is_empty())
    }

    /// Changes of the response's headers, in the same order.
    pub fn response_headers(&self, target: Option<&'a Target>) -> impl Iterator<Item = &'a HeaderMutations> + use<'a> {
        self.levels(target).map(|headers| &headers.response).filter(|mutations| !mutations.is_empty())
    }

    /// Whether the path is to be rewritten. If so, `out` is replaced by the new path and query. A regular expression counts as a
    /// rewrite even when it changes nothing: Envoy then still sends `x-envoy-original-path`. One that leaves no path at all is none.
    pub fn rewrite_path(&self, target: &[u8], out: &mut Vec<u8>) -> bool {
        let Action::Forward(forward) = &self.route.action else {
            return false;
        };
        let Some(rewrite) = &forward.path_rewrite else {
            return false;
        };
        out.clear();
        rewrite.apply(&self.route.path, target, out);
        !(matches!(rewrite, PathRewrite::Regex(_)) && matches!(out.first(), None | Some(b'?')))
    }

    /// Replaces `out` by the Location of the redirect, or of the direct response if its status wants one (Envoy, 201 and 3xx);
    /// `false` if the route has none.
    pub fn location(&self, request: &impl RequestView, out: &mut Vec<u8>) -> bool {
        let to_itself;
        let redirect = match &self.route.action {
            Action::Redirect(redirect) => redirect,
            Action::DirectResponse(direct) if matches!(direct.status, 201 | 300..400) => {
                to_itself = Redirect::to_itself(direct.status);
                &to_itself
            }
            _ => return false,
        };
        out.clear();
        redirect.location(&self.route.path, request, out);
        true
    }

    /// Whether there are any changes at all. Most routes have none, and saying so costs less than going through them.
    #[inline]
    pub fn may_change_headers(&self, target: Option<&Target>) -> bool {
        self.route.headers.is_some()
            || self.outer_headers.iter().any(Option::is_some)
            || target.is_some_and(|target| target.headers.is_some())
    }

    fn levels(&self, target: Option<&'a Target>) -> impl Iterator<Item = &'a RouteHeaders> + use<'a> {
        let [host, table] = self.outer_headers;
        let target = target.and_then(|target| target.headers.as_deref());
        [target, self.route.headers.as_deref(), host, table].into_iter().flatten()
    }
}

/// Path and query (with its `?`) of a request, for [`Route::matches`].
pub(crate) fn path_and_query(request: &impl RequestView) -> (&[u8], &[u8]) {
    split_query(request.path())
}
